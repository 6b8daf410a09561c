//! How many runs of a model go on at once, and how many threads each has.

use std::time::Duration;

use crate::{Profile, direct::LONG};

/// Memory that the engines of one version may take together, by the size of its files.
const MEMORY: u64 = 1 << 30;
/// A model of so few bytes has an engine to spare: one costs less than a thread's stack.
const SMALL: u64 = 1 << 20;
/// What one request costs on its way through HTTP, JSON and back.
const HTTP_COST: Duration = Duration::from_micros(30);

/// Every engine holds its own copy of the weights, so a large model has few engines with several
/// threads each, a small one as many as pay, with one thread each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    cores: usize,
    min_runs: usize,
    max_runs: usize,
    pub(crate) threads_per_run: usize,
}

impl Plan {
    pub(crate) fn new(model_bytes: u64, cores: usize) -> Self {
        let cores = cores.max(1);
        let fitting = usize::try_from(MEMORY / model_bytes.max(1)).unwrap_or(usize::MAX);
        let max_runs = fitting.clamp(1, cores);
        let min_runs = if model_bytes > SMALL { 1 } else { max_runs.min(2) };
        Self { cores, min_runs, max_runs, threads_per_run: cores / max_runs }
    }

    /// As many runs at once as keep pace with HTTP on the other cores: one for a model that is
    /// much cheaper than its requests, one for each core if it is dearer. But a small one that `is_here`, in
    /// this process, has two: then callers' threads seldom meet, and a request of many rows does not hold
    /// up all others.
    pub(crate) fn runs(&self, profile: &Profile, is_here: bool) -> usize {
        let model = profile.per_row.as_secs_f64();
        let share = model / (model + HTTP_COST.as_secs_f64());
        let runs = (self.cores as f64 * share).ceil();
        (runs as usize).clamp(if is_here { self.min_runs } else { 1 }, self.max_runs)
    }

    /// Whether a run is short enough for the thread of the caller.
    pub(crate) fn runs_on_callers_threads(profile: &Profile) -> bool {
        profile.single < LONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(per_row: Duration) -> Profile {
        Profile { batchable: true, single: per_row, max_batch: 8, per_row }
    }

    #[test]
    fn a_cheap_model_has_one_thread_and_a_dear_one_all_cores() {
        let plan = Plan::new(2 << 20, 8);
        assert_eq!(plan.threads_per_run, 1);
        assert_eq!(plan.runs(&profile(Duration::from_nanos(500)), true), 1);
        assert_eq!(plan.runs(&profile(Duration::from_micros(30)), true), 4);
        assert_eq!(plan.runs(&profile(Duration::from_millis(9)), true), 8);
    }

    #[test]
    fn a_small_model_has_an_engine_to_spare_where_there_is_a_core_for_it() {
        let cheap = profile(Duration::from_nanos(500));
        let runs =
            |cores| [true, false].map(|is_here| Plan::new(10_000, cores).runs(&cheap, is_here));
        assert_eq!([1, 2, 8].map(runs), [[1, 1], [2, 1], [2, 1]]);
    }

    #[test]
    fn a_large_model_is_not_copied_for_each_core() {
        let plan = Plan::new(600 << 20, 8);
        assert_eq!(
            (plan.threads_per_run, plan.runs(&profile(Duration::from_millis(50)), true)),
            (8, 1)
        );
        let huge = Plan::new(u64::MAX, 2);
        assert_eq!(
            (huge.threads_per_run, huge.runs(&profile(Duration::from_secs(1)), true)),
            (2, 1)
        );
        let half = Plan::new(256 << 20, 8);
        assert_eq!(
            (half.threads_per_run, half.runs(&profile(Duration::from_millis(50)), true)),
            (2, 4)
        );
    }

    #[test]
    fn only_short_runs_are_for_callers_threads() {
        assert!(Plan::runs_on_callers_threads(&profile(Duration::from_micros(900))));
        assert!(!Plan::runs_on_callers_threads(&profile(Duration::from_millis(2))));
    }
}
