//! Stages: each version is in one, and an endpoint may follow the newest version in one.

use auth::{Permit, verbs};
use domain::{
    AuditEvent, ErrorCode, ModelName, Pointer, Problem, Resource, Stage, promotion::Outcome,
};
use serde_json::json;
use store::{
    Change,
    followers::{self, Follower},
    models::Model,
    stages::{self, Move, Transition},
    versions::{self as rows, Version},
};

use crate::{Result, State, models, publish::publish, rules::Gate, versions};

/// A version that was moved to a stage.
#[derive(Debug)]
pub struct Placed {
    /// It, in its new stage.
    pub version: Version,
    /// Whether it was in another stage before.
    pub moved: bool,
    /// The numbers of the versions that were put away for it.
    pub archived: Vec<i32>,
    /// What became of the endpoints that follow a stage whose newest version is another now.
    pub followers: Vec<Follower>,
}

/// Where a version shall go.
#[derive(Debug, Clone)]
pub struct Order {
    /// The stage, one of the model's, whatever the case.
    pub stage: String,
    /// Whether all others that are there are put away.
    pub archive_existing: bool,
    /// Why.
    pub reason: Option<String>,
}

/// The newest version in each stage that has one, by number.
///
/// # Errors
/// The database is away.
pub async fn newest_in_each(
    state: &State,
    _permit: &Permit<verbs::View>,
    model: &Model,
) -> Result<Vec<Version>> {
    Ok(rows::newest_in_stages(&state.database, &[model.id]).await?)
}

/// The model's stage that this text means, whatever the case.
///
/// # Errors
/// The model has no such stage.
pub fn canonical(model: &Model, text: &str) -> Result<Stage, Problem> {
    let lower = text.to_lowercase();
    let found = model.stages.iter().find(|stage| stage.as_str().to_lowercase() == lower);
    found.cloned().ok_or_else(|| {
        let all: Vec<_> = model.stages.iter().map(Stage::as_str).collect();
        let shown: String = text.chars().take(100).collect();
        let message = format!(
            "Invalid Model Version stage: {shown}. Value must be one of {}.",
            all.join(", ")
        );
        Problem::invalid("stage", message)
    })
}

/// Moves a version to a stage. Endpoints that follow a stage whose newest version is another
/// afterwards get a release each; who cannot take it stays where it is, with the reason.
///
/// # Errors
/// The model or the version is not there; the model has no such stage; others are to be put away
/// where that makes no sense; promotion rules stand against it.
pub async fn transition(
    state: &State,
    permit: &Permit<verbs::Promote>,
    gate: Gate<'_>,
    model: &ModelName,
    number: i32,
    order: &Order,
) -> Result<Placed> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let stage = canonical(&model, &order.stage)?;
    if order.archive_existing && (stage.is_none() || stage.as_str() == Stage::ARCHIVED) {
        let message = format!(
            "Model version transition cannot archive existing model versions because '{stage}' is not an Active stage"
        );
        return Err(Problem::invalid("archive_existing_versions", message).into());
    }
    let version = versions::lock(&mut change, &model, number).await?;

    let mut leaving = Vec::new();
    if order.archive_existing {
        let there = rows::in_stage(&mut change, model.id, &stage).await?;
        leaving.extend(there.into_iter().filter(|other| other.id != version.id));
    }
    let archived: Vec<i32> = leaving.iter().map(|version| version.number).collect();
    let mut moves = Vec::new();
    if !leaving.is_empty() {
        let archive = canonical(&model, Stage::ARCHIVED)?;
        moves.extend(leaving.into_iter().map(|other| (other, archive.clone())));
    }
    let moved = version.stage != stage;
    if moved {
        moves.push((version, stage));
    }
    let done =
        carry_out(&mut change, permit, gate, &model, &moves, order.reason.as_deref()).await?;
    let version = versions::lock(&mut change, &model, number).await?;
    finish(change, &done.events).await?;
    Ok(Placed { version, moved, archived, followers: done.followers })
}

/// What the last transition to or from a stage did, undone.
#[derive(Debug)]
pub struct Reverted {
    /// The stage.
    pub stage: Stage,
    /// Every version that was moved, by number.
    pub moves: Vec<Move>,
    /// What became of the endpoints that follow a stage whose newest version is another now.
    pub followers: Vec<Follower>,
}

/// Undoes the last transition to or from a stage with all that it did, as versions that it archived:
/// a transition like any other. Again, it undoes that one.
///
/// # Errors
/// The model is not there, or has no such stage; nothing ever moved there; a version is deleted, or
/// elsewhere by now; promotion rules stand against it.
pub async fn revert(
    state: &State,
    permit: &Permit<verbs::Promote>,
    gate: Gate<'_>,
    model: &ModelName,
    stage: &str,
    reason: Option<&str>,
) -> Result<Reverted> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let stage = canonical(&model, stage)?;
    let last = stages::last_transition(&mut change, model.id, &stage).await?;
    if last.is_empty() {
        let message = format!("no version of `{}` was ever moved to or from `{stage}`", model.name);
        return Err(Problem::conflict(message).at("stage").into());
    }
    let mut moves = Vec::new();
    for done in &last {
        moves.push(back(&mut change, &model, done).await?);
    }
    let done = carry_out(&mut change, permit, gate, &model, &moves, reason).await?;
    finish(change, &done.events).await?;
    Ok(Reverted { stage, moves: done.moves, followers: done.followers })
}

/// A version and the stage that it was in before this move, where it can go back there.
async fn back(change: &mut Change, model: &Model, done: &Move) -> Result<(Version, Stage)> {
    let number = done.version;
    let refused = |message: String, hint: &str| Problem::conflict(message).at("stage").hint(hint);
    let (from, to) = match (&done.from, &done.to) {
        (Some(from), Some(to)) => (from, to),
        (Some(from), None) => {
            let message = format!("version {number} left `{from}` because it was deleted");
            return Err(refused(message, "restore that version").into());
        }
        (None, to) => {
            let place = to.as_ref().map_or(Stage::NONE, Stage::as_str);
            let message = format!("version {number} is in `{place}` because it was restored");
            return Err(refused(message, "move it to another stage, or delete it").into());
        }
    };
    let version = rows::lock_by_number(change, model.id, number).await?;
    let version = version.ok_or_else(|| {
        let message = format!("version {number}, which went from `{from}` to `{to}`, is deleted");
        refused(message, "restore that version, or move another one")
    })?;
    if version.stage != *to {
        let message = format!("version {number} is in `{}` by now, not in `{to}`", version.stage);
        return Err(refused(message, "move the versions one by one").into());
    }
    if !model.stages.contains(from) {
        let message = format!("version {number} came from `{from}`, which is no stage any more");
        return Err(refused(message, "move the versions one by one").into());
    }
    Ok((version, from.clone()))
}

/// Records all that was done, and makes it so; nothing was done where there is no event.
async fn finish(mut change: Change, events: &[AuditEvent]) -> Result<()> {
    if let Some((last, others)) = events.split_last() {
        for event in others {
            change.record(event).await?;
        }
        change.commit(last).await?;
    }
    Ok(())
}

struct Done {
    events: Vec<AuditEvent>,
    moves: Vec<Move>,
    followers: Vec<Follower>,
}

/// Makes these moves, unless rules stand against one of them, and brings the followers of every stage
/// whose newest version is another now.
async fn carry_out(
    change: &mut Change,
    permit: &Permit<verbs::Promote>,
    gate: Gate<'_>,
    model: &Model,
    moves: &[(Version, Stage)],
    reason: Option<&str>,
) -> Result<Done> {
    let mut touched: Vec<Stage> = Vec::new();
    for (version, to) in moves {
        for stage in [&version.stage, to] {
            if !touched.contains(stage) {
                touched.push(stage.clone());
            }
        }
    }
    let mut done = Done { events: Vec::new(), moves: Vec::new(), followers: Vec::new() };
    let before = newest(change, model, &touched).await?;
    let (by, request) = (permit.actor(), permit.request_id());
    let transition = Transition::begin(change, reason, by, request).await?;
    for (version, to) in moves {
        let overridden = gate.pass(change, model, version, to.as_str()).await?;
        let made = transition.set(change, version, to).await?;
        let event = moved(permit, model, &made, overridden.as_deref());
        change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
        done.events.push(event);
        done.moves.push(made);
    }
    let after = newest(change, model, &touched).await?;

    let Some(cause) = done.events.last().cloned() else { return Ok(done) };
    for ((stage, before), after) in touched.into_iter().zip(before).zip(after) {
        let brought = match (before, after) {
            (Some(before), Some(after)) if before.id == after.id => continue,
            (None, None) => continue,
            (_, Some(after)) => {
                followers::bring(change, &Pointer::Stage(stage), &after, &cause).await?
            }
            (Some(_), None) => followers::strand(change, model.id, &stage, &cause).await?,
        };
        done.followers.extend(brought);
    }
    done.moves.sort_by_key(|made| made.version);
    Ok(done)
}

async fn newest(
    change: &mut Change,
    model: &Model,
    stages: &[Stage],
) -> Result<Vec<Option<Version>>> {
    let mut found = Vec::new();
    for stage in stages {
        found.push(rows::lock_newest_in_stage(change, model.id, stage).await?);
    }
    Ok(found)
}

/// A version was deleted: whoever follows its stage, and was led to it, goes to the one before.
pub(crate) async fn leave(
    change: &mut Change,
    permit: &Permit<verbs::Delete>,
    gone: &Version,
    cause: &AuditEvent,
) -> Result<()> {
    let (by, request) = (permit.actor(), permit.request_id());
    Transition::begin(change, None, by, request).await?.leave(change, gone).await?;
    let pointer = Pointer::Stage(gone.stage.clone());
    match rows::lock_newest_in_stage(change, gone.model_id, &gone.stage).await? {
        Some(next) if next.number > gone.number => {}
        Some(next) => drop(followers::bring(change, &pointer, &next, cause).await?),
        None => drop(followers::strand(change, gone.model_id, &gone.stage, cause).await?),
    }
    Ok(())
}

/// A version was restored: whoever follows its stage goes to it where it is the newest there.
pub(crate) async fn come_back(
    change: &mut Change,
    permit: &Permit<verbs::Edit>,
    restored: &Version,
    cause: &AuditEvent,
) -> Result<()> {
    let (by, request) = (permit.actor(), permit.request_id());
    Transition::begin(change, None, by, request).await?.come_back(change, restored).await?;
    let newest = rows::lock_newest_in_stage(change, restored.model_id, &restored.stage).await?;
    if newest.is_some_and(|newest| newest.id == restored.id) {
        let pointer = Pointer::Stage(restored.stage.clone());
        followers::bring(change, &pointer, restored, cause).await?;
    }
    Ok(())
}

fn moved(
    permit: &Permit<verbs::Promote>,
    model: &Model,
    done: &Move,
    overridden: Option<&[Outcome]>,
) -> AuditEvent {
    let mut detail = json!({
        "model": model.name, "version": done.version, "from": done.from, "to": done.to,
        "reason": done.reason,
    });
    if let Some(outcomes) = overridden {
        detail["overridden"] = json!(outcomes);
    }
    let describe = |stage: &Option<Stage>| {
        stage.as_ref().map(|stage| json!({"version": done.version, "stage": stage}))
    };
    let event = permit.event("stage.moved", detail);
    let event = AuditEvent { resource: Resource::Model(model.name.to_string()), ..event };
    event.changed(describe(&done.from).as_ref(), describe(&done.to).as_ref())
}

/// What to say of a stage with no version in it.
pub(crate) fn empty(model: &Model, stage: &Stage) -> Problem {
    let message = format!("no version of `{}` is in the stage `{stage}`", model.name);
    Problem::new(ErrorCode::NotFound, message).at("stage")
}

/// Replaces the stages that a model's versions may be in; the first is where they begin.
///
/// # Errors
/// `None` is missing, one stands twice, or a version or an endpoint is in one that would go.
pub async fn define(
    state: &State,
    permit: &Permit<verbs::Edit>,
    model: &ModelName,
    stages: Vec<Stage>,
) -> Result<Model> {
    check(&stages)?;
    let mut change = Change::begin(&state.database).await?;
    let before = models::lock(&mut change, model).await?;
    for gone in before.stages.iter().filter(|stage| !stages.contains(stage)) {
        let pointer = Pointer::Stage(gone.clone());
        let in_use = rows::lock_newest_in_stage(&mut change, before.id, gone).await?.is_some()
            || !store::endpoints::lock_followers(&mut change, before.id, &pointer)
                .await?
                .is_empty();
        if in_use {
            let message = format!("the stage `{gone}` is in use by a version or an endpoint");
            return Err(Problem::new(ErrorCode::Conflict, message).at("stages").into());
        }
    }
    store::models::set_stages(&mut change, before.id, &stages).await?;
    let after = models::lock(&mut change, model).await?;
    let event = permit.event("model.edited", json!({"model": model, "stages": stages}));
    let event = event.changed(Some(&before.describe()), Some(&after.describe()));
    publish(change, event).await?;
    Ok(after)
}

fn check(stages: &[Stage]) -> Result<(), Problem> {
    let wrong = |message: String| Err(Problem::invalid("stages", message));
    if !(1..=20).contains(&stages.len()) {
        return wrong(format!("{} stages: expected 1 to 20", stages.len()));
    }
    if !stages.iter().any(Stage::is_none) {
        return wrong(format!("`{}` is missing: versions begin there", Stage::NONE));
    }
    let mut seen: Vec<String> = stages.iter().map(|stage| stage.as_str().to_lowercase()).collect();
    seen.sort_unstable();
    if let Some([one, _]) = seen.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        return wrong(format!("the stage `{one}` stands twice; case does not tell stages apart"));
    }
    Ok(())
}
