//! Collections: what was deleted longer ago than the retention time goes for good, and with it the
//! bytes that nothing names any more.
//!
//! It goes in rounds, each a short transaction and a bounded number of objects. So whoever dies on
//! the way leaves the rest to the next round, and any number of processes may do it at once.

use std::time::Duration;

use artifacts::Policy;
use auth::{Access, Permit, verbs};
use chrono::TimeDelta;
use domain::{AuditEvent, Problem, Resource, Timestamp};
use serde_json::{Value, json};
use store::{
    Change,
    blobs::{self, Heap},
    purge::{self, Counts, Purged},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Result, State};

/// How long what is deleted can be restored, unless the operator says otherwise.
pub const RETENTION: TimeDelta = TimeDelta::days(30);

/// The longest duration of an order.
const LONGEST: TimeDelta = TimeDelta::days(36_500);

/// How long one call works before it answers that there is more.
const PATIENCE: Duration = Duration::from_secs(20);

/// What shall be collected.
#[derive(Debug, Clone, Copy, Default)]
pub struct Order {
    /// What was deleted longer ago than this; the retention time unless given.
    pub older_than: Option<TimeDelta>,
    /// How long bytes stay that nothing names: someone may be about to name them, or be reading
    /// them. The platform's own graces unless given.
    pub grace: Option<TimeDelta>,
}

impl Order {
    fn policy(self) -> Policy {
        self.grace.map_or_else(Policy::default, |grace| Policy { untouched: grace, grace })
    }

    fn before(self, state: &State) -> Timestamp {
        let age = self.older_than.unwrap_or(state.retention);
        // A retention longer than time itself keeps all.
        let before = state.database.now().checked_sub_signed(age);
        before.unwrap_or_default().max(Timestamp::default())
    }
}

/// What a collection did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collection {
    /// What was deleted before this instant went.
    pub before: Timestamp,
    /// How much that was.
    pub purged: Counts,
    /// The objects that were deleted, and their bytes.
    pub freed: Heap,
    /// Objects that could not be deleted; the next collection tries again.
    pub failed: u64,
    /// What nothing names any more and stays for its grace.
    pub waiting: Heap,
    /// Whether nothing is left to do but to wait.
    pub complete: bool,
}

/// Collects, for as long as one call may take: where that is not enough, the next call goes on.
///
/// # Errors
/// The database is away; what went before that is gone.
pub async fn collect(
    state: &State,
    permit: &Permit<verbs::Administer>,
    order: Order,
) -> Result<Collection> {
    let began = Instant::now();
    let mut done = Collection { before: order.before(state), ..Collection::default() };
    while !done.complete && began.elapsed() < PATIENCE {
        round(state, permit, order.policy(), &mut done).await?;
    }
    let (left, _) = blobs::doomed(&state.database, done.before).await?;
    let unnamed = purge::preview(&state.database, done.before, done.before).await?.unnamed;
    done.waiting = sum(left, unnamed);
    let change = Change::begin(&state.database).await?;
    change.commit(&permit.event("collection.finished", describe(&done))).await?;
    Ok(done)
}

/// What [`collect`] would do, were it called now. It changes nothing.
///
/// # Errors
/// The database is away.
pub async fn preview(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    order: Order,
) -> Result<Collection> {
    let (policy, before) = (order.policy(), order.before(state));
    let now = state.database.now();
    let found = purge::preview(&state.database, before, now - policy.untouched).await?;
    let (doomed, due) = blobs::doomed(&state.database, now).await?;
    // Without a grace, what is doomed goes at once.
    let freed = if policy.grace.is_zero() { sum(doomed, found.untouched) } else { due };
    let all = sum(doomed, found.unnamed);
    Ok(Collection {
        before,
        purged: found.counts,
        freed,
        failed: 0,
        waiting: Heap { count: all.count - freed.count, bytes: all.bytes - freed.bytes },
        complete: true,
    })
}

/// Collects every so often, by the retention time, until it is told to stop.
pub async fn collect_forever(
    state: &State,
    access: &Access,
    every: Duration,
    stop: CancellationToken,
) {
    let permit = access.system::<verbs::Administer>("collector", Resource::Platform);
    loop {
        match stop.run_until_cancelled(collect_all(state, &permit)).await {
            None => return,
            Some(Ok(done)) if done.purged == Counts::default() && done.freed.count == 0 => {}
            Some(Ok(Collection { purged, freed, failed, .. })) => {
                tracing::info!(?purged, ?freed, failed, "collected what was deleted");
            }
            Some(Err(error)) => tracing::error!(%error, "what was deleted is not collected"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

async fn collect_all(state: &State, permit: &Permit<verbs::Administer>) -> Result<Collection> {
    let order = Order::default();
    let mut done = Collection { before: order.before(state), ..Collection::default() };
    while !done.complete {
        round(state, permit, order.policy(), &mut done).await?;
    }
    Ok(done)
}

/// Some rows, some blobs, some objects.
async fn round(
    state: &State,
    permit: &Permit<verbs::Administer>,
    policy: Policy,
    done: &mut Collection,
) -> Result<()> {
    let purged = purge(state, permit, done.before).await?;
    for gone in &purged {
        done.purged.add(gone);
    }
    let report = state.artifacts.collect(policy).await?;
    done.freed = sum(done.freed, Heap { count: report.deleted, bytes: report.bytes });
    done.failed = report.failed;
    done.complete = purged.is_empty() && !report.more;
    Ok(())
}

/// One transaction, with an event for each thing that went.
async fn purge(
    state: &State,
    permit: &Permit<verbs::Administer>,
    before: Timestamp,
) -> Result<Vec<Purged>> {
    let mut change = Change::begin(&state.database).await?;
    let purged = purge::some(&mut change, before).await?;
    let mut events: Vec<_> = purged.iter().map(|gone| event(permit, gone)).collect();
    let Some(last) = events.pop() else { return Ok(purged) };
    for event in &events {
        change.record(event).await?;
    }
    change.commit(&last).await?;
    Ok(purged)
}

fn event(permit: &Permit<verbs::Administer>, gone: &Purged) -> AuditEvent {
    let (resource, change, detail) = match gone {
        Purged::Run(experiment, run) => (
            Resource::Experiment(experiment.to_string()),
            "run.purged",
            json!({"run": run.to_string()}),
        ),
        Purged::LoggedModel(experiment, model) => (
            Resource::Experiment(experiment.to_string()),
            "logged_model.purged",
            json!({"logged_model": model.to_string()}),
        ),
        Purged::Experiment(experiment, name) => (
            Resource::Experiment(experiment.to_string()),
            "experiment.purged",
            json!({"name": name}),
        ),
        Purged::Version(model, number) => (
            Resource::Model(model.to_string()),
            "version.purged",
            json!({"model": model, "version": number}),
        ),
        Purged::Model(model) => {
            (Resource::Model(model.to_string()), "model.purged", json!({"model": model}))
        }
    };
    AuditEvent { resource, ..permit.event(change, detail) }
}

fn describe(done: &Collection) -> Value {
    let Counts { experiments, runs, logged_models, models, versions } = done.purged;
    json!({
        "before": done.before, "objects": done.freed.count, "bytes_freed": done.freed.bytes,
        "failed": done.failed,
        "purged": {
            "experiments": experiments, "runs": runs, "logged_models": logged_models,
            "models": models, "versions": versions,
        },
    })
}

const fn sum(one: Heap, other: Heap) -> Heap {
    Heap { count: one.count + other.count, bytes: one.bytes + other.bytes }
}

/// Reads a duration of an order: `30d`, at most a hundred years.
///
/// # Errors
/// It is none, or longer.
pub fn duration(field: &str, text: &str) -> Result<TimeDelta, Problem> {
    let read = domain::parse_duration(text).map_err(|message| Problem::invalid(field, message))?;
    TimeDelta::from_std(read).ok().filter(|read| *read <= LONGEST).ok_or_else(|| {
        Problem::invalid(field, format!("`{text}`: expected at most {}d", LONGEST.num_days()))
    })
}
