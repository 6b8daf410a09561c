//! Stages: each version is in one, and an endpoint may follow the newest version in one.

use auth::{Permit, verbs};
use domain::{
    AuditEvent, Cursor, ErrorCode, Limit, ModelName, Page, Pointer, Problem, Resource, Stage,
};
use serde_json::json;
use store::{
    Change,
    followers::{self, Follower},
    models::Model,
    stages::{self, Move},
    versions::{self as rows, Version},
};

use crate::{Result, State, models, rules, versions};

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

/// Lists the moves to and from a stage, newest first; of all stages where none is given.
///
/// # Errors
/// The model is not there.
pub async fn history(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    stage: Option<&Stage>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Move>> {
    let model = models::get(state, permit, model).await?;
    Ok(stages::history(&state.database, model.id, stage, cursor, limit).await?)
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
    let archive = match archived.is_empty() {
        true => None,
        false => Some(canonical(&model, Stage::ARCHIVED)?),
    };
    let moved = version.stage != stage;
    let mut moves: Vec<(&Version, &Stage)> = Vec::new();
    moves.extend(leaving.iter().zip(archive.iter().cycle()));
    if moved {
        rules::require(&mut change, &model, &version, stage.as_str()).await?;
        moves.push((&version, &stage));
    }
    let done = carry_out(&mut change, permit, &model, &moves, order.reason.as_deref()).await?;

    let version = versions::lock(&mut change, &model, number).await?;
    if let Some((last, others)) = done.events.split_last() {
        for event in others {
            change.record(event).await?;
        }
        change.commit(last).await?;
    }
    Ok(Placed { version, moved, archived, followers: done.followers })
}

struct Done {
    events: Vec<AuditEvent>,
    followers: Vec<Follower>,
}

/// Makes these moves, and brings the followers of every stage whose newest version is another now.
async fn carry_out(
    change: &mut Change,
    permit: &Permit<verbs::Promote>,
    model: &Model,
    moves: &[(&Version, &Stage)],
    reason: Option<&str>,
) -> Result<Done> {
    let mut touched: Vec<Stage> = Vec::new();
    for (version, to) in moves {
        for stage in [&version.stage, *to] {
            if !touched.contains(stage) {
                touched.push(stage.clone());
            }
        }
    }
    let before = newest(change, model, &touched).await?;
    let (by, request) = (permit.actor(), permit.request_id());
    let mut events = Vec::new();
    for (version, to) in moves {
        let done = stages::set(change, version, to, reason, by, request).await?;
        let event = moved(permit, model, &done);
        change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
        events.push(event);
    }
    let after = newest(change, model, &touched).await?;

    let mut brought = Vec::new();
    let Some(cause) = events.last().cloned() else {
        return Ok(Done { events, followers: brought });
    };
    for ((stage, before), after) in touched.into_iter().zip(before).zip(after) {
        let Some(after) = after else { continue };
        if before.is_some_and(|before| before.id == after.id) {
            continue;
        }
        let pointer = Pointer::Stage(stage);
        brought.extend(followers::bring(change, &pointer, &after, &cause).await?);
    }
    Ok(Done { events, followers: brought })
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

/// The newest version in a stage is about to go, or is gone: whoever follows it goes to the one
/// before, if there is one.
pub(crate) async fn fall_back(
    change: &mut Change,
    gone: &Version,
    cause: &AuditEvent,
) -> Result<()> {
    let next = rows::lock_newest_in_stage(change, gone.model_id, &gone.stage).await?;
    if let Some(next) = next.filter(|next| next.number < gone.number) {
        let pointer = Pointer::Stage(gone.stage.clone());
        followers::bring(change, &pointer, &next, cause).await?;
    }
    Ok(())
}

fn moved(permit: &Permit<verbs::Promote>, model: &Model, done: &Move) -> AuditEvent {
    let detail = json!({
        "model": model.name, "version": done.version, "from": done.from, "to": done.to,
        "reason": done.reason,
    });
    let describe = |stage: &Stage| json!({"version": done.version, "stage": stage});
    let event = permit.event("stage.moved", detail);
    let event = AuditEvent { resource: Resource::Model(model.name.to_string()), ..event };
    event.changed(Some(&describe(&done.from)), Some(&describe(&done.to)))
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
    crate::publish::publish(change, event).await?;
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
