//! Says which nodes hold what, and ends releases: completed when those nodes are ready, failed when one cannot be.

use std::time::Duration;

use auth::verbs;
use domain::{
    ReleaseState, Resource, Streak, Timestamp,
    placement::place,
    rollout::{Decision, Observed, step},
};
use serde_json::json;
use store::{Change, endpoints, nodes, placements, releases, releases::Progressing};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{RESYNC, State};

/// Nodes that were silent for this long are forgotten.
const FORGET_NODES_AFTER: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// How long to wait for a sign of the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// Once the database is back, every node that is alive says so within this: before, all of them would seem
/// gone, and what they hold would move.
const BEATS: Duration = Duration::from_secs(3);

/// Looks whenever something may have changed, and when a deadline comes, until told to stop.
pub(crate) async fn run(state: State, mut looks: watch::Receiver<()>, stop: CancellationToken) {
    let mut streak = Streak::default();
    let mut is_away = false;
    loop {
        let looked = async {
            if is_away && state.database.ping(PATIENCE).await.is_ok() {
                sleep(BEATS).await;
            }
            let look = run_once(&state).await;
            is_away = look.is_err();
            match look {
                Ok(wake_at) => {
                    if streak.ended() {
                        tracing::info!("releases are reconciled again");
                    }
                    let pause = pause(wake_at, state.database.now());
                    // Whoever wakes us ends only when told to stop, as we are.
                    let _woken = timeout(pause, looks.changed()).await;
                }
                Err(error) => {
                    let pause = streak.failed();
                    if streak.is_news() {
                        tracing::error!(%error, "releases cannot be reconciled; trying again");
                    }
                    sleep(pause).await;
                }
            }
        };
        if stop.run_until_cancelled(looked).await.is_none() {
            return;
        }
    }
}

/// How long to sleep before a look at `wake_at`.
fn pause(wake_at: Option<Timestamp>, now: Timestamp) -> Duration {
    wake_at.map_or(RESYNC, |at| (at - now).to_std().unwrap_or_default().min(RESYNC))
}

/// Looks at every release that is on its way and ends those that are there, or cannot get there.
/// Answers when to look again even if nothing is heard.
///
/// # Errors
/// The database is away, or a row is broken; the other releases were still looked at.
pub async fn run_once(state: &State) -> store::Result<Option<Timestamp>> {
    let (database, now) = (&state.database, state.database.now());
    nodes::forget_dead(database, now - FORGET_NODES_AFTER).await?;
    // Before releases are looked at, which wait for what is placed here.
    let mut wake_at = placements::settle(database, place).await?.look_at;
    let progressing = releases::progressing(database).await?;
    if progressing.is_empty() {
        return Ok(wake_at);
    }
    let observed = nodes::observe(database).await?;
    let mut failure = None;
    for release in &progressing {
        match advance(state, release, &observed, now).await {
            Ok(next) => wake_at = [wake_at, next].into_iter().flatten().min(),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(wake_at), Err)
}

/// Does what is to be done with one release; answers when to look at it again.
async fn advance(
    state: &State,
    release: &Progressing,
    observed: &Observed,
    now: Timestamp,
) -> store::Result<Option<Timestamp>> {
    match step(&release.spec, observed, now) {
        Decision::Hold { reason, wake_at } => {
            tracing::debug!(endpoint.name = %release.endpoint, release.number, reason, "waiting");
            return Ok(Some(wake_at));
        }
        Decision::Complete => end(state, release, None).await?,
        Decision::Fail { reason } => end(state, release, Some(&reason)).await?,
    }
    Ok(None)
}

/// Ends a release, unless someone else did: as failed if there is a reason to, else as completed.
async fn end(state: &State, release: &Progressing, failure: Option<&str>) -> store::Result<()> {
    let (end, topic) = match failure {
        None => (ReleaseState::Completed, "release.completed"),
        Some(_) => (ReleaseState::Failed, "release.failed"),
    };
    let mut change = Change::begin(&state.database).await?;
    // The endpoint may be gone by now, and another of its name in its place.
    let before = endpoints::lock(&mut change, &release.endpoint).await?;
    let Some(before) = before.filter(|endpoint| endpoint.id == release.endpoint_id) else {
        return Ok(());
    };
    if !releases::finish(&mut change, &before, release.number, end, failure).await? {
        return Ok(());
    }
    let resource = Resource::Endpoint(release.endpoint.to_string());
    let detail = json!({ "release": release.number, "outcome": failure });
    change.emit(topic, &resource.to_string(), &detail).await?;
    let after = endpoints::lock(&mut change, &release.endpoint).await?;
    let permit = state.access.system::<verbs::Deploy>("reconciler", resource);
    let event = permit
        .event(topic, detail)
        .changed(Some(&before.describe()), after.map(|after| after.describe()).as_ref());
    change.commit(&event).await?;
    tracing::info!(endpoint.name = %release.endpoint, release.number, failure, "{topic}");
    Ok(())
}
