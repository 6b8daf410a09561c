//! When a caller may run its request on its own thread.
//!
//! Without company the hop to an inference thread and back only costs time; in company running
//! alone gives batches away, and a long run holds up whoever else needs the thread. Which holds is
//! seen from the runs themselves: after [`SETTLED`] short runs of one request each, callers run on
//! their own threads; two that meet, a batch of several or a long run send all of them to the
//! queue again. A single HTTP thread that serves many callers runs them one after the other and
//! never meets anybody: so every [`CYCLE`] runs the queue is tried again for [`SETTLED`] runs, and
//! if a batch forms, it stays.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

const SETTLED: u32 = 32;
const CYCLE: u32 = 4096;
/// Longer runs are not for HTTP threads.
pub(crate) const LONG: Duration = Duration::from_millis(1);

pub(crate) struct Direct {
    /// Not for models that were slow when they were looked at.
    enabled: bool,
    /// Short runs of one request since company was last seen.
    alone: AtomicU32,
}

impl Direct {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, alone: AtomicU32::new(SETTLED) }
    }

    /// Whether the caller may run its request itself.
    pub(crate) fn is_allowed(&self) -> bool {
        self.enabled && self.alone.load(Relaxed) % CYCLE >= SETTLED
    }

    /// Two callers met.
    pub(crate) fn met(&self) {
        self.alone.store(0, Relaxed);
    }

    /// A run of so many requests took so long.
    pub(crate) fn ran(&self, requests: usize, took: Duration) {
        if requests > 1 || took > LONG {
            self.met();
        } else {
            self.alone.fetch_add(1, Relaxed);
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
    fn a_slow_model_never_runs_on_its_callers_threads() {
        let direct = Direct::new(false);
        direct.ran(1, SHORT);
        assert!(!direct.is_allowed());
    }
}
