//! Releases: what an endpoint served, serves and is about to serve.

use auth::{Permit, verbs};
use domain::{Cursor, EndpointRef, ErrorCode, Limit, Page, Problem, ReleaseState, WeightedVersion};
use serde_json::json;
use store::{
    Change,
    endpoints::{self, Endpoint},
    releases::{self, Release, Share},
    versions,
};

use crate::{
    Error, Result, State, contracts,
    endpoints::{get as endpoint, lock},
    publish::publish,
};

/// Lists an endpoint's releases, newest first: who was live when.
///
/// # Errors
/// The endpoint is not there.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    of: &EndpointRef,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Release>> {
    let found = endpoint(state, permit, of).await?.endpoint;
    Ok(releases::list(&state.database, found.id, cursor, limit).await?)
}

/// One release.
///
/// # Errors
/// The endpoint or the release is not there.
pub async fn get(
    state: &State,
    permit: &Permit<verbs::View>,
    of: &EndpointRef,
    number: i32,
) -> Result<Release> {
    let found = endpoint(state, permit, of).await?.endpoint;
    let release = releases::get(&state.database, found.id, number).await?;
    release.ok_or_else(|| absent(&found, number))
}

/// The newest release: the way that the endpoint is on, or went last.
///
/// # Errors
/// The endpoint is not there or has no release.
pub async fn newest(
    state: &State,
    permit: &Permit<verbs::View>,
    of: &EndpointRef,
) -> Result<Release> {
    let found = endpoint(state, permit, of).await?.endpoint;
    let release = releases::get(&state.database, found.id, found.last_release).await?;
    release.ok_or_else(|| absent(&found, found.last_release))
}

/// Goes back: a new release with the versions and settings of an earlier one, by default of the newest completed
/// one that served something else. If a release is on its way, it is given up, and what answers now
/// stays. The endpoint does not follow its alias until that moves again.
///
/// # Errors
/// The endpoint is not there; there is nothing to go back to; `to` is not there, never answered or
/// is what answers now; its version may not be deployed any more, or does not fit the contract.
pub async fn roll_back(
    state: &State,
    permit: &Permit<verbs::Deploy>,
    of: &EndpointRef,
    to: Option<i32>,
    reason: Option<&str>,
) -> Result<Release> {
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, of).await?;
    let current = current(&mut change, &before).await?;
    let chosen = match to {
        Some(number) => named(&mut change, &before, &current, number).await?,
        None => earlier(&mut change, &before, &current).await?,
    };
    require_deployable(&mut change, &chosen).await?;
    let versions: Vec<_> = chosen.shares.iter().map(|share| share.version).collect();
    contracts::require(&mut change, &before, (&versions, &chosen.serving), "to").await?;
    let release = restore(&mut change, permit, &before, &chosen, reason).await?;
    let after = lock(&mut change, of).await?;

    let detail = json!({
        "endpoint": of, "release": release.describe(), "from": current.number, "to": chosen.number,
        "reason": reason,
    });
    change.emit("release.created", &permit.resource().to_string(), &detail).await?;
    let event = permit
        .event("endpoint.rolled_back", detail)
        .changed(Some(&before.describe()), Some(&after.describe()));
    publish(change, event).await?;
    Ok(release)
}

/// The release to be left: the one on its way, else the one that answers.
async fn current(change: &mut Change, endpoint: &Endpoint) -> Result<Release> {
    let number = endpoint.target_release.or(endpoint.live_release).unwrap_or_default();
    let release = releases::find(change, endpoint.id, number).await?;
    release.ok_or_else(|| {
        Problem::conflict(format!("`{}` serves nothing that could be left", endpoint.endpoint))
            .at("endpoint")
            .into()
    })
}

/// The release that the caller names.
async fn named(
    change: &mut Change,
    endpoint: &Endpoint,
    current: &Release,
    number: i32,
) -> Result<Release> {
    let release = releases::find(change, endpoint.id, number).await?;
    let release = release.ok_or_else(|| absent(endpoint, number))?;
    let refusal = |why: &str| {
        let message = format!("release {number} of `{}` {why}", endpoint.endpoint);
        Err(Problem::conflict(message).at("to").into())
    };
    match release.state {
        _ if number == current.number => refusal("is the one to be left"),
        ReleaseState::Completed | ReleaseState::RolledBack => Ok(release),
        ReleaseState::Failed => refusal("never answered: it failed"),
        ReleaseState::Aborted => refusal("never answered: it was aborted"),
        ReleaseState::Progressing => refusal("is still on its way"),
    }
}

/// The newest completed release before that serves something else.
async fn earlier(change: &mut Change, endpoint: &Endpoint, current: &Release) -> Result<Release> {
    let mut number = current.number;
    while let Some(release) = releases::find_completed_before(change, endpoint.id, number).await? {
        let is_same = weighted(&release.shares) == weighted(&current.shares);
        if !is_same || release.serving != current.serving {
            return Ok(release);
        }
        number = release.number;
    }
    let message = format!("no earlier release of `{}` served anything else", endpoint.endpoint);
    Err(Problem::conflict(message).at("endpoint").hint("deploy the version that you want").into())
}

/// What the platform's settings forbid by now does not come back. Nothing is locked: endpoints come
/// after versions in the order of locks.
async fn require_deployable(change: &mut Change, chosen: &Release) -> Result<()> {
    for share in &chosen.shares {
        let version = versions::find(change, share.version).await?;
        if let Some(obstacle) = version.and_then(|version| version.obstacle()) {
            return Err(Problem::conflict(obstacle).at("to").into());
        }
    }
    Ok(())
}

/// Makes the release with the chosen one's versions, and holds the endpoint.
async fn restore(
    change: &mut Change,
    permit: &Permit<verbs::Deploy>,
    endpoint: &Endpoint,
    chosen: &Release,
    reason: Option<&str>,
) -> Result<Release> {
    let versions = weighted(&chosen.shares);
    let back = format!("back to release {}", chosen.number);
    let why = reason.map_or(back.clone(), |reason| format!("{back}: {reason}"));
    let (by, request) = (permit.actor(), permit.request_id());
    let new = releases::New {
        versions: &versions,
        serving: &chosen.serving,
        reason: Some(&why),
        by,
        request,
    };
    let release = releases::insert(change, endpoint, &new).await?;
    endpoints::mark(change, endpoint.id, true, None).await?;
    if let Some(live) = endpoint.live_release.filter(|live| *live != chosen.number) {
        let outcome = format!("release {} took its place, {back}", release.number);
        releases::mark_rolled_back(change, endpoint.id, live, &outcome).await?;
    }
    Ok(release)
}

/// What a release serves, in the order that it is listed in.
fn weighted(shares: &[Share]) -> Vec<WeightedVersion> {
    shares
        .iter()
        .map(|share| WeightedVersion { version: share.version, weight: share.weight })
        .collect()
}

fn absent(endpoint: &Endpoint, number: i32) -> Error {
    let what = match endpoint.last_release {
        0 => "it has none".to_owned(),
        last => format!("it has 1 to {last}"),
    };
    let message = format!("`{}` has no release {number}: {what}", endpoint.endpoint);
    Problem::new(ErrorCode::NotFound, message).at("release").into()
}
