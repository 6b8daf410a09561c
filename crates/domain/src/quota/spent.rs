//! What a refusal says of the quota that refuses.

use std::time::Duration;

use super::{Amount, Key};
use crate::{ErrorCode, Grounds, Problem, Timestamp};

/// A quota that has no more to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Whose, as `team:fraud`.
    pub subject: String,
    /// Which.
    pub quota: Key,
    /// How much it allows.
    pub limit: u64,
    /// How much of that is used.
    pub used: u64,
    /// When the count begins anew; absent for what is counted as long as it is there.
    pub resets_at: Option<Timestamp>,
    /// For a rate: when to try again, and how many may come at once.
    pub pace: Option<Pace>,
}

/// When to try again, where a rate refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// In that time the next request is let through.
    pub retry_after: Duration,
    /// How many may come at once.
    pub burst: u64,
}

impl Pace {
    /// In whole seconds, as headers say it: at least one.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.retry_after.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX)
    }
}

impl Spent {
    /// The refusal, which says whose quota it is, how much of it is used, and what to do.
    #[must_use]
    pub fn refusal(self) -> Problem {
        let spent = self;
        let Self { subject, quota, limit, used, .. } = &spent;
        let shown = |value: u64| Amount::AtMost(value).show(*quota).to_string();
        let (limit, used) = (shown(*limit), shown(*used));
        let (code, message, hint) = match (spent.pace, spent.resets_at) {
            (Some(pace), _) => (
                ErrorCode::RateLimited,
                format!("{subject} may send {limit} requests a second, and {} at once", pace.burst),
                format!(
                    "try again in {} s, or ask for more: bottega quota request {quota}=N --for {subject} --reason …",
                    pace.seconds()
                ),
            ),
            (None, Some(at)) => (
                ErrorCode::QuotaExceeded,
                format!(
                    "the quota `{quota}` of {subject} is spent: {used} of {limit} are used until {}",
                    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                ),
                format!(
                    "wait, or ask for more: bottega quota request {quota}=N --for {subject} --reason …"
                ),
            ),
            (None, None) => (
                ErrorCode::QuotaExceeded,
                format!("the quota `{quota}` of {subject} is spent: {used} of {limit} are used"),
                format!(
                    "delete what is not needed (it counts until it is purged), or ask for more: bottega quota request {quota}=N --for {subject} --reason …"
                ),
            ),
        };
        let mut problem = Problem::new(code, message).hint(hint);
        problem.grounds = Some(Box::new(Grounds::Quota(spent)));
        problem
    }
}
