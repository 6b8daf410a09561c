//! Work in the background: from the outbox to deliveries, from deliveries to receivers.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::Streak;
use store::{
    outbox::Listener,
    webhooks::{
        deliveries::{self, Claimed},
        feed,
    },
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Result, State, events, send};

/// How often we look although nobody told us to.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many deliveries are out at once in one process: many, since slow receivers may hold a few
/// each for as long as they may take.
const AT_ONCE: usize = 256;
/// How long a delivery is ours: longer than a receiver may take.
const LEASE: Duration = Duration::from_secs(60);
/// How long a stopping process waits for answers. What it misses is told again by another.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often what nobody needs any more is forgotten.
const TRIM_EVERY: Duration = Duration::from_secs(600);
/// How long the outbox is kept. Only webhooks read it, and they hold it until they are past.
const KEEP_EVENTS: TimeDelta = TimeDelta::hours(6);
/// How long ended deliveries can be looked at, and dead ones replayed.
const KEEP_DELIVERIES: TimeDelta = TimeDelta::days(30);

/// Tells webhooks what happens, until the process stops. Any number of processes may do so at once.
pub async fn run(state: Arc<State>, stop: CancellationToken) {
    let mut listener = Listener::new(&state.database);
    let mut trim = tokio::time::interval(TRIM_EVERY);
    let mut out = JoinSet::new();
    let mut streak = Streak::default();
    loop {
        match look(&state, &mut out).await {
            Ok(()) => drop(streak.ended()),
            Err(error) => {
                streak.failed();
                if streak.is_news() {
                    tracing::warn!(%error, "webhooks wait: their rows cannot be read");
                }
            }
        }
        tokio::select! {
            () = listener.changed(LOOK_EVERY) => {}
            Some(_ended) = out.join_next() => {}
            _ = trim.tick() => forget(&state).await,
            () = stop.cancelled() => break,
        }
    }
    let _late =
        tokio::time::timeout(FAREWELL, async { while out.join_next().await.is_some() {} }).await;
}

/// Starts whatever is due.
async fn look(state: &Arc<State>, out: &mut JoinSet<()>) -> Result<()> {
    feed::advance(&state.database, events::tell).await?;
    let free = i64::try_from(AT_ONCE.saturating_sub(out.len())).unwrap_or_default();
    if free > 0 {
        for claimed in deliveries::claim(&state.database, LEASE, free).await? {
            let state = Arc::clone(state);
            out.spawn(async move { attempt(&state, &claimed).await });
        }
    }
    Ok(())
}

/// What [`run`] does, once: tells whatever is due, and waits until it is told. Answers how much it was.
///
/// # Errors
/// The database is away.
pub async fn step(state: &Arc<State>) -> Result<usize> {
    let mut out = JoinSet::new();
    look(state, &mut out).await?;
    Ok(out.join_all().await.len())
}

async fn attempt(state: &State, claimed: &Claimed) {
    let to = (claimed.webhook, claimed.url.as_str());
    let answer = send::send(state, to, claimed.secret.as_deref(), claimed.id, &claimed.body).await;
    let status = answer.as_ref().ok().map(|answer| answer.status);
    let (outcome, error) =
        send::judge(&answer, claimed.attempt, state.database.now(), rand::random());
    tracing::debug!(
        delivery.id = %claimed.id, webhook.id = %claimed.webhook, claimed.attempt, status, error, ?outcome,
        "tried a delivery"
    );
    let error = error.as_deref();
    if let Err(error) = deliveries::finish(&state.database, claimed, &outcome, status, error).await
    {
        // It is told again when its lease ends.
        tracing::warn!(%error, delivery.id = %claimed.id, "what became of a delivery is not written");
    }
}

async fn forget(state: &State) {
    let now = state.database.now();
    let done = async {
        feed::trim(&state.database, now - KEEP_EVENTS).await?;
        deliveries::trim(&state.database, now - KEEP_DELIVERIES).await
    };
    if let Err(error) = done.await {
        tracing::debug!(%error, "old deliveries stay for now");
    }
}
