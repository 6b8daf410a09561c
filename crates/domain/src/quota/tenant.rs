//! Tenants: who has a share of their own of what is busy.

use crate::SubjectId;
use uuid::Uuid;

/// Whose share a request takes, and how large that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// The team, or the account where it has none.
    pub id: SubjectId,
    /// Twice the weight is twice the share.
    pub weight: u16,
}

impl Tenant {
    /// What nobody asked for: it has no share, and gets what all others leave.
    pub const NOBODY: Self = Self { id: SubjectId(Uuid::nil()), weight: 0 };

    /// Somebody nothing was set for.
    #[must_use]
    pub const fn new(id: SubjectId) -> Self {
        Self { id, weight: 1 }
    }
}

impl Default for Tenant {
    /// Whoever has no account.
    fn default() -> Self {
        Self::new(SubjectId(Uuid::max()))
    }
}
