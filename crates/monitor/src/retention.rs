//! Deletes what is older than its endpoint's retention: kept rows, and sketches.
//!
//! It goes in short steps that lock the rows they take: any number of processes may do it at once, and
//! what one leaves behind the next does.

use std::time::Duration;

use auth::{Access, Permit, verbs};
use domain::Resource;
use serde_json::json;
use store::{
    Change,
    capture::{
        segments::{self, Expired},
        sketches,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{Result, State};

/// Looks every so often, until it is told to stop.
pub async fn expire_forever(
    state: &State,
    access: &Access,
    every: Duration,
    stop: CancellationToken,
) {
    let permit = access.system::<verbs::Administer>("capture", Resource::Platform);
    loop {
        match stop.run_until_cancelled(expire(state, &permit)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "old captured rows are not deleted"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

/// Deletes all that is too old.
///
/// # Errors
/// The database is away; what went before that is gone.
pub async fn expire(state: &State, permit: &Permit<verbs::Administer>) -> Result<()> {
    loop {
        let mut change = Change::begin(&state.database).await?;
        let expired = segments::expire(&mut change).await?;
        if expired == Expired::default() {
            break;
        }
        let Expired { segments, rows } = expired;
        tracing::info!(segments, rows, "captured rows were deleted after their retention");
        let detail = json!({"files": segments, "rows": rows});
        change.commit(&permit.event("captured.expired", detail)).await?;
    }
    while sketches::expire(&state.database).await? > 0 {}
    Ok(())
}
