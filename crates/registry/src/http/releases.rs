//! `/endpoints/{endpoint}/releases`, `…/rollout`, `…/rollback`

use std::collections::BTreeMap;

use actix_web::{get, post, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{EndpointRef, ReleaseState};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    path::{self, EndpointPath, ReleasePath},
    serving::Serving,
};
use crate::{State, nodes, releases, text};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(show).service(rollout).service(rollback);
}

/// A release: one immutable revision of what an endpoint serves.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "fraud.dev", "release": 2, "state": "completed",
    "versions": [{"model": "fraud", "version": 3, "weight": 100}],
    "serving": {"timeout": "2s"},
    "reason": "`fraud@champion` points to 3", "created_by": "user:ana",
    "created_at": "2026-01-02T03:04:05Z", "finished_at": "2026-01-02T03:04:09Z",
}))]
pub struct Release {
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    /// Its number in the endpoint, from 1.
    release: i32,
    /// `progressing`, `completed`, `failed`, `aborted` or `rolled_back`.
    #[schema(value_type = String)]
    state: ReleaseState,
    versions: Vec<Share>,
    /// How they are served.
    serving: Serving,
    /// Why it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why it ended the way it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    created_by: String,
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
}

/// A version's part in a release.
#[derive(Serialize, ToSchema)]
pub struct Share {
    model: String,
    version: i32,
    /// Its share of the traffic in percent.
    weight: i32,
}

impl Release {
    pub(super) fn of(endpoint: &EndpointRef, release: store::releases::Release) -> Self {
        let share = |share: store::releases::Share| Share {
            model: share.model.to_string(),
            version: share.number,
            weight: share.weight,
        };
        Self {
            endpoint: endpoint.clone(),
            release: release.number,
            state: release.state,
            versions: release.shares.into_iter().map(share).collect(),
            serving: release.serving.into(),
            reason: release.reason,
            outcome: release.outcome,
            created_by: release.created_by,
            created_at: release.created_at,
            finished_at: release.finished_at,
        }
    }
}

/// List an endpoint's releases, newest first: what was live when.
#[utoipa::path(
    tag = "releases",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath, PageQuery),
    responses((status = 200, description = "A page of releases", body = PageBody<Release>), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/releases")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Release>>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let (cursor, limit) = page.bounds()?;
    let page = releases::list(&state, &permit, &endpoint, cursor.as_ref(), limit).await?;
    Ok(Json(page.map(|release| Release::of(&endpoint, release)).into()))
}

/// Show a release.
#[utoipa::path(
    tag = "releases",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(ReleasePath),
    responses((status = 200, description = "The release", body = Release), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/releases/{release}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ReleasePath { endpoint, release }): Path<ReleasePath>,
) -> Result<Json<Release>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let found = releases::get(&state, &permit, &endpoint, release).await?;
    Ok(Json(Release::of(&endpoint, found)))
}

/// The way from one release to the next.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "fraud.dev", "release": 2, "state": "completed", "step": 1, "weights": {"fraud/3": 100},
}))]
pub struct Rollout {
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    /// The newest release.
    release: i32,
    /// `progressing`, `completed`, `failed`, `aborted` or `rolled_back`.
    #[schema(value_type = String)]
    state: ReleaseState,
    /// How many steps were taken; all at once has one.
    step: i32,
    /// The release's shares of the traffic in percent, by version.
    weights: BTreeMap<String, i32>,
    /// Why fewer nodes hold it than it asks for, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<String>,
}

impl Rollout {
    fn of(
        endpoint: EndpointRef,
        release: store::releases::Release,
        waiting: Option<String>,
    ) -> Self {
        let step = match release.state {
            ReleaseState::Completed | ReleaseState::RolledBack => 1,
            ReleaseState::Progressing | ReleaseState::Failed | ReleaseState::Aborted => 0,
        };
        let weight = |share: &store::releases::Share| {
            (format!("{}/{}", share.model, share.number), share.weight)
        };
        Self {
            endpoint,
            release: release.number,
            state: release.state,
            step,
            weights: release.shares.iter().map(weight).collect(),
            waiting,
        }
    }
}

/// Show how far the newest release has come.
#[utoipa::path(
    tag = "releases",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath),
    responses((status = 200, description = "The newest release's way", body = Rollout), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/rollout")]
pub async fn rollout(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
) -> Result<Json<Rollout>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let release = releases::newest(&state, &permit, &endpoint).await?;
    let waiting = nodes::why_it_waits(&state, &permit, &release).await?;
    Ok(Json(Rollout::of(endpoint, release, waiting)))
}

/// Where to go back to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": 1, "reason": "too many false alarms"}))]
pub struct Rollback {
    /// A release that answered before; the newest one that served something else, unless given.
    to: Option<i32>,
    reason: Option<String>,
}

/// Go back to an earlier release: a new one with the same versions and settings. The endpoint does not follow
/// its alias until that moves again.
#[utoipa::path(
    tag = "releases",
    extensions(("x-bottega-action" = json!("deploy:endpoint"))),
    params(EndpointPath),
    responses((status = 200, description = "The new release", body = Rollout), openapi::Writes),
)]
#[post("/endpoints/{endpoint}/rollback")]
pub async fn rollback(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Json(Rollback { to, reason }): Json<Rollback>,
) -> Result<Json<Rollout>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let reason = text::optional("reason", reason, text::REASON)?;
    let release = releases::roll_back(&state, &permit, &endpoint, to, reason.as_deref()).await?;
    Ok(Json(Rollout::of(endpoint, release, None)))
}
