//! Where the time of answered requests went, and how large runs were: as histograms, which are put
//! together only when somebody asks.

use std::time::Duration;

use crate::statistics::Times;

/// Upper bounds of durations, in nanoseconds: from a copy in memory to a large model.
const NANOS: [u64; 16] = [
    10_000,
    25_000,
    50_000,
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
    500_000_000,
    2_500_000_000,
    10_000_000_000,
];
/// Upper bounds of rows in a run.
const ROWS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 256, 1024];

/// As metrics are written: the sum, the count, and the counts between bounds.
pub(crate) type Told = (f64, u64, Vec<(f64, u64)>);

/// Counts below bounds, which are sorted, and what is above them all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    sum: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, value: u64, bounds: &[u64]) {
        if self.counts.is_empty() {
            self.counts.resize(bounds.len() + 1, 0);
        }
        let at = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// All of it; values are divided by `unit`.
    pub(crate) fn told(&self, bounds: &[u64], unit: f64) -> Told {
        let bounds = bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
        // Where nothing was counted yet there are no counts.
        let counts = self.counts.iter().copied().chain(std::iter::repeat(0));
        let buckets = bounds.zip(counts).collect();
        (self.sum as f64 / unit, self.counts.iter().sum(), buckets)
    }
}

/// The stages of answered requests, and the runs that they led.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stages {
    times: [Histogram; 5],
    runs: Histogram,
}

/// What the stages are called, in their order.
const NAMES: [&str; 5] = ["decode", "queue", "batch_wait", "compute", "serialise"];

impl Stages {
    /// Counts a request.
    pub(crate) fn add(&mut self, times: &Times) {
        let Times { decoded, queued, run, leads, encoded, .. } = times;
        // Whoever came while others were waited for did so for a part of that only.
        let collected = run.collected.min(*queued);
        let stages = [
            *decoded,
            *queued - collected,
            collected,
            run.joined + run.computed + run.split,
            *encoded,
        ];
        for (histogram, took) in self.times.iter_mut().zip(stages) {
            histogram.add(nanos(took), &NANOS);
        }
        if *leads {
            self.runs.add(run.rows as u64, &ROWS);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (histogram, more) in self.times.iter_mut().zip(&other.times) {
            histogram.merge(more);
        }
        self.runs.merge(&other.runs);
    }

    /// Each stage in seconds, by name.
    pub(crate) fn seconds(&self) -> impl Iterator<Item = (&'static str, Told)> {
        let told = self.times.iter().map(|histogram| histogram.told(&NANOS, 1e9));
        NAMES.into_iter().zip(told)
    }

    /// The rows of runs.
    pub(crate) fn rows(&self) -> Told {
        self.runs.told(&ROWS, 1.0)
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use inference::Run;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_stage_has_its_time_and_the_parts_add_up() {
        let run = Run { rows: 3, collected: 4 * MS, joined: MS, computed: 8 * MS, split: MS };
        let times = Times { rows: 1, decoded: MS, queued: 6 * MS, run, leads: true, encoded: MS };
        let (mut one, mut other) = (Stages::default(), Stages::default());
        one.add(&times);
        other.add(&Times { leads: false, queued: 2 * MS, ..times });
        other.merge(&one);
        let sums: Vec<_> =
            other.seconds().map(|(name, (sum, count, _))| (name, sum, count)).collect();
        assert_eq!(
            sums,
            [
                ("decode", 0.002, 2),
                ("queue", 0.002, 2),
                ("batch_wait", 0.006, 2),
                ("compute", 0.02, 2),
                ("serialise", 0.002, 2),
            ]
        );
        let (sum, count, buckets) = other.rows();
        assert_eq!((sum, count), (3.0, 1));
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(4.0, 1)]);
    }

    #[test]
    fn what_is_above_all_bounds_is_counted_too() {
        let mut histogram = Histogram::default();
        for value in [1, 2, 1024, 1025, u64::MAX / 2] {
            histogram.add(value, &ROWS);
        }
        let (_, count, buckets) = histogram.told(&ROWS, 1.0);
        assert_eq!((count, buckets.last()), (5, Some(&(f64::INFINITY, 2))));
        assert_eq!((buckets[0], buckets[1], buckets[8]), ((1.0, 1), (2.0, 1), (1024.0, 1)));
    }
}
