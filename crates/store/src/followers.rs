//! Followers: endpoints that take whatever version an alias points to, or is the newest in a stage.
//!
//! Moving an alias or a version's stage brings its followers along in the same change: one release for each. Who cannot
//! take the version stays where it is, `blocked` with the reason, and never vetoes the move; when
//! the version's trial ends later, [`catch_up`] tries again.
//!
//! Both lock endpoints: the change must hold the lock of the model, or of the version at least.

use domain::{
    AuditEvent, EndpointRef, ModelId, Pointer, Resource, Stage, VersionId, WeightedVersion,
    serving::Settings,
};
use serde_json::json;

use crate::{
    Change, Result, contracts,
    endpoints::{self, Endpoint},
    releases,
    versions::{self, Version},
};

/// What became of one follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// The number of the release that it was given.
    pub release: Option<i32>,
    /// Why it stays where it is.
    pub blocked: Option<String>,
}

/// Brings all followers of an alias or a stage to the version that it leads to from now on, held ones too.
/// `cause` is the event of the move: who did it, in which request.
///
/// # Errors
/// The database is away.
pub async fn bring(
    change: &mut Change,
    pointer: &Pointer,
    version: &Version,
    cause: &AuditEvent,
) -> Result<Vec<Follower>> {
    let mut followers = Vec::new();
    for endpoint in endpoints::lock_followers(change, version.model_id, pointer).await? {
        followers.push(bring_one(change, &endpoint, pointer, version, cause).await?);
    }
    Ok(followers)
}

/// Nothing is where a stage led its followers any more: they stay where they are, and say so.
/// `cause` is the event of what emptied it.
///
/// # Errors
/// The database is away.
pub async fn strand(
    change: &mut Change,
    model: ModelId,
    stage: &Stage,
    cause: &AuditEvent,
) -> Result<Vec<Follower>> {
    let mut followers = Vec::new();
    for endpoint in endpoints::lock_followers(change, model, &Pointer::Stage(stage.clone())).await?
    {
        let why = format!("no version is in the stage `{stage}` any more");
        followers.push(block(change, &endpoint, why, cause).await?);
    }
    Ok(followers)
}

/// Brings those followers along that wait for a version whose trial this change has ended, by
/// whatever alias or stage. `cause` is the event of the trial's end.
///
/// # Errors
/// The database is away.
pub async fn catch_up(
    change: &mut Change,
    version: VersionId,
    cause: &AuditEvent,
) -> Result<Vec<Follower>> {
    let mut followers = Vec::new();
    let Some(version) = versions::lock(change, version).await? else { return Ok(followers) };
    let mut pointers = Vec::new();
    for alias in &version.aliases {
        pointers.push(Pointer::Alias(alias.parse()?));
    }
    let newest = versions::lock_newest_in_stage(change, version.model_id, &version.stage).await?;
    if newest.is_some_and(|newest| newest.id == version.id) {
        pointers.push(Pointer::Stage(version.stage.clone()));
    }
    for pointer in &pointers {
        for endpoint in endpoints::lock_followers(change, version.model_id, pointer).await? {
            // A held one has been rolled back meanwhile: it waits for the next move.
            if endpoint.blocked.is_some() && !endpoint.held {
                followers.push(bring_one(change, &endpoint, pointer, &version, cause).await?);
            }
        }
    }
    Ok(followers)
}

async fn bring_one(
    change: &mut Change,
    endpoint: &Endpoint,
    pointer: &Pointer,
    version: &Version,
    cause: &AuditEvent,
) -> Result<Follower> {
    if let Some(why) = version.obstacle() {
        return block(change, endpoint, why, cause).await;
    }
    let serving = releases::present(change, endpoint).await?;
    let serving = serving.map(|release| release.serving).unwrap_or_default();
    if let Some(Err(why)) = version.signature.as_ref().map(|it| serving.check(it)) {
        return block(change, endpoint, why.message, cause).await;
    }
    if let Some(mismatch) = contracts::mismatch(change, endpoint.id, version, &serving).await? {
        return block(change, endpoint, mismatch.sentence(&endpoint.endpoint), cause).await;
    }
    let versions = match with_named(change, endpoint, version, &serving).await? {
        Ok(versions) => versions,
        Err(why) => return block(change, endpoint, why, cause).await,
    };
    contracts::adopt(change, endpoint, (version, &serving), cause).await?;
    endpoints::mark(change, endpoint.id, false, None).await?;
    let wire = endpoint.endpoint.to_string();
    let resource = Resource::Endpoint(wire.clone());
    let reason = format!("`{}{pointer}` points to {}", version.model, version.number);
    let new = releases::New {
        versions: &versions,
        serving: &serving,
        reason: Some(&reason),
        by: &cause.actor,
        request: &cause.request_id,
    };
    let release = releases::insert(change, endpoint, &new).await?;
    let detail = json!({"endpoint": wire, "release": release.number, "reason": reason});
    change.emit("release.created", &resource.to_string(), &detail).await?;
    let event = AuditEvent { resource, change: "release.created", detail, ..cause.clone() }
        .changed(None, Some(&release.describe()));
    change.record(&event).await?;
    Ok(Follower {
        endpoint: endpoint.endpoint.clone(),
        release: Some(release.number),
        blocked: None,
    })
}

/// The version that all traffic goes to, and those that the endpoint's settings name beside it; or why
/// they cannot be served so.
async fn with_named(
    change: &mut Change,
    endpoint: &Endpoint,
    version: &Version,
    serving: &Settings,
) -> Result<std::result::Result<Vec<WeightedVersion>, String>> {
    let mut signatures = vec![(version.number, version.signature.clone())];
    let mut versions = vec![WeightedVersion { version: version.id, weight: 100 }];
    for number in serving.versions() {
        if number == version.number {
            continue;
        }
        let Some(named) = versions::find_by_number(change, version.model_id, number).await? else {
            let model = &version.model;
            return Ok(Err(format!("its settings name `{model}/{number}`, which is not there")));
        };
        if let Some(why) = named.obstacle() {
            return Ok(Err(format!("a version that its settings name: {why}")));
        }
        if let Some(Err(why)) = named.signature.as_ref().map(|it| serving.check(it)) {
            return Ok(Err(format!(
                "`{}/{number}`, which its settings name: {}",
                named.model, why.message
            )));
        }
        if let Some(mismatch) = contracts::mismatch(change, endpoint.id, &named, serving).await? {
            return Ok(Err(mismatch.sentence(&endpoint.endpoint)));
        }
        versions.push(WeightedVersion { version: named.id, weight: 0 });
        signatures.push((number, named.signature));
    }
    Ok(match serving.check_together(&signatures) {
        Ok(()) => Ok(versions),
        Err(why) => Err(why.message),
    })
}

/// Leaves a follower where it is, with the reason.
async fn block(
    change: &mut Change,
    endpoint: &Endpoint,
    why: String,
    cause: &AuditEvent,
) -> Result<Follower> {
    endpoints::mark(change, endpoint.id, false, Some(&why)).await?;
    let wire = endpoint.endpoint.to_string();
    let resource = Resource::Endpoint(wire.clone());
    let after = Endpoint { held: false, blocked: Some(why.clone()), ..endpoint.clone() };
    let detail = json!({"endpoint": wire, "reason": why});
    change.emit("endpoint.blocked", &resource.to_string(), &detail).await?;
    let event = AuditEvent { resource, change: "endpoint.blocked", detail, ..cause.clone() }
        .changed(Some(&endpoint.describe()), Some(&after.describe()));
    change.record(&event).await?;
    Ok(Follower { endpoint: endpoint.endpoint.clone(), release: None, blocked: Some(why) })
}
