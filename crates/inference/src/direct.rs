//! When callers may run requests on their own threads.
//!
//! The hop to an inference thread and back costs more than a short run; a long one would hold up whoever
//! else needs the thread. Which it is, is seen from the runs themselves: after [`SETTLED`] short ones callers
//! run on their own threads, after a long one they do not.
//!
//! How long a run takes may depend on what is asked: a model that was fast so far is slow for the next
//! request. So a run that takes longer than [`LONGEST`] is ended and goes to the queue, and each time it
//! takes four times as many short runs until callers run on their own threads again.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

const SETTLED: u32 = 32;
/// After so many short runs half of what is held against a model is forgotten.
const FORGIVEN: u32 = 4096;
/// As many short runs it takes at most.
const MOST_SETTLED: u32 = 1 << 20;
/// Longer runs are not for HTTP threads.
pub(crate) const LONG: Duration = Duration::from_millis(1);
/// None holds one of them up longer.
pub(crate) const LONGEST: Duration = Duration::from_millis(20);

pub(crate) struct Direct {
    /// Not for models that were slow when they were looked at.
    enabled: bool,
    /// Short runs since the last long one.
    short: AtomicU32,
    /// How many of them it takes.
    needed: AtomicU32,
}

impl Direct {
    pub(crate) fn new(enabled: bool) -> Self {
        let (short, needed) = (AtomicU32::new(SETTLED), AtomicU32::new(SETTLED));
        Self { enabled, short, needed }
    }

    /// Whether callers may run their requests themselves.
    pub(crate) fn is_allowed(&self) -> bool {
        self.enabled && self.short.load(Relaxed) >= self.needed.load(Relaxed)
    }

    /// A run was ended as it held up its caller's thread.
    pub(crate) fn cut(&self) {
        self.short.store(0, Relaxed);
        let needed = self.needed.load(Relaxed).saturating_mul(4);
        self.needed.store(needed.min(MOST_SETTLED), Relaxed);
    }

    /// A run took so long.
    pub(crate) fn ran(&self, took: Duration) {
        if took > LONG {
            self.short.store(0, Relaxed);
            return;
        }
        let short = self.short.load(Relaxed) + 1;
        // By then all is forgiven.
        if short > MOST_SETTLED {
            return;
        }
        // Another thread's run may be lost by that, which does no harm.
        self.short.store(short, Relaxed);
        if short.is_multiple_of(FORGIVEN) {
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
    fn a_long_run_sends_callers_to_the_queue_until_runs_are_short_for_a_while() {
        let direct = Direct::new(true);
        assert!(direct.is_allowed());
        direct.ran(2 * LONG);
        for _ in 0..SETTLED {
            assert!(!direct.is_allowed());
            direct.ran(SHORT);
        }
        assert!(direct.is_allowed());
    }

    #[test]
    fn a_run_that_was_cut_keeps_callers_off_for_longer_each_time() {
        let direct = Direct::new(true);
        let until_allowed = || {
            let runs = (0..MOST_SETTLED * 2).take_while(|_| {
                direct.ran(SHORT);
                !direct.is_allowed()
            });
            runs.count() as u32 + 1
        };
        for times in [4, 16, 64] {
            direct.cut();
            assert!(!direct.is_allowed());
            assert_eq!(until_allowed(), SETTLED * times);
        }
        direct.ran(2 * LONG);
        (0..4 * FORGIVEN).for_each(|_| direct.ran(SHORT));
        direct.ran(2 * LONG);
        assert_eq!(until_allowed(), SETTLED * 4, "long ago counts less");
    }

    #[test]
    fn a_slow_model_never_runs_on_its_callers_threads() {
        let direct = Direct::new(false);
        direct.ran(SHORT);
        assert!(!direct.is_allowed());
    }
}
