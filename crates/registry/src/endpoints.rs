//! Endpoints: the names that callers use. What one serves is its releases; see [`crate::releases`].

use std::{collections::HashMap, time::Duration};

use auth::{Permit, verbs};
use domain::{
    Cursor, EndpointId, EndpointRef, Follows, Limit, ModelName, ModelRef, Page, Problem, Servable,
    Timestamp, VersionSelector, WeightedVersion,
    serving::{Settings, Split},
};
use serde_json::{Map, Value, json};
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
    serving, stages, versions,
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

/// The model that an endpoint serves; absent where there is no endpoint.
///
/// # Errors
/// The database is away.
pub async fn model(
    state: &State,
    _permit: &Permit<verbs::Deploy>,
    endpoint: &EndpointRef,
) -> Result<Option<ModelName>> {
    let found = endpoints::get(&state.database, endpoint).await?;
    Ok(found.map(|found| found.follows.model().clone()))
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

/// What an endpoint shall serve, and how.
#[derive(Debug, Clone)]
pub struct Order {
    /// An alias to follow or a version to stay with; absent: what it serves already.
    pub model: Option<ModelRef>,
    /// Shares of several versions of that model; absent: all of it is that one version's.
    pub split: Option<Split>,
    /// What changes of how it is served.
    pub serving: Map<String, Value>,
    /// Why.
    pub reason: Option<String>,
}

/// Makes an endpoint serve what an alias points to, from now on, or one version, or several by their
/// shares; makes it if it is not there. Answers whether it was made. Nothing is done where all is so
/// already.
///
/// # Errors
/// The model, the alias or a version is not there; a version cannot be served, or does not fit the
/// endpoint's contract; the settings do not fit.
pub async fn deploy(
    state: &State,
    permit: &Permit<verbs::Deploy>,
    endpoint: &EndpointRef,
    order: &Order,
) -> Result<(View, bool)> {
    serving::check_servers(state, &order.serving).await?;
    let mut change = Change::begin(&state.database).await?;
    let chosen = match &order.model {
        Some(model) => Some(wanted(&mut change, model, order.split.as_ref()).await?),
        None => None,
    };
    let before = endpoints::lock(&mut change, endpoint).await?;
    let present = match &before {
        Some(found) => releases::present(&mut change, found).await?,
        None => None,
    };
    let chosen = match (chosen, &before) {
        (Some(chosen), _) => chosen,
        (None, Some(found)) => {
            let shares = serving::kept(&mut change, found, present.as_ref()).await?;
            Chosen { shares, follows: found.follows.clone(), target: None }
        }
        (None, None) => {
            let message = format!("missing field `model`: there is no endpoint `{endpoint}` yet");
            return Err(Problem::invalid("model", message).into());
        }
    };
    let Chosen { shares, follows, target } = chosen;
    let (main, _) = shares.first().ok_or_else(Problem::internal)?;
    let main = main.clone();
    let was = serving::inherited(present.as_ref(), &main, &order.serving)?;
    let settings = serving::changed(&was, &order.serving)?;
    serving::within(&settings, &was, state.limits.body_bytes)?;
    let shares = serving::with_named(&mut change, shares, &settings).await?;
    let versions: Vec<_> = shares
        .iter()
        .map(|(version, weight)| WeightedVersion { version: version.id, weight: *weight })
        .collect();
    let ids: Vec<_> = versions.iter().map(|share| share.version).collect();

    let cause = permit.event("release.created", json!({}));
    let current = match (before.clone(), target) {
        (Some(found), target)
            if is_so(&found, present.as_ref(), (&versions, &settings))
                && (target.is_none() || follows_freely(&found, &follows)) =>
        {
            // Its connection first: nobody may hold one and wait for another.
            drop(change);
            return Ok((view(state, found).await?, false));
        }
        (Some(found), target) => {
            if !permit.is_for_present() {
                let team = access::team_of_endpoint(&mut change, found.id).await?;
                crate::require_own("endpoint", permit, team)?;
            }
            contracts::require(&mut change, &found, (&ids, &settings), "model").await?;
            if let Some(target) = target {
                endpoints::follow(&mut change, found.id, &target).await?;
            }
            found
        }
        (None, Some(target)) => {
            endpoints::insert(&mut change, endpoint, &target, permit.owner()).await?
        }
        (None, None) => return Err(absent(endpoint)),
    };
    contracts::adopt(&mut change, &current, (&main, &settings), &cause).await?;
    let held = present.as_ref().map_or(1, |present| present.shares.len());
    endpoints::charge_replicas(&mut change, current.id, versions.len().saturating_sub(held));
    let new = releases::New {
        versions: &versions,
        serving: &settings,
        reason: order.reason.as_deref(),
        by: permit.actor(),
        request: permit.request_id(),
    };
    let release = releases::insert(&mut change, &current, &new).await?;
    let after = lock(&mut change, endpoint).await?;
    record(change, permit, (before.as_ref(), present.as_ref()), (&after, &release)).await?;
    Ok((view(state, after).await?, before.is_none()))
}

/// Ends the change that made a release, or an endpoint with its first one.
async fn record(
    mut change: Change,
    permit: &Permit<verbs::Deploy>,
    (before, present): (Option<&Endpoint>, Option<&Release>),
    (after, release): (&Endpoint, &Release),
) -> Result<()> {
    let (endpoint, follows) = (&after.endpoint, after.follows.to_string());
    let detail = json!({
        "endpoint": endpoint, "follows": follows, "release": release.describe(),
        "replaces": present.map(Release::describe), "reason": release.reason,
    });
    let resource = permit.resource().to_string();
    if before.is_none() {
        let made = json!({"endpoint": endpoint, "follows": follows});
        change.emit("endpoint.created", &resource, &made).await?;
    }
    change.emit("release.created", &resource, &detail).await?;
    let name = if before.is_some() { "endpoint.deployed" } else { "endpoint.created" };
    let event = permit
        .event(name, detail)
        .changed(before.map(Endpoint::describe).as_ref(), Some(&after.describe()));
    change.commit(&event).await?;
    Ok(())
}

/// What is to be served, by weights, the main version first, and how the endpoint follows it.
struct Chosen {
    shares: Vec<(Version, i32)>,
    follows: Follows,
    /// Absent where it follows what it followed.
    target: Option<Target>,
}

/// The versions that are asked for, which can be served, and how an endpoint follows them. Locks the
/// model, then the versions.
async fn wanted(change: &mut Change, model: &ModelRef, split: Option<&Split>) -> Result<Chosen> {
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
    let shares: Vec<(i32, i32)> = match split {
        None => vec![(number, 100)],
        Some(split) => of_split(split, number, &follows)?,
    };
    let mut versions = Vec::new();
    let mut order: Vec<i32> = shares.iter().map(|(number, _)| *number).collect();
    // All who lock several do it in one order.
    order.sort_unstable();
    for number in order {
        let version = versions::lock(change, &found, number).await?;
        if let Some(obstacle) = version.obstacle() {
            let problem = Problem::conflict(obstacle).at("model");
            return Err(match version.servable {
                Servable::Checking => problem.hint("wait for it: GET …/versions/{version}?wait=60"),
                Servable::Yes | Servable::No => problem,
            }
            .into());
        }
        versions.push(version);
    }
    let main = versions.iter().find(|version| version.number == number);
    let target = match &follows {
        Follows::Pinned(..) => Target::Pinned(found.id, main.ok_or_else(Problem::internal)?.id),
        Follows::Alias(_, alias) => Target::Alias(found.id, alias.clone()),
        Follows::Stage(_, stage) => Target::Stage(found.id, stage.clone()),
    };
    let weight = |number| shares.iter().find(|(other, _)| *other == number).map_or(0, |it| it.1);
    let mut shares: Vec<_> =
        versions.into_iter().map(|version| (weight(version.number), version)).collect();
    shares.sort_by_key(|(_, version)| version.number != number);
    let shares = shares.into_iter().map(|(weight, version)| (version, weight)).collect();
    Ok(Chosen { shares, follows, target: Some(target) })
}

/// The shares of a split, which the endpoint stays with: nothing that moves can be followed by several.
fn of_split(split: &Split, main: i32, follows: &Follows) -> Result<Vec<(i32, i32)>, Problem> {
    let Follows::Pinned(model, _) = follows else {
        let message = format!("a split stays with its versions, and `{follows}` moves");
        let hint = format!(
            "give `model` as one of them, like `{model}/{main}`",
            model = follows.model(),
            main = split.main()
        );
        return Err(Problem::invalid("model", message).hint(hint));
    };
    let shares: Vec<_> = split.shares().collect();
    if shares.iter().any(|(number, _)| *number == main) {
        return Ok(shares);
    }
    let message = format!("`{model}/{main}` has no share in the split");
    Err(Problem::invalid("split", message).hint("give `model` as one of its versions"))
}

/// Whether an endpoint serves, or is about to serve, just that in just that way.
fn is_so(
    endpoint: &Endpoint,
    present: Option<&Release>,
    (versions, serving): (&[WeightedVersion], &Settings),
) -> bool {
    let Some(present) = present else { return false };
    let is_there = |wanted: &WeightedVersion| {
        let same =
            |it: &releases::Share| (it.version, it.weight) == (wanted.version, wanted.weight);
        present.shares.iter().any(same)
    };
    endpoint.target_release.or(endpoint.live_release) == Some(present.number)
        && present.serving == *serving
        && present.shares.len() == versions.len()
        && versions.iter().all(is_there)
}

/// Whether an endpoint follows just that, and nothing keeps it from doing so.
fn follows_freely(endpoint: &Endpoint, follows: &Follows) -> bool {
    endpoint.follows == *follows && !endpoint.held && endpoint.blocked.is_none()
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

pub(crate) fn absent(endpoint: &EndpointRef) -> Error {
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
