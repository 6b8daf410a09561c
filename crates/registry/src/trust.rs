//! What may run although its author's code is in it, by itself, and what is tried again.

use auth::{Permit, verbs};
use domain::{AuditEvent, ModelName, Problem, Resource, Runtime, Servable};
use serde_json::json;
use store::{
    Change, trials,
    versions::{self, Version},
};

use crate::{Result, State, models, publish::publish, versions::lock};

/// Lets a version's pickles and code run while the platform's setting `pickle` is `safe-only`, for this reason.
/// A version that was not tried because of the setting is tried.
///
/// # Errors
/// It is not there.
pub async fn give(
    state: &State,
    permit: &Permit<verbs::Administer>,
    model: &ModelName,
    number: i32,
    reason: &str,
) -> Result<Version> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let before = lock(&mut change, &model, number).await?;
    versions::set_trust(&mut change, before.id, Some((permit.actor(), reason))).await?;
    trials::again(&mut change, Some(before.id)).await?;
    let after = lock(&mut change, &model, number).await?;
    let detail = json!({"model": model.name, "version": number, "reason": reason});
    let event = about(&model.name, permit.event("version.trusted", detail));
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Takes that back. What is served already goes on; nothing is deployed anew. Nothing happens where it has none.
///
/// # Errors
/// It is not there.
pub async fn take(
    state: &State,
    permit: &Permit<verbs::Administer>,
    model: &ModelName,
    number: i32,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let before = lock(&mut change, &model, number).await?;
    if before.trust.is_none() {
        return Ok(());
    }
    versions::set_trust(&mut change, before.id, None).await?;
    let after = lock(&mut change, &model, number).await?;
    let detail = json!({"model": model.name, "version": number});
    let event = about(&model.name, permit.event("version.distrusted", detail));
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await
}

/// The permission is the platform's, but it is the model that is another one now.
fn about(model: &ModelName, event: AuditEvent) -> AuditEvent {
    AuditEvent { resource: Resource::Model(model.to_string()), ..event }
}

/// Tries a version again that is not servable: a server may answer by now, or a package be there.
///
/// # Errors
/// It is not there; its trial is not over, or found it good; nothing runs it.
pub async fn try_again(
    state: &State,
    permit: &Permit<verbs::Edit>,
    model: &ModelName,
    number: i32,
) -> Result<Version> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = lock(&mut change, &model, number).await?;
    let name = &model.name;
    let refused = |message: String| Err(Problem::conflict(message).at("version").into());
    match (version.servable, version.runtime) {
        (Servable::Checking, _) => {
            return refused(format!("the trial of `{name}/{number}` is not over"));
        }
        (Servable::Yes, _) => return refused(format!("`{name}/{number}` is servable already")),
        (Servable::No, Runtime::None) => {
            let reason = version.reason.as_deref().unwrap_or("nothing runs it");
            return refused(format!("there is nothing to try of `{name}/{number}`: {reason}"));
        }
        (Servable::No, Runtime::Onnx | Runtime::Python | Runtime::External | Runtime::Process) => {}
    }
    trials::retry(&mut change, version.id).await?;
    let after = lock(&mut change, &model, number).await?;
    let event = permit.event("version.tried_again", json!({"model": name, "version": number}));
    publish(change, event.changed(Some(&version.describe()), Some(&after.describe()))).await?;
    Ok(after)
}
