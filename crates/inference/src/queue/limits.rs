//! What a queue keeps to; some of it may be changed while it is in use.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use domain::Batching;

use crate::pace::Pace;

/// No target is shorter: what the threads of a busy machine wait for their turn is no overload.
const SHORTEST_TARGET: Duration = Duration::from_millis(2);
/// No window is shorter, and each has room for some runs.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
const RUNS_IN_A_WINDOW: u32 = 4;

#[derive(Debug)]
pub(crate) struct Limits {
    /// Requests that wait at most.
    pub(crate) capacity: usize,
    /// The threads that run what waits.
    pub(crate) threads: usize,
    pub(crate) pace: Pace,
    /// How long whoever waits should wait at most; by default as long as two full runs take.
    target: Option<Duration>,
    /// Rows that pay, as the first look found.
    fitting: usize,
    max_batch: AtomicUsize,
    company_nanos: AtomicU64,
}

impl Limits {
    pub(crate) fn new(
        capacity: usize,
        threads: usize,
        pace: Pace,
        fitting: usize,
        target: Option<Duration>,
    ) -> Self {
        let (max_batch, company_nanos) = (AtomicUsize::new(fitting.max(1)), AtomicU64::default());
        Self { capacity, threads, pace, target, fitting, max_batch, company_nanos }
    }

    /// Keeps to this from now on.
    pub(crate) fn set(&self, batching: &Batching) {
        let rows = batching.max_batch.map_or(self.fitting, |rows| rows.get() as usize);
        self.max_batch.store(rows.max(1), Relaxed);
        let nanos = u64::try_from(batching.wait.as_nanos()).unwrap_or(u64::MAX);
        self.company_nanos.store(nanos, Relaxed);
    }

    /// Rows that share one run at most.
    pub(crate) fn max_batch(&self) -> usize {
        self.max_batch.load(Relaxed)
    }

    /// How long the first of a run waits for company.
    pub(crate) fn company(&self) -> Duration {
        Duration::from_nanos(self.company_nanos.load(Relaxed))
    }

    /// How long somebody waits who has so many rows before them.
    pub(super) fn wait(&self, rows: usize) -> Duration {
        self.pace.all(rows, self.max_batch(), self.threads)
    }

    /// How long nobody should wait longer than under overload, and how long is looked at whether there
    /// is any.
    pub(super) fn target_and_window(&self) -> (Duration, Duration) {
        let full = self.pace.run(self.max_batch());
        let target =
            self.target.unwrap_or_else(|| (full * 2 + self.company()).max(SHORTEST_TARGET));
        (target, (full * RUNS_IN_A_WINDOW).max(SHORTEST_WINDOW))
    }
}
