//! What becomes of quotas without the database.

use serde::{Deserialize, Serialize};

/// What happens to what quotas limit, once the database has been away for longer than the grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WhenOffline {
    /// It is refused.
    Refuse,
    /// It is let through, and counted later.
    Allow,
}

impl From<WhenOffline> for auth::WhenOffline {
    fn from(when: WhenOffline) -> Self {
        match when {
            WhenOffline::Refuse => Self::Refuse,
            WhenOffline::Allow => Self::Allow,
        }
    }
}
