//! This process as a node: a lease that others see it alive by.

use std::time::Duration;

use chrono::TimeDelta;
use store::nodes;
use tokio_util::sync::CancellationToken;

use crate::State;

/// How long a node counts as alive after a beat, and how often it beats.
const LEASE: TimeDelta = TimeDelta::seconds(10);
const EVERY: Duration = Duration::from_secs(2);

/// Beats until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        beat(&state).await;
    }
}

/// Is no node any more. What could still call it ready or report for it must have ended.
pub(crate) async fn leave(state: &State) {
    state.set_ready(false);
    let left = tokio::time::timeout(EVERY, nodes::leave(&state.given.database, state.id)).await;
    if !matches!(left, Ok(Ok(()))) {
        tracing::warn!("the database is away: this node's lease ends by itself");
    }
}

/// One beat. That one is lost is no news: [`sync`](crate::sync) tells when the database is away.
pub(crate) async fn beat(state: &State) {
    let given = &state.given;
    let beat = nodes::beat(&given.database, state.id, &given.settings.node, LEASE);
    match tokio::time::timeout(EVERY, beat).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a beat was lost"),
        Err(elapsed) => tracing::debug!(error = %elapsed, "a beat was lost"),
    }
}
