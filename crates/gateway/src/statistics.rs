//! What this node has done with a version of an endpoint since it began to serve it there, as V2's
//! extension for statistics tells it.
//!
//! A run that several endpoints' requests share counts for the endpoint of its first answer. A
//! request that no version could be picked for counts nowhere.

use std::{collections::BTreeMap, time::Duration};

use domain::Timestamp;
use inference::{Run, Sharded};
use protocol::v2::statistics::{BatchStatistics, InferStatistics, ModelStatistics};

use crate::{
    metrics::{End, Ends},
    stages::Stages,
};

/// Runs of up to so many rows are told apart by their exact number, larger ones by the next power of
/// two: callers choose how many rows they send.
const EXACT_ROWS: usize = 128;

/// Where an answered request's time went.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    /// Its own rows.
    pub(crate) rows: u64,
    pub(crate) decoded: Duration,
    pub(crate) queued: Duration,
    pub(crate) run: Run,
    /// Whether the run is this request's to count.
    pub(crate) leads: bool,
    pub(crate) encoded: Duration,
}

/// One version through one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Statistics(Sharded<Totals>);

#[derive(Debug, Default)]
struct Totals {
    last: Option<Timestamp>,
    rows: u64,
    runs: u64,
    stats: InferStatistics,
    batches: BTreeMap<u64, BatchStatistics>,
    stages: Stages,
    ends: Ends,
}

impl Statistics {
    /// Counts a request that was answered, or was not; and how it ended, unless another version tries.
    pub(crate) fn count(
        &self,
        times: Option<&Times>,
        took: Duration,
        now: Timestamp,
        end: Option<End>,
    ) {
        self.0.change(|totals| {
            if let Some(end) = end {
                totals.ends.add(end);
            }
            totals.last = Some(now);
            let Some(times) = times else { return totals.stats.fail.add(took) };
            let Times { rows, decoded, queued, run, leads, encoded } = times;
            totals.rows += rows;
            totals.stages.add(times);
            let stats = &mut totals.stats;
            stats.success.add(took);
            stats.queue.add(*queued);
            stats.compute_input.add(*decoded + run.joined);
            stats.compute_infer.add(run.computed);
            stats.compute_output.add(run.split + *encoded);
            if *leads {
                totals.runs += 1;
                let batch = totals.batches.entry(class(run.rows)).or_default();
                batch.compute_input.add(run.joined);
                batch.compute_infer.add(run.computed);
                batch.compute_output.add(run.split);
            }
        });
    }

    /// Where the time went so far.
    pub(crate) fn stages(&self) -> Stages {
        let mut sum = Stages::default();
        self.0.each(|part| sum.merge(&part.stages));
        sum
    }

    /// How requests ended so far.
    pub(crate) fn ends(&self) -> Ends {
        let mut sum = Ends::default();
        self.0.each(|part| sum.merge(&part.ends));
        sum
    }

    /// All of it so far.
    pub(crate) fn told(&self, name: &str, version: &str) -> ModelStatistics {
        let mut sum = Totals::default();
        self.0.each(|part| {
            sum.last = sum.last.max(part.last);
            sum.rows += part.rows;
            sum.runs += part.runs;
            sum.stats.merge(&part.stats);
            for (rows, batch) in &part.batches {
                sum.batches.entry(*rows).or_default().merge(batch);
            }
        });
        let batch_stats = sum.batches.into_iter();
        let last = sum.last.map_or(0, |last| last.timestamp_millis());
        ModelStatistics {
            name: name.to_owned(),
            version: version.to_owned(),
            last_inference: u64::try_from(last).unwrap_or_default(),
            inference_count: sum.rows,
            execution_count: sum.runs,
            inference_stats: sum.stats,
            batch_stats: batch_stats
                .map(|(batch_size, batch)| BatchStatistics { batch_size, ..batch })
                .collect(),
        }
    }
}

/// What a run of so many rows is counted under.
fn class(rows: usize) -> u64 {
    let class = if rows <= EXACT_ROWS { Some(rows) } else { rows.checked_next_power_of_two() };
    class.and_then(|class| u64::try_from(class).ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use protocol::v2::statistics::Spent;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn times(rows: usize, leads: bool) -> Times {
        let run = Run { rows, collected: Duration::ZERO, joined: MS, computed: 4 * MS, split: MS };
        Times { rows: 1, decoded: MS, queued: 2 * MS, run, leads, encoded: MS }
    }

    #[test]
    fn a_run_counts_once_however_many_requests_share_it() {
        let (statistics, now) = (Statistics::default(), Timestamp::UNIX_EPOCH);
        for request in 0..3 {
            statistics.count(Some(&times(3, request == 0)), 9 * MS, now, None);
        }
        statistics.count(Some(&times(1, true)), 9 * MS, now, None);
        statistics.count(None, MS, now + Duration::from_secs(1), None);
        let told = statistics.told("fraud", "3");
        assert_eq!((told.inference_count, told.execution_count), (4, 2));
        assert_eq!(told.last_inference, 1000);
        let stats = told.inference_stats;
        let spent = |count, millis: u64| Spent { count, ns: millis * 1_000_000 };
        assert_eq!((stats.success, stats.fail), (spent(4, 36), spent(1, 1)));
        assert_eq!((stats.queue, stats.compute_infer), (spent(4, 8), spent(4, 16)));
        assert_eq!((stats.compute_input, stats.compute_output), (spent(4, 8), spent(4, 8)));
        let batches: Vec<_> =
            told.batch_stats.iter().map(|batch| (batch.batch_size, batch.compute_infer)).collect();
        assert_eq!(batches, [(1, spent(1, 4)), (3, spent(1, 4))]);
    }

    #[test]
    fn there_are_few_sizes_whatever_callers_send() {
        assert_eq!([1, 128, 129, 1000, 1_000_000].map(class), [1, 128, 256, 1024, 1 << 20]);
        assert_eq!(class(usize::MAX), u64::MAX);
    }
}
