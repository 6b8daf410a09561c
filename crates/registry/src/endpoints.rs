//! Endpoints: the names that callers use. What one serves is its releases; see [`crate::releases`].

use std::{collections::HashMap, time::Duration};

use auth::{Permit, verbs};
use domain::{
    Cursor, EndpointId, EndpointRef, Follows, Limit, ModelRef, Page, Problem, Servable, Timestamp,
    VersionSelector, WeightedVersion,
};
use serde_json::json;
use store::{
    Change, access,
    endpoint_history::{self, EndpointThen},
    endpoints::{self, Endpoint, Target},
    releases::{self, Release},
    versions::Version,
};

use crate::{
    Error, Result, State, aliases, contracts,
    models::{self},
    publish::publish,
    stages, versions,
};

/// An endpoint with the releases that matter now.
#[derive(Debug, Clone)]
pub struct View {
    /// It.
    pub endpoint: Endpoint,
    /// The release that answers.
    pub live: Option<Release>,
    /// The release that is being prepared to; absent when that is over.
    pub target: Option<Release>,
}

/// How far an endpoint has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointState {
    /// A release answers, and none is on its way.
    Ready,
    /// A release is on its way; the one before, if there is one, answers.
    Progressing,
    /// Nothing answers: no release ever completed, and the last one failed.
    Failed,
    /// There is no release yet.
    Empty,
}

impl EndpointState {
    /// The state of this endpoint. Its row alone says it, so it is of one moment.
    #[must_use]
    pub const fn of(endpoint: &Endpoint) -> Self {
        match (endpoint.live_release, endpoint.target_release) {
            (Some(live), Some(target)) if live == target => Self::Ready,
            (_, Some(_)) => Self::Progressing,
            (Some(_), None) => Self::Ready,
            (None, None) if endpoint.last_release > 0 => Self::Failed,
            (None, None) => Self::Empty,
        }
    }
}

/// Lists endpoints by name.
///
/// # Errors
/// The cursor is not of this list.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<View>> {
    let page = endpoints::list(&state.database, permit.visible(), cursor, limit).await?;
    Ok(Page { items: views(state, page.items).await?, next: page.next })
}

/// One endpoint.
///
/// # Errors
/// It is not there.
pub async fn get(
    state: &State,
    _permit: &Permit<verbs::View>,
    endpoint: &EndpointRef,
) -> Result<View> {
    let found = endpoints::get(&state.database, endpoint).await?;
    view(state, found.ok_or_else(|| absent(endpoint))?).await
}

/// One endpoint, as soon as no release is on its way or `wait` has passed.
///
/// # Errors
/// It is not there.
pub async fn settled(
    state: &State,
    permit: &Permit<verbs::View>,
    endpoint: &EndpointRef,
    wait: Duration,
) -> Result<View> {
    let read = async || get(state, permit, endpoint).await;
    let is_over = |view: &View| EndpointState::of(&view.endpoint) != EndpointState::Progressing;
    state.settled(wait, read, is_over).await
}

/// The changes of an endpoint up to a moment, newest first, and how it stood then.
///
/// # Errors
/// There never was one of that name, or the cursor is not of this list.
pub async fn history(
    state: &State,
    _permit: &Permit<verbs::View>,
    endpoint: &EndpointRef,
    as_of: Option<Timestamp>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<(Page<EndpointThen>, Option<EndpointThen>)> {
    let database = &state.database;
    let page = endpoint_history::list(database, endpoint, as_of, cursor, limit).await?;
    if page.items.is_empty() && cursor.is_none() && as_of.is_none() {
        return Err(absent(endpoint));
    }
    let standing = match as_of {
        Some(at) => endpoint_history::as_of(database, endpoint, at).await?,
        None => None,
    };
    Ok((page, standing))
}

/// What an endpoint shall serve.
#[derive(Debug, Clone)]
pub struct Order {
    /// An alias to follow or a version to stay with.
    pub model: ModelRef,
    /// Why.
    pub reason: Option<String>,
}

/// Makes an endpoint serve what an alias points to, from now on, or one version; makes it if it is
/// not there. Answers whether it was made. Nothing is done where all is so already.
///
/// # Errors
/// The model, the alias or the version is not there; the version cannot be served, or does not fit
/// the endpoint's contract.
pub async fn deploy(
    state: &State,
    permit: &Permit<verbs::Deploy>,
    endpoint: &EndpointRef,
    order: &Order,
) -> Result<(View, bool)> {
    let mut change = Change::begin(&state.database).await?;
    let (version, follows, target) = wanted(&mut change, &order.model).await?;
    let before = endpoints::lock(&mut change, endpoint).await?;
    let cause = permit.event("release.created", json!({}));
    let current = match before {
        Some(found) if serves(&mut change, &found, &follows, &version).await? => {
            // Its connection first: nobody may hold one and wait for another.
            drop(change);
            return Ok((view(state, found).await?, false));
        }
        Some(ref found) => {
            if !permit.is_for_present() {
                let team = access::team_of_endpoint(&mut change, found.id).await?;
                crate::require_own("endpoint", permit, team)?;
            }
            contracts::require(&mut change, found, &[version.id], "model").await?;
            endpoints::follow(&mut change, found.id, &target).await?;
            found.clone()
        }
        None => endpoints::insert(&mut change, endpoint, &target, permit.owner()).await?,
    };
    contracts::adopt(&mut change, &current, &version, &cause).await?;
    let share = WeightedVersion { version: version.id, weight: 100 };
    let (by, request) = (permit.actor(), permit.request_id());
    let reason = order.reason.as_deref();
    let release = releases::insert(&mut change, &current, &[share], reason, by, request).await?;
    let after = lock(&mut change, endpoint).await?;

    let detail = json!({
        "endpoint": endpoint, "follows": follows.to_string(), "release": release.describe(),
        "reason": reason,
    });
    let resource = permit.resource().to_string();
    if before.is_none() {
        let made = json!({"endpoint": endpoint, "follows": follows.to_string()});
        change.emit("endpoint.created", &resource, &made).await?;
    }
    change.emit("release.created", &resource, &detail).await?;
    let name = if before.is_some() { "endpoint.deployed" } else { "endpoint.created" };
    let event = permit
        .event(name, detail)
        .changed(before.as_ref().map(Endpoint::describe).as_ref(), Some(&after.describe()));
    change.commit(&event).await?;
    Ok((view(state, after).await?, before.is_none()))
}

/// The version that is asked for, which can be served, and how an endpoint follows it. Locks the
/// model, then the version.
async fn wanted(change: &mut Change, model: &ModelRef) -> Result<(Version, Follows, Target)> {
    let found = models::lock(change, &model.model).await?;
    let name = model.model.clone();
    let (number, follows) = match &model.version {
        VersionSelector::Number(number) => (*number, Follows::Pinned(name, *number)),
        VersionSelector::Stage(stage) => {
            let stage = stages::canonical(&found, stage.as_str())?;
            if stage.is_none() {
                let message =
                    format!("`{stage}` is where versions begin: no endpoint can follow it");
                return Err(Problem::invalid("model", message).into());
            }
            let newest = store::versions::lock_newest_in_stage(change, found.id, &stage).await?;
            let newest = newest.ok_or_else(|| stages::empty(&found, &stage))?;
            (newest.number, Follows::Stage(name, stage))
        }
        VersionSelector::Alias(alias) => match found.aliases.get(alias) {
            Some(number) => (*number, Follows::Alias(name, alias.clone())),
            None => return Err(aliases::absent(&found, alias)),
        },
    };
    let version = versions::lock(change, &found, number).await?;
    if let Some(obstacle) = version.obstacle() {
        let problem = Problem::conflict(obstacle).at("model");
        return Err(match version.servable {
            Servable::Checking => problem.hint("wait for it: GET …/versions/{version}?wait=60"),
            Servable::Yes | Servable::No => problem,
        }
        .into());
    }
    let target = match &follows {
        Follows::Pinned(..) => Target::Pinned(found.id, version.id),
        Follows::Alias(_, alias) => Target::Alias(found.id, alias.clone()),
        Follows::Stage(_, stage) => Target::Stage(found.id, stage.clone()),
    };
    Ok((version, follows, target))
}

/// Whether an endpoint follows just that and serves, or is about to serve, just that version.
async fn serves(
    change: &mut Change,
    endpoint: &Endpoint,
    follows: &Follows,
    version: &Version,
) -> Result<bool> {
    let Some(number) = endpoint.target_release.or(endpoint.live_release) else { return Ok(false) };
    if endpoint.follows != *follows || endpoint.held || endpoint.blocked.is_some() {
        return Ok(false);
    }
    let release = releases::find(change, endpoint.id, number).await?;
    Ok(release.is_some_and(
        |release| matches!(&release.shares[..], [share] if share.version == version.id),
    ))
}

/// Deletes an endpoint with its releases.
///
/// # Errors
/// It is not there.
pub async fn delete(
    state: &State,
    permit: &Permit<verbs::Delete>,
    endpoint: &EndpointRef,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let found = lock(&mut change, endpoint).await?;
    endpoints::delete(&mut change, found.id).await?;
    let event = permit.event("endpoint.deleted", json!({"endpoint": endpoint}));
    publish(change, event.changed(Some(&found.describe()), None)).await
}

/// An endpoint that must be there, locked until the change ends.
pub(crate) async fn lock(change: &mut Change, endpoint: &EndpointRef) -> Result<Endpoint> {
    endpoints::lock(change, endpoint).await?.ok_or_else(|| absent(endpoint))
}

fn absent(endpoint: &EndpointRef) -> Error {
    domain::Resource::Endpoint(endpoint.to_string()).absent().into()
}

/// The endpoint with the releases that matter now.
pub(crate) async fn view(state: &State, endpoint: Endpoint) -> Result<View> {
    let mut views = views(state, vec![endpoint]).await?;
    views.pop().ok_or_else(|| Problem::internal().into())
}

async fn views(state: &State, endpoints: Vec<Endpoint>) -> Result<Vec<View>> {
    let wanted: Vec<_> = endpoints
        .iter()
        .flat_map(|endpoint| {
            let numbers = [endpoint.live_release, endpoint.target_release];
            numbers.into_iter().flatten().map(|number| (endpoint.id, number))
        })
        .collect();
    let found: HashMap<(EndpointId, i32), Release> = releases::get_many(&state.database, &wanted)
        .await?
        .into_iter()
        .map(|release| ((release.endpoint_id, release.number), release))
        .collect();
    let release = |endpoint: &Endpoint, number: Option<i32>| {
        number.and_then(|number| found.get(&(endpoint.id, number))).cloned()
    };
    Ok(endpoints
        .into_iter()
        .map(|endpoint| {
            let target = endpoint
                .target_release
                .filter(|_| endpoint.target_release != endpoint.live_release);
            View {
                live: release(&endpoint, endpoint.live_release),
                target: release(&endpoint, target),
                endpoint,
            }
        })
        .collect())
}
