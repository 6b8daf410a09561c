//! How a request wants to be treated.

use std::time::Instant;

use domain::quota::Tenant;

/// Who of a tenant goes first where several wait. Whoever has waited longer than
/// [`AGE`](crate::lanes::AGE) goes before those of the next higher priority who came later: nobody starves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Before the others.
    High,
    /// As most.
    #[default]
    Normal,
    /// When nobody else waits.
    Low,
}

impl Priority {
    /// How many there are.
    pub(crate) const COUNT: usize = 3;

    /// By Triton's numbers: 1 is the highest and 3 the lowest, and any other the default.
    #[must_use]
    pub const fn of_level(level: u64) -> Self {
        match level {
            1 => Self::High,
            3 => Self::Low,
            _ => Self::Normal,
        }
    }
}

/// What a request asks of the replica besides its answer. An instant alone is a deadline, of somebody
/// who has no account.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// When the answer is of no use any more.
    pub deadline: Instant,
    /// Its place among those who wait.
    pub priority: Priority,
    /// Whose share of the replica it takes.
    pub tenant: Tenant,
    /// How many may wait already; more than the replica allows is no more than that.
    pub max_queue: usize,
}

impl From<Instant> for Ask {
    fn from(deadline: Instant) -> Self {
        Self {
            deadline,
            priority: Priority::default(),
            tenant: Tenant::default(),
            max_queue: usize::MAX,
        }
    }
}
