//! Aliases: names that move from version to version, and take their followers along.

use auth::{Permit, verbs};
use domain::{AliasName, AuditEvent, Cursor, ErrorCode, Limit, ModelName, Page, Pointer, Problem};
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
    rules, versions,
};

/// Where an alias points after it was put there.
#[derive(Debug)]
pub struct Placed {
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

/// Lists the moves of an alias, newest first.
///
/// # Errors
/// The model is not there.
pub async fn history(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    alias: &AliasName,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Move>> {
    let model = models::get(state, permit, model).await?;
    Ok(aliases::history(&state.database, model.id, alias, cursor, limit).await?)
}

/// Points an alias to a version. Endpoints that follow it get a release each; who cannot take the
/// version stays where it is, with the reason.
///
/// # Errors
/// The model or the version is not there; promotion rules stand against it.
pub async fn promote(
    state: &State,
    permit: &Permit<verbs::Promote>,
    model: &ModelName,
    alias: &AliasName,
    version: i32,
    reason: Option<&str>,
) -> Result<Placed> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = versions::lock(&mut change, &model, version).await?;
    let mut placed = point(&mut change, permit, &model, alias, &version, reason).await?;
    if let Some(event) = placed.event.take() {
        publish(change, event).await?;
    }
    Ok(placed)
}

/// [`promote`] although promotion rules stand against it. The audit trail keeps the reason and what
/// each rule found.
///
/// # Errors
/// The model or the version is not there.
pub async fn promote_anyway(
    state: &State,
    permit: &Permit<verbs::Promote>,
    _override: &Permit<verbs::Administer>,
    model: &ModelName,
    alias: &AliasName,
    version: i32,
    reason: &str,
) -> Result<Placed> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = versions::lock(&mut change, &model, version).await?;
    let found = rules::ask(&mut change, &model, &version, alias.as_str()).await?;
    let mut placed = set(&mut change, permit, &model, alias, &version, Some(reason)).await?;
    if let Some(mut event) = placed.event.take() {
        event.detail["overridden"] = json!(found);
        publish(change, event).await?;
    }
    Ok(placed)
}

/// [`promote`] within a change that has locked model and version; does not publish the event.
/// Promotion rules are asked here, wherever a move comes from.
pub(crate) async fn point(
    change: &mut Change,
    permit: &Permit<verbs::Promote>,
    model: &Model,
    alias: &AliasName,
    version: &Version,
    reason: Option<&str>,
) -> Result<Placed> {
    let now = aliases::get(change, model.id, alias).await?.and_then(|alias| alias.version);
    if now.is_none_or(|(id, _)| id != version.id) {
        rules::require(change, model, version, alias.as_str()).await?;
    }
    set(change, permit, model, alias, version, reason).await
}

/// Moves an alias, whatever rules say.
async fn set(
    change: &mut Change,
    permit: &Permit<verbs::Promote>,
    model: &Model,
    alias: &AliasName,
    version: &Version,
    reason: Option<&str>,
) -> Result<Placed> {
    let before = aliases::get(change, model.id, alias).await?;
    if let Some(Alias { version: Some((id, _)), revision, .. }) = before
        && id == version.id
    {
        return Ok(Placed { revision, moved: false, followers: Vec::new(), event: None });
    }
    let to = Some((version.id, version.number));
    let (by, request) = (permit.actor(), permit.request_id());
    let done = aliases::set(change, model.id, alias, to, reason, by, request).await?;
    let event = moved(permit, model, &done);
    let pointer = Pointer::Alias(alias.clone());
    let followers = followers::bring(change, &pointer, version, &event).await?;
    Ok(Placed { revision: done.revision, moved: true, followers, event: Some(event) })
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
    Ok(moved(permit, model, &done))
}

fn moved(permit: &Permit<verbs::Promote>, model: &Model, done: &Move) -> AuditEvent {
    let describe = |version: Option<i32>| -> Option<Value> {
        version.map(|number| json!({"alias": done.alias, "version": number}))
    };
    let detail = json!({
        "model": model.name, "alias": done.alias, "revision": done.revision,
        "from": done.from, "to": done.to, "reason": done.reason,
    });
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
