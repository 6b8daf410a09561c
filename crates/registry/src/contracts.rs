//! Contracts of endpoints: what their callers rely on. Each release is held to it; changing it is
//! an action of its own.

use auth::{Permit, verbs};
use domain::{
    EndpointRef, ModelId, ModelName, ModelRef, Problem, Signature, VersionId, VersionSelector,
    serving::Settings,
};
use serde_json::json;
use store::{
    Change,
    contracts::{self, Contract},
    endpoints::Endpoint,
    releases,
};

pub(crate) use store::contracts::adopt;

use crate::{Error, Result, State, aliases, endpoints, models, publish::publish, stages, versions};

/// The most models that a contract names.
const MOST_MODELS: usize = 100;

/// Refuses versions of which one does not fit the contract; `field` names what the caller asked for.
pub(crate) async fn require(
    change: &mut Change,
    endpoint: &Endpoint,
    (versions, serving): (&[VersionId], &Settings),
    field: &str,
) -> Result<()> {
    let mismatch = contracts::mismatch_of_any(change, endpoint.id, versions, serving).await?;
    let Some(mismatch) = mismatch else { return Ok(()) };
    let refusal = mismatch.refusal(&endpoint.endpoint).at(field);
    // No version alone has what its callers would see.
    let hint = format!(
        "if its callers shall get just that, take the contract away first: bottega endpoints contract clear {}",
        endpoint.endpoint
    );
    Err(if serving.hooks.is_empty() { refusal } else { refusal.hint(hint) }.into())
}

/// An endpoint's contract; absent where it never had one.
///
/// # Errors
/// The endpoint is not there.
pub async fn get(
    state: &State,
    permit: &Permit<verbs::View>,
    endpoint: &EndpointRef,
) -> Result<Option<Contract>> {
    let found = endpoints::get(state, permit, endpoint).await?.endpoint;
    Ok(contracts::get(&state.database, found.id).await?)
}

/// Where a contract's signature comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A version has it.
    Version(ModelRef),
    /// It is written out.
    Given(Signature),
    /// It stays what it is.
    Unchanged,
}

/// What a contract shall be.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What goes in and comes out.
    pub signature: Source,
    /// The models that may be served, none for any; absent: they stay as they are.
    pub models: Option<Vec<ModelName>>,
    /// Why.
    pub reason: Option<String>,
    /// The revision that shall be changed, 0 where there is none yet.
    pub if_revision: Option<i32>,
}

/// Gives an endpoint another contract, which holds for releases from now on. What answers now goes on.
///
/// # Errors
/// The endpoint, the version or a model is not there; the version has no signature; there is no
/// contract to keep a part of; it was changed meanwhile.
pub async fn set(
    state: &State,
    permit: &Permit<verbs::Configure>,
    endpoint: &EndpointRef,
    terms: &Terms,
) -> Result<Contract> {
    let models = match &terms.models {
        Some(names) => Some(ids(state, names).await?),
        None => None,
    };
    let mut change = Change::begin(&state.database).await?;
    let signature = match &terms.signature {
        Source::Version(version) => Some(signature_of(&mut change, version).await?),
        Source::Given(signature) => {
            signature.require_distinct_names()?;
            Some(signature.clone())
        }
        Source::Unchanged => None,
    };
    let found = endpoints::lock(&mut change, endpoint).await?;
    // What callers see of a version, by the hooks that the endpoint has.
    let signature = match (signature, &terms.signature) {
        (Some(signature), Source::Version(_)) => {
            let release = releases::present(&mut change, &found).await?;
            let hooks = release.map(|release| release.serving.hooks).unwrap_or_default();
            Some(hooks.callers(&signature).map_err(|problem| problem.at("from"))?)
        }
        (signature, _) => signature,
    };
    let before = contracts::find(&mut change, found.id).await?;
    require_revision(before.as_ref(), terms.if_revision)?;
    let present = before.as_ref().and_then(|contract| contract.expected.as_ref());
    let signature = signature.or_else(|| present.map(|expected| expected.signature.clone()));
    let signature = signature.ok_or_else(|| {
        let message = format!("`{endpoint}` has no contract whose signature could stay");
        Problem::conflict(message).at("from").hint("name a version to take the signature from")
    })?;
    let models = models
        .or_else(|| before.as_ref().map(|contract| contract.models.clone()))
        .unwrap_or_default();
    let after =
        contracts::set(&mut change, found.id, Some((&signature, &models)), permit.actor()).await?;
    record(change, permit, endpoint, before.as_ref(), &after, terms.reason.as_deref()).await?;
    Ok(after)
}

/// Takes an endpoint's contract away: its next release gives it the next one.
///
/// # Errors
/// The endpoint is not there or has no contract; it was changed meanwhile.
pub async fn clear(
    state: &State,
    permit: &Permit<verbs::Configure>,
    endpoint: &EndpointRef,
    if_revision: Option<i32>,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let found = endpoints::lock(&mut change, endpoint).await?;
    let before = contracts::find(&mut change, found.id).await?;
    require_revision(before.as_ref(), if_revision)?;
    if before.as_ref().is_none_or(|contract| contract.expected.is_none()) {
        return Err(Problem::not_found("contract of", endpoint).at("endpoint").into());
    }
    let after = contracts::set(&mut change, found.id, None, permit.actor()).await?;
    record(change, permit, endpoint, before.as_ref(), &after, None).await
}

async fn record(
    change: Change,
    permit: &Permit<verbs::Configure>,
    endpoint: &EndpointRef,
    before: Option<&Contract>,
    after: &Contract,
    reason: Option<&str>,
) -> Result<()> {
    let name = if after.expected.is_some() { "contract.set" } else { "contract.cleared" };
    let detail = json!({"endpoint": endpoint, "revision": after.revision, "reason": reason});
    let event = permit.event(name, detail);
    let before = before.map(Contract::describe);
    publish(change, event.changed(before.as_ref(), Some(&after.describe()))).await
}

fn require_revision(present: Option<&Contract>, expected: Option<i32>) -> Result<(), Problem> {
    let revision = present.map_or(0, |contract| contract.revision);
    match expected {
        Some(expected) if expected != revision => {
            let message = format!("the contract's revision is {revision}, not {expected}");
            Err(Problem::conflict(message)
                .at("if_revision")
                .hint("somebody changed it meanwhile: look again"))
        }
        _ => Ok(()),
    }
}

/// The models of these names, in the order of their names.
async fn ids(state: &State, names: &[ModelName]) -> Result<Vec<ModelId>> {
    if names.len() > MOST_MODELS {
        let message = format!("{} models: expected at most {MOST_MODELS}", names.len());
        return Err(Problem::invalid("models", message).into());
    }
    let mut names: Vec<_> = names.iter().collect();
    names.sort_unstable_by_key(|name| name.as_str());
    names.dedup();
    let mut ids = Vec::new();
    for name in names {
        let found = store::models::get(&state.database, name).await?;
        ids.push(found.ok_or_else(|| Problem::not_found("model", name).at("models"))?.id);
    }
    Ok(ids)
}

/// What goes in and comes out of a version.
async fn signature_of(change: &mut Change, reference: &ModelRef) -> Result<Signature> {
    let at = |error: Error| Error::from(Problem::from(error).at("from"));
    let model = models::lock(change, &reference.model).await.map_err(at)?;
    let number = match &reference.version {
        VersionSelector::Number(number) => *number,
        VersionSelector::Alias(alias) => {
            let found = model.aliases.get(alias).copied();
            found.ok_or_else(|| at(aliases::absent(&model, alias)))?
        }
        VersionSelector::Stage(stage) => {
            let stage = stages::canonical(&model, stage.as_str())?;
            let newest = store::versions::lock_newest_in_stage(change, model.id, &stage).await?;
            newest.ok_or_else(|| stages::empty(&model, &stage).at("from"))?.number
        }
    };
    let version = versions::lock(change, &model, number).await.map_err(at)?;
    version.signature.ok_or_else(|| {
        let message = format!("`{}/{number}` has no signature that could be kept", model.name);
        Problem::conflict(message).at("from").into()
    })
}
