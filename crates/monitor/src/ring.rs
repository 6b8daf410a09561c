//! Where gateways put records: bounded, in parts that keep threads apart, and nobody ever waits.
//!
//! Putting a record in takes no lock and wakes nobody up: whoever takes them out looks by itself.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use domain::capture::{Record, Sink};

use crate::Metrics;

/// Threads share as few of these as is worth the memory.
const SHARDS: usize = 8;

/// Records that wait in a shard at most.
const WAITING: usize = 4_096;

/// Bytes of tensors that wait in a shard at most.
const BYTES: usize = 8 << 20;

/// What a record takes besides its tensors, about.
const OVERHEAD: usize = 512;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) % SHARDS);
}

struct Shard {
    sender: Sender<Box<Record>>,
    receiver: Receiver<Box<Record>>,
    bytes: AtomicUsize,
}

/// Takes records in, and gives them out again.
pub struct Ring {
    shards: [Shard; SHARDS],
    metrics: Metrics,
}

impl Ring {
    /// An empty one; what it drops is counted there.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        let shard = || {
            let (sender, receiver) = bounded(WAITING);
            Shard { sender, receiver, bytes: AtomicUsize::new(0) }
        };
        Self { shards: std::array::from_fn(|_| shard()), metrics }
    }

    /// Takes a record out of one shard after the other, beginning behind the one of the last time.
    pub(crate) fn take(&self, last: &mut usize) -> Option<Box<Record>> {
        for step in 1..=SHARDS {
            let at = (*last + step) % SHARDS;
            let Some(shard) = self.shards.get(at) else { continue };
            if let Ok(record) = shard.receiver.try_recv() {
                shard.bytes.fetch_sub(weight(&record), Relaxed);
                *last = at;
                return Some(record);
            }
        }
        None
    }
}

/// How many bytes a record takes, about.
pub(crate) fn weight(record: &Record) -> usize {
    record.bytes() + OVERHEAD
}

impl Sink for Ring {
    fn offer(&self, record: Record) {
        let Some(shard) = self.shards.get(SHARD.get()) else { return };
        let weight = weight(&record);
        if shard.bytes.fetch_add(weight, Relaxed) + weight > BYTES {
            shard.bytes.fetch_sub(weight, Relaxed);
            self.metrics.dropped(&record.source.name);
        } else if let Err(refused) = shard.sender.try_send(Box::new(record)) {
            shard.bytes.fetch_sub(weight, Relaxed);
            self.metrics.dropped(&refused.into_inner().source.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::testing;

    fn dropped(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        let line = text.lines().find(|line| line.starts_with("bottega_capture_dropped_total"));
        line.unwrap_or_default().to_owned()
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let mut registry = Registry::default();
        let ring = Ring::new(Metrics::register(&mut registry));
        for at in 0..WAITING + 3 {
            ring.offer(testing::record(&format!("i{at}"), &[1.0], &[0.5]));
        }
        assert_eq!(dropped(&registry), r#"bottega_capture_dropped_total{endpoint="fraud"} 3"#);
        let mut last = 0;
        let taken: Vec<_> = std::iter::from_fn(|| ring.take(&mut last)).map(|it| it.id).collect();
        assert_eq!(taken.len(), WAITING);
        assert_eq!((taken[0].as_str(), taken[1].as_str()), ("i0", "i1"));
        // There is room again.
        ring.offer(testing::record("again", &[1.0], &[0.5]));
        assert_eq!(ring.take(&mut last).unwrap().id, "again");
    }

    #[test]
    fn large_records_are_bounded_by_their_bytes() {
        let mut registry = Registry::default();
        let ring = Ring::new(Metrics::register(&mut registry));
        let large = vec![0.0; (1 << 20) / 4];
        for at in 0..9 {
            ring.offer(testing::record(&format!("i{at}"), &large, &[]));
        }
        let mut last = 0;
        let taken = std::iter::from_fn(|| ring.take(&mut last)).count();
        assert_eq!(taken, 7, "each has a little more than a MiB, and there is room for eight");
        assert_eq!(dropped(&registry), r#"bottega_capture_dropped_total{endpoint="fraud"} 2"#);
        assert_eq!(ring.shards.iter().map(|shard| shard.bytes.load(Relaxed)).sum::<usize>(), 0);
    }
}
