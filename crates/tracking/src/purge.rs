//! Purging: what was deleted longer ago than the retention time goes for good.

use auth::{Permit, verbs};
use chrono::TimeDelta;
use serde_json::json;
use store::{
    Change,
    tracking::purge::{experiments, logged_models, runs},
};

use crate::{Result, State};

/// How much went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Runs.
    pub runs: usize,
    /// Logged models.
    pub logged_models: usize,
    /// Experiments.
    pub experiments: usize,
}

/// Deletes the rows of runs, logged models and experiments that were deleted longer ago than
/// `retention`. In small transactions, each audited: broken off, it goes on where it was.
///
/// # Errors
/// The database is away; what went before that is gone.
pub async fn purge(
    state: &State,
    permit: &Permit<verbs::Delete>,
    retention: TimeDelta,
) -> Result<Purged> {
    // A retention longer than time itself keeps all.
    let Some(before) = state.database.now().checked_sub_signed(retention) else {
        return Ok(Purged::default());
    };
    let mut purged = Purged::default();
    loop {
        let mut change = Change::begin(&state.database).await?;
        let gone_runs = runs(&mut change, before).await?;
        let gone_models = logged_models(&mut change, before).await?;
        let gone_experiments = experiments(&mut change, before).await?;
        if gone_runs.is_empty() && gone_models.is_empty() && gone_experiments.is_empty() {
            return Ok(purged);
        }
        purged.runs += gone_runs.len();
        purged.logged_models += gone_models.len();
        purged.experiments += gone_experiments.len();
        let detail = json!({
            "runs": gone_runs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "logged_models": gone_models.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "experiments": gone_experiments.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        change.commit(&permit.event("tracking.purged", detail)).await?;
    }
}
