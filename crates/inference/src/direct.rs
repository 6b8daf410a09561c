//! When a caller may run its request on its own thread.
//!
//! Without company the hop to an inference thread and back only costs time; in company running
//! alone gives batches away, and a long run holds up whoever else needs the thread. Which holds is
//! seen from the runs themselves: after [`SETTLED`] short runs of one request each, callers run on
//! their own threads; two that meet, a batch of several or a long run send all of them to the
//! queue again. A single HTTP thread that serves many callers runs them one after the other and
//! never meets anybody: so every [`CYCLE`] runs the queue is tried again for [`SETTLED`] runs, and
//! if a batch forms, it stays.
//!
//! How long a run takes may depend on what is asked: a model that was fast so far is slow for the next
//! request. So a run that takes longer than [`LONGEST`] is ended and goes to the queue, and each time it
//! takes four times as many short runs until callers run on their own threads again.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

const SETTLED: u32 = 32;
const CYCLE: u32 = 4096;
/// As many short runs it takes at most.
const MOST_SETTLED: u32 = 1 << 20;
/// Longer runs are not for HTTP threads.
pub(crate) const LONG: Duration = Duration::from_millis(1);
/// None holds one of them up longer.
pub(crate) const LONGEST: Duration = Duration::from_millis(20);

pub(crate) struct Direct {
    /// Not for models that were slow when they were looked at.
    enabled: bool,
    /// Short runs of one request since company was last seen.
    alone: AtomicU32,
    /// How many of them it takes.
    needed: AtomicU32,
}

impl Direct {
    pub(crate) fn new(enabled: bool) -> Self {
        let (alone, needed) = (AtomicU32::new(SETTLED), AtomicU32::new(SETTLED));
        Self { enabled, alone, needed }
    }

    /// Whether the caller may run its request itself.
    pub(crate) fn is_allowed(&self) -> bool {
        let alone = self.alone.load(Relaxed);
        self.enabled && alone % CYCLE >= SETTLED && alone >= self.needed.load(Relaxed)
    }

    /// A run was ended as it held up its caller's thread.
    pub(crate) fn cut(&self) {
        self.met();
        let needed = self.needed.load(Relaxed).saturating_mul(4);
        self.needed.store(needed.min(MOST_SETTLED), Relaxed);
    }

    /// Two callers met.
    pub(crate) fn met(&self) {
        self.alone.store(0, Relaxed);
    }

    /// A run of so many requests took so long.
    pub(crate) fn ran(&self, requests: usize, took: Duration) {
        if requests > 1 || took > LONG {
            self.met();
        } else if self.alone.fetch_add(1, Relaxed) % CYCLE == CYCLE - 1 {
            let needed = self.needed.load(Relaxed) / 2;
            self.needed.store(needed.max(SETTLED), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(10);

    #[test]
    fn company_sends_callers_to_the_queue_until_they_are_alone_for_a_while() {
        let direct = Direct::new(true);
        let causes: [fn(&Direct); 3] =
            [Direct::met, |direct| direct.ran(2, SHORT), |direct| direct.ran(1, 2 * LONG)];
        for cause in causes {
            assert!(direct.is_allowed());
            cause(&direct);
            for _ in 0..SETTLED {
                assert!(!direct.is_allowed());
                direct.ran(1, SHORT);
            }
        }
        assert!(direct.is_allowed());
    }

    #[test]
    fn the_queue_is_tried_again_now_and_then() {
        let direct = Direct::new(true);
        let queued = (0..2 * CYCLE).filter(|_| {
            direct.ran(1, SHORT);
            !direct.is_allowed()
        });
        assert_eq!(queued.count(), 2 * SETTLED as usize);
    }

    #[test]
    fn a_run_that_was_cut_keeps_callers_off_for_longer_each_time() {
        let direct = Direct::new(true);
        let until_allowed = || {
            let runs = (0..MOST_SETTLED * 2).take_while(|_| {
                direct.ran(1, SHORT);
                !direct.is_allowed()
            });
            runs.count() as u32 + 1
        };
        for times in [4, 16, 64] {
            direct.cut();
            assert!(!direct.is_allowed());
            assert_eq!(until_allowed(), SETTLED * times);
        }
        direct.met();
        (0..4 * CYCLE).for_each(|_| direct.ran(1, SHORT));
        direct.met();
        assert_eq!(until_allowed(), SETTLED * 4, "long ago counts less");
    }

    #[test]
    fn a_slow_model_never_runs_on_its_callers_threads() {
        let direct = Direct::new(false);
        direct.ran(1, SHORT);
        assert!(!direct.is_allowed());
    }
}
