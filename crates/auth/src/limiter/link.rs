//! Whether the database answers, and since when not.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use domain::Problem;

use super::{Offline, WhenOffline};

/// How long a lease may take: longer, and the database counts as away.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Time since the process began, which no clock that is set moves.
pub(super) struct Link {
    offline: Offline,
    began: Instant,
    /// When the database was lost, in nanoseconds; 0 while it answers.
    lost_at: AtomicU64,
}

/// How things stand.
pub(super) enum Standing {
    /// The database answers.
    Here,
    /// It does not, and leases go on.
    Alone,
    /// It does not for so long that all is let through.
    Open,
}

impl Link {
    pub(super) fn new(offline: Offline) -> Self {
        Self { offline, began: Instant::now(), lost_at: AtomicU64::new(0) }
    }

    /// Now, in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// The database does not answer.
    pub(super) fn lost(&self) {
        let _was_lost = self.lost_at.compare_exchange(0, self.now(), Relaxed, Relaxed);
    }

    /// It does.
    pub(super) fn back(&self) {
        self.lost_at.store(0, Relaxed);
    }

    /// How things stand.
    ///
    /// # Errors
    /// The database has been away for so long that all is refused.
    pub(super) fn standing(&self) -> Result<Standing, Problem> {
        let lost_at = self.lost_at.load(Relaxed);
        if lost_at == 0 {
            return Ok(Standing::Here);
        }
        let away = Duration::from_nanos(self.now().saturating_sub(lost_at));
        match self.offline.then {
            _ if away <= self.offline.grace => Ok(Standing::Alone),
            WhenOffline::Allow => Ok(Standing::Open),
            WhenOffline::Refuse => {
                Err(Problem::unavailable("the database is away, and quotas cannot be counted")
                    .hint("try again in a moment"))
            }
        }
    }
}
