//! Where gateways put records: bounded, in parts that keep threads apart.
//!
//! Putting a record in wakes nobody up: whoever takes them out looks by itself, and holds a part's lock
//! for no longer than it takes to exchange two pointers. Records of which nothing but the rows is wanted
//! become one while they wait, so that what a record costs is paid once for many requests.

use std::{
    cell::Cell,
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use domain::capture::{Record, Sink};

use crate::{Metrics, minutes::minute};

/// Threads share as few of these as is worth the memory.
const SHARDS: usize = 8;

/// Records that wait in a shard at most.
const WAITING: usize = 4_096;

/// Bytes of tensors that wait in a shard at most.
const BYTES: usize = 8 << 20;

/// What a record takes besides its tensors, about.
const OVERHEAD: usize = 512;

/// Rows that a record of several requests has at most.
const JOINED: usize = 256;

/// Records of a shard that others may still join.
const OPEN: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) % SHARDS);
}

/// One part: what waits there.
#[derive(Default)]
struct Shard {
    closed: VecDeque<Record>,
    /// The youngest last.
    open: Vec<Record>,
    bytes: usize,
}

/// Takes records in, and gives them out again.
pub struct Ring {
    shards: [Mutex<Shard>; SHARDS],
    metrics: Metrics,
}

impl Shard {
    /// Puts a record's rows to those that wait already, where they may be together.
    fn join(&mut self, record: &Record) -> bool {
        let is_with = |open: &Record| {
            Arc::ptr_eq(&open.source, &record.source)
                && open.shadow == record.shadow
                && minute(open) == minute(record)
                && open.rows + record.rows <= JOINED
        };
        let Some(open) = self.open.iter_mut().rev().find(|open| is_with(open)) else {
            return false;
        };
        let bytes = record.bytes();
        let joins = self.bytes + bytes <= BYTES && record.is_only_rows() && open.join(record);
        if joins {
            self.bytes += bytes;
        }
        joins
    }

    fn has_room(&self, record: &Record) -> bool {
        self.bytes + weight(record) <= BYTES && self.closed.len() + self.open.len() < WAITING
    }

    /// Takes a record in.
    fn push(&mut self, record: Record) {
        self.bytes += weight(&record);
        if record.rows >= JOINED || !record.is_only_rows() {
            self.closed.push_back(record);
            return;
        }
        if self.open.len() == OPEN {
            self.closed.push_back(self.open.remove(0));
        }
        self.open.push(record);
    }
}

impl Ring {
    /// An empty one; what it drops is counted there.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { shards: Default::default(), metrics }
    }

    /// Takes out all that waits, of one shard after the other.
    pub(crate) fn take(&self) -> VecDeque<Record> {
        let mut taken = VecDeque::new();
        for shard in &self.shards {
            let Shard { mut closed, open, .. } =
                mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            taken.append(&mut closed);
            taken.extend(open);
        }
        taken
    }
}

/// How many bytes a record takes, about.
pub(crate) fn weight(record: &Record) -> usize {
    record.bytes() + OVERHEAD
}

impl Sink for Ring {
    fn offer(&self, record: Record) {
        let Some(shard) = self.shards.get(SHARD.get()) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.join(&record) {
            return;
        }
        if shard.has_room(&record) {
            shard.push(record);
        } else {
            drop(shard);
            self.metrics.dropped(&record.source.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::capture::Settings;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::testing;

    fn ring() -> (Registry, Ring) {
        let mut registry = Registry::default();
        let ring = Ring::new(Metrics::register(&mut registry));
        (registry, ring)
    }

    fn dropped(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        let line = text.lines().find(|line| line.starts_with("bottega_capture_dropped_total"));
        line.unwrap_or_default().to_owned()
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (registry, ring) = ring();
        for at in 0..WAITING + 3 {
            ring.offer(testing::record(&format!("i{at}"), &[1.0], &[0.5]));
        }
        assert_eq!(dropped(&registry), r#"bottega_capture_dropped_total{endpoint="fraud"} 3"#);
        let taken = ring.take();
        assert_eq!(taken.len(), WAITING);
        assert_eq!((&*taken[0].id, &*taken[1].id), ("i0", "i1"));
        // There is room again.
        ring.offer(testing::record("again", &[1.0], &[0.5]));
        assert_eq!(&*ring.take()[0].id, "again");
        assert!(ring.take().is_empty());
    }

    #[test]
    fn large_records_are_bounded_by_their_bytes() {
        let (registry, ring) = ring();
        let large = vec![0.0; (1 << 20) / 4];
        for at in 0..9 {
            ring.offer(testing::record(&format!("i{at}"), &large, &[]));
        }
        let taken = ring.take().len();
        assert_eq!(taken, 7, "each has a little more than a MiB, and there is room for eight");
        assert_eq!(dropped(&registry), r#"bottega_capture_dropped_total{endpoint="fraud"} 2"#);
        // Rows that join others are bounded as well.
        let source = testing::source(Settings::default());
        for _ in 0..9 {
            let inputs = vec![testing::row("x", &large)];
            ring.offer(Record { keep: false, ..testing::record_of(&source, "i", inputs, vec![]) });
        }
        assert_eq!(ring.take().iter().map(|record| record.rows).sum::<usize>(), 7);
        assert_eq!(dropped(&registry), r#"bottega_capture_dropped_total{endpoint="fraud"} 4"#);
    }

    #[test]
    fn of_many_requests_the_rows_become_one_record_and_no_others() {
        let (_, ring) = ring();
        let sources = [testing::source(Settings::default()), testing::source(Settings::default())];
        let record = |source: usize, x: &[f32]| {
            let (inputs, outputs) = (vec![testing::row("x", x)], vec![testing::row("y", &[x[0]])]);
            Record { keep: false, ..testing::record_of(&sources[source], "i", inputs, outputs) }
        };
        for at in 0..2 * JOINED + 1 {
            ring.offer(record(0, &[at as f32, 1.0]));
            ring.offer(record(1, &[at as f32, 1.0]));
        }
        // None of these is like those before.
        let mut next = record(0, &[7.0, 1.0]);
        next.at += TimeDelta::minutes(1);
        ring.offer(next);
        ring.offer(Record { shadow: true, ..record(0, &[7.0, 1.0]) });
        ring.offer(Record { keep: true, ..record(0, &[7.0, 1.0]) });
        ring.offer(record(0, &[7.0, 1.0, 2.0]));
        let mut rows: Vec<_> = ring.take().iter().map(|record| record.rows).collect();
        rows.sort_unstable();
        assert_eq!(rows, [1, 1, 1, 1, 1, 1, JOINED, JOINED, JOINED, JOINED]);
    }

    #[test]
    fn joined_rows_are_in_their_order() {
        let source = testing::source(Settings::default());
        let (_, ring) = ring();
        for x in [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]] {
            let (inputs, outputs) = (vec![testing::row("x", &x)], vec![testing::row("y", &x[..1])]);
            let record = testing::record_of(&source, "i", inputs, outputs);
            ring.offer(Record { keep: false, ..record });
        }
        let taken = ring.take();
        let [record] = [&taken[0]];
        assert_eq!((taken.len(), record.rows, record.held()), (1, 3, 3));
        assert_eq!(record.inputs[0].shape, [3, 2]);
        let [x, y] = [&record.inputs[0].data, &record.outputs[0].data];
        assert_eq!(*x, domain::TensorData::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(*y, domain::TensorData::F32(vec![1.0, 3.0, 5.0]));
    }
}
