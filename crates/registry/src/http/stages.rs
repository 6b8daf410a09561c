//! `/models/{name}/stages`, and where each version stands.

use actix_web::{get, put, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::Stage;
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    aliases::Follower,
    path::{self, ModelPath, VersionPath},
};
use crate::{
    State,
    stages::{self, Order},
    text,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(define).service(transition).service(history);
}

/// The stages that a model's versions may be in.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stages": ["None", "Staging", "Production", "Archived"]}))]
pub struct Stages {
    /// Among them `None`, where versions begin.
    #[schema(value_type = Vec<String>)]
    stages: Vec<Stage>,
}

/// Give a model stages of its own. One that a version or an endpoint is in cannot go.
#[utoipa::path(
    tag = "stages",
    params(ModelPath),
    responses((status = 200, description = "The stages", body = Stages), openapi::Writes),
)]
#[put("/models/{name}/stages")]
pub async fn define(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Json(Stages { stages }): Json<Stages>,
) -> Result<Json<Stages>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let model = stages::define(&state, &permit, &name, stages).await?;
    Ok(Json(Stages { stages: model.stages }))
}

/// Where the version shall go, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stage": "Production", "archive_existing_versions": true, "reason": "better recall on June"}))]
pub struct Transition {
    /// One of the model's stages, whatever the case.
    stage: String,
    /// Whether all others that are there go to `Archived`.
    #[serde(default)]
    archive_existing_versions: bool,
    reason: Option<String>,
}

/// A version after it was put into a stage.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "model": "fraud", "version": 3, "stage": "Production", "moved": true, "archived": [2],
    "followers": [{"endpoint": "fraud", "release": 12, "blocked": null}],
}))]
pub struct StagePlaced {
    model: String,
    version: i32,
    #[schema(value_type = String)]
    stage: Stage,
    /// `false` where it was there before.
    moved: bool,
    /// The versions that went to `Archived` for it.
    archived: Vec<i32>,
    /// What became of the endpoints that follow a stage whose newest version is another now.
    followers: Vec<Follower>,
}

/// Move a version to a stage. The endpoints that follow a stage whose newest version is another
/// afterwards get a release each; one that cannot take it stays where it is, and the answer says why.
#[utoipa::path(
    tag = "stages",
    params(VersionPath),
    responses((status = 200, description = "Where it is, and the followers", body = StagePlaced), openapi::Writes),
)]
#[put("/models/{name}/versions/{version}/stage")]
pub async fn transition(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Json(Transition { stage, archive_existing_versions, reason }): Json<Transition>,
) -> Result<Json<StagePlaced>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let reason = text::optional("reason", reason, text::REASON)?;
    let order = Order { stage, archive_existing: archive_existing_versions, reason };
    let placed = stages::transition(&state, &permit, &name, version, &order).await?;
    Ok(Json(StagePlaced {
        model: name.to_string(),
        version,
        stage: placed.version.stage,
        moved: placed.moved,
        archived: placed.archived,
        followers: placed.followers.into_iter().map(Into::into).collect(),
    }))
}

/// One move of a version from stage to stage.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "version": 3, "from_stage": "Staging", "to_stage": "Production", "reason": "better recall on June",
    "actor": "user:ana", "request_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "at": "2026-01-02T03:04:05Z",
}))]
pub struct StageMove {
    version: i32,
    #[schema(value_type = String)]
    from_stage: Stage,
    #[schema(value_type = String)]
    to_stage: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    actor: String,
    request_id: String,
    at: DateTime<Utc>,
}

impl From<store::stages::Move> for StageMove {
    fn from(done: store::stages::Move) -> Self {
        Self {
            version: done.version,
            from_stage: done.from,
            to_stage: done.to,
            reason: done.reason,
            actor: done.actor,
            request_id: done.request_id,
            at: done.at,
        }
    }
}

/// Which moves.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StageFilter {
    /// Only those to or from this stage.
    #[param(value_type = Option<String>, example = "Production")]
    stage: Option<Stage>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// List the moves of a model's versions from stage to stage, newest first.
#[utoipa::path(
    tag = "stages",
    params(ModelPath, StageFilter),
    responses((status = 200, description = "A page of moves", body = PageBody<StageMove>), openapi::Reads),
)]
#[get("/models/{name}/stages/history")]
pub async fn history(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Query(StageFilter { stage, cursor, limit }): Query<StageFilter>,
) -> Result<Json<PageBody<StageMove>>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let page =
        stages::history(&state, &permit, &name, stage.as_ref(), cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}
