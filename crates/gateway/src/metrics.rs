//! How predictions ended, and how long they took: each thread counts for itself, and it is put together
//! when somebody asks (`collector`).
//!
//! Only endpoints and versions that this node serves are counted: callers cannot make new label values.

use std::time::Duration;

use domain::{ErrorCode, capture::Protocol};
use inference::Sharded;
use prometheus_client::registry::Registry;

use crate::{
    elsewhere::Forwarded,
    hooks::Lookups,
    routing::Detours,
    stages::{Histogram, Told, nanos},
};

/// In nanoseconds: from a tiny model on an idle machine to the deadline.
const NANOS: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// What `code` says of a prediction that was no refusal.
pub(crate) const OK: &str = "ok";

/// The metrics that are not of what this node serves just now.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) detours: Detours,
    pub(crate) lookups: Lookups,
    pub(crate) forwarded: Forwarded,
}

impl Metrics {
    /// Makes the metrics known to a registry, which has no prefix of its own.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            detours: Detours::register(registry),
            lookups: Lookups::register(registry),
            forwarded: Forwarded::register(registry),
        }
    }
}

/// How a prediction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) protocol: Protocol,
    /// Why it was refused, if it was.
    pub(crate) code: Option<ErrorCode>,
}

impl End {
    /// `ok`, or an error code of the API.
    pub(crate) fn code(self) -> &'static str {
        self.code.map_or(OK, ErrorCode::as_str)
    }
}

/// How many predictions ended how. There are few ways: one for each protocol and code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends(Vec<(End, u64)>);

impl Ends {
    /// Counts a prediction.
    pub(crate) fn add(&mut self, end: End) {
        self.add_many(end, 1);
    }

    fn add_many(&mut self, end: End, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == end) {
            Some((_, known)) => *known += count,
            None => self.0.push((end, count)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (end, count) in &other.0 {
            self.add_many(*end, *count);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (End, u64)> {
        self.0.iter().copied()
    }
}

/// What was asked of one endpoint, over all releases.
#[derive(Debug, Default)]
pub(crate) struct EndpointMetrics(Sharded<Totals>);

#[derive(Debug, Default)]
struct Totals {
    durations: Histogram,
    /// Of those that no version was picked for.
    ends: Ends,
}

impl EndpointMetrics {
    /// Counts a prediction; how it ended where no version was picked for it.
    pub(crate) fn count(&self, took: Duration, end: Option<End>) {
        self.0.change(|totals| {
            totals.durations.add(nanos(took), &NANOS);
            if let Some(end) = end {
                totals.ends.add(end);
            }
        });
    }

    /// Counts a prediction that was refused before anything was done for it.
    pub(crate) fn refused(&self, end: End) {
        self.0.change(|totals| totals.ends.add(end));
    }

    /// How long they took, in seconds.
    pub(crate) fn seconds(&self) -> Told {
        let mut sum = Histogram::default();
        self.0.each(|part| sum.merge(&part.durations));
        sum.told(&NANOS, 1e9)
    }

    /// How those ended that no version was picked for.
    pub(crate) fn ends(&self) -> Ends {
        let mut sum = Ends::default();
        self.0.each(|part| sum.merge(&part.ends));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart_by_protocol_and_code() {
        let (ok, late) = (None, Some(ErrorCode::Timeout));
        let end = |protocol, code| End { protocol, code };
        let metrics = EndpointMetrics::default();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    metrics.count(Duration::from_micros(200), None);
                    metrics.count(Duration::from_secs(60), Some(end(Protocol::V2, late)));
                    metrics.count(Duration::from_secs(60), Some(end(Protocol::Grpc, late)));
                });
            }
        });
        metrics.count(Duration::ZERO, Some(end(Protocol::V2, ok)));
        let mut ends: Vec<_> = metrics
            .ends()
            .iter()
            .map(|(end, count)| (end.protocol.as_str(), end.code(), count))
            .collect();
        ends.sort_unstable();
        assert_eq!(ends, [("grpc", "timeout", 3), ("v2", "ok", 1), ("v2", "timeout", 3)]);
        let (_, count, buckets) = metrics.seconds();
        assert_eq!((count, buckets[0], buckets[1]), (10, (0.0001, 1), (0.00025, 3)));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 6)));
    }
}
