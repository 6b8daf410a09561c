//! Aliases: names that move from version to version, and take their followers along.

use auth::{Permit, verbs};
use domain::{AliasName, AuditEvent, ErrorCode, ModelName, Pointer, Problem, promotion::Outcome};
use serde_json::{Value, json};
use store::{
    Change,
    aliases::{self, Alias, Move},
    endpoints,
    followers::{self, Follower},
    models::Model,
    versions::Version,
};

use crate::{
    Error, Result, State,
    models::{self, listed},
    publish::publish,
    rules::Gate,
    versions,
};

/// Where an alias points after it was put there.
#[derive(Debug)]
pub struct Placed {
    /// The number of the version that it points to.
    pub version: i32,
    /// Its revision.
    pub revision: i32,
    /// Whether it pointed elsewhere, or nowhere, before.
    pub moved: bool,
    /// What became of the endpoints that follow it; none where it was not moved.
    pub followers: Vec<Follower>,
    /// The event of the move, to be published with the change; absent where it was not moved.
    pub(crate) event: Option<AuditEvent>,
}

/// Lists a model's aliases, by name.
///
/// # Errors
/// The model is not there.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
) -> Result<Vec<Alias>> {
    let model = models::get(state, permit, model).await?;
    Ok(aliases::list(&state.database, model.id).await?)
}

/// One alias that is set.
///
/// # Errors
/// The model is not there, or the alias is not set.
pub async fn get(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    alias: &AliasName,
) -> Result<Alias> {
    let model = models::get(state, permit, model).await?;
    let all = aliases::list(&state.database, model.id).await?;
    all.into_iter().find(|found| found.alias == *alias).ok_or_else(|| absent(&model, alias))
}

/// Points an alias to a version. Endpoints that follow it get a release each; who cannot take the
/// version stays where it is, with the reason.
///
/// # Errors
/// The model or the version is not there; promotion rules stand against it.
pub async fn promote(
    state: &State,
    permit: &Permit<verbs::Promote>,
    gate: Gate<'_>,
    model: &ModelName,
    alias: &AliasName,
    version: i32,
    reason: Option<&str>,
) -> Result<Placed> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = versions::lock(&mut change, &model, version).await?;
    let mut placed = point(&mut change, permit, gate, &model, alias, &version, reason).await?;
    if let Some(event) = placed.event.take() {
        publish(change, event).await?;
    }
    Ok(placed)
}

/// How an alias goes back.
#[derive(Debug, Clone, Default)]
pub struct Back {
    /// Why.
    pub reason: Option<String>,
    /// The revision that shall be undone: another one is left alone.
    pub if_revision: Option<i32>,
}

/// Points an alias to where it pointed before its last move: a promotion like any other. Again, it
/// undoes that one.
///
/// # Errors
/// The model is not there; the alias never moved, was moved meanwhile, pointed nowhere before, or to
/// a version that is deleted; promotion rules stand against it.
pub async fn revert(
    state: &State,
    permit: &Permit<verbs::Promote>,
    gate: Gate<'_>,
    model: &ModelName,
    alias: &AliasName,
    back: &Back,
) -> Result<Placed> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let last = aliases::last_move(&mut change, model.id, alias).await?;
    let last = last.ok_or_else(|| absent(&model, alias))?;
    let number = before(&model, &last, back.if_revision)?;
    let version = store::versions::lock_by_number(&mut change, model.id, number).await?;
    let version = version.ok_or_else(|| {
        let message = format!(
            "`{}@{alias}` pointed to version {number} before, which is deleted",
            model.name
        );
        Problem::conflict(message)
            .at("alias")
            .hint("restore that version, or point the alias to another one")
    })?;
    let reason = back.reason.as_deref();
    let mut placed = point(&mut change, permit, gate, &model, alias, &version, reason).await?;
    if let Some(event) = placed.event.take() {
        publish(change, event).await?;
    }
    Ok(placed)
}

/// The number of the version that an alias pointed to before its last move.
fn before(model: &Model, last: &Move, if_revision: Option<i32>) -> Result<i32, Problem> {
    let Move { alias, revision, .. } = last;
    if let Some(expected) = if_revision.filter(|expected| expected != revision) {
        let message = format!("`{}@{alias}` is at revision {revision}, not {expected}", model.name);
        return Err(Problem::conflict(message)
            .at("if_revision")
            .hint("it was moved meanwhile: look at its history before you undo that move"));
    }
    last.from.ok_or_else(|| {
        let message =
            format!("`{}@{alias}` pointed nowhere before revision {revision}", model.name);
        Problem::conflict(message).at("alias").hint("point it to a version by its number")
    })
}

/// [`promote`] within a change that has locked model and version; does not publish the event.
/// Promotion rules are asked here, wherever a move comes from.
pub(crate) async fn point(
    change: &mut Change,
    permit: &Permit<verbs::Promote>,
    gate: Gate<'_>,
    model: &Model,
    alias: &AliasName,
    version: &Version,
    reason: Option<&str>,
) -> Result<Placed> {
    let before = aliases::get(change, model.id, alias).await?;
    if let Some(Alias { version: Some((id, number)), revision, .. }) = before
        && id == version.id
    {
        let followers = Vec::new();
        return Ok(Placed { version: number, revision, moved: false, followers, event: None });
    }
    let overridden = gate.pass(change, model, version, alias.as_str()).await?;
    let to = Some((version.id, version.number));
    let (by, request) = (permit.actor(), permit.request_id());
    let done = aliases::set(change, model.id, alias, to, reason, by, request).await?;
    let event = moved(permit, model, &done, overridden.as_deref());
    let pointer = Pointer::Alias(alias.clone());
    let followers = followers::bring(change, &pointer, version, &event).await?;
    Ok(Placed {
        version: version.number,
        revision: done.revision,
        moved: true,
        followers,
        event: Some(event),
    })
}

/// Unsets an alias. Its history and its revision stay.
///
/// # Errors
/// The model is not there, the alias is not set, or endpoints follow it.
pub async fn unset(
    state: &State,
    permit: &Permit<verbs::Promote>,
    model: &ModelName,
    alias: &AliasName,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    if !model.aliases.contains_key(alias) {
        return Err(absent(&model, alias));
    }
    let event = take(&mut change, permit, &model, alias).await?;
    publish(change, event).await
}

/// [`unset`] within a change that has locked the model, of an alias that is set; does not publish
/// the event.
pub(crate) async fn take(
    change: &mut Change,
    permit: &Permit<verbs::Promote>,
    model: &Model,
    alias: &AliasName,
) -> Result<AuditEvent> {
    let pointer = Pointer::Alias(alias.clone());
    let followers = endpoints::lock_followers(change, model.id, &pointer).await?;
    if !followers.is_empty() {
        let names = listed(followers.iter().map(|follower| &follower.endpoint).take(20));
        let message = format!("the endpoints {names} follow `{}@{alias}`", model.name);
        return Err(Problem::conflict(message)
            .hint("deploy something else to these endpoints, or delete them, first")
            .into());
    }
    let (by, request) = (permit.actor(), permit.request_id());
    let done = aliases::set(change, model.id, alias, None, None, by, request).await?;
    Ok(moved(permit, model, &done, None))
}

fn moved(
    permit: &Permit<verbs::Promote>,
    model: &Model,
    done: &Move,
    overridden: Option<&[Outcome]>,
) -> AuditEvent {
    let describe = |version: Option<i32>| -> Option<Value> {
        version.map(|number| json!({"alias": done.alias, "version": number}))
    };
    let mut detail = json!({
        "model": model.name, "alias": done.alias, "revision": done.revision,
        "from": done.from, "to": done.to, "reason": done.reason,
    });
    if let Some(outcomes) = overridden {
        detail["overridden"] = json!(outcomes);
    }
    permit
        .event("alias.moved", detail)
        .changed(describe(done.from).as_ref(), describe(done.to).as_ref())
}

/// What to say of an alias that is not set: which ones are.
pub(crate) fn absent(model: &Model, alias: &AliasName) -> Error {
    let what = if model.aliases.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", listed(model.aliases.keys()))
    };
    let message = format!("`{}` has no alias `{alias}`: {what}", model.name);
    Problem::new(ErrorCode::NotFound, message).at("alias").into()
}
