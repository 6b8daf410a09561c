//! `/models/{name}/stages`, and where each version stands.

use actix_web::{post, put, web::Data};
use auth::{Access, Caller};
use domain::Stage;
use rest::{ApiError, Json, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    aliases::Follower,
    path::{self, ModelPath, StagePath, VersionPath},
    rules::{Override, gate},
};
use crate::{
    State,
    stages::{self, Order},
    text,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(define).service(transition).service(revert);
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
    extensions(("x-bottega-action" = json!("edit:model"))),
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
    let permit = access.authorize(&caller, path::model(&name)).await?;
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
/// Promotion rules that stand against the move refuse it (403 `gate_refused`), with what each of them
/// found.
#[utoipa::path(
    tag = "stages",
    extensions(("x-bottega-action" = json!(["promote:model", "administer:model when the rules are overridden"]))),
    params(VersionPath, Override),
    responses((status = 200, description = "Where it is, and the followers", body = StagePlaced), openapi::Writes),
)]
#[put("/models/{name}/versions/{version}/stage")]
pub async fn transition(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(overriding): Query<Override>,
    Json(Transition { stage, archive_existing_versions, reason }): Json<Transition>,
) -> Result<Json<StagePlaced>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let reason = text::optional("reason", reason, text::REASON)?;
    let overriding = overriding.permit(&access, &caller, &name, reason.as_deref()).await?;
    let gate = gate(overriding.as_ref());
    let order = Order { stage, archive_existing: archive_existing_versions, reason };
    let placed = stages::transition(&state, &permit, gate, &name, version, &order).await?;
    Ok(Json(StagePlaced {
        model: name.to_string(),
        version,
        stage: placed.version.stage,
        moved: placed.moved,
        archived: placed.archived,
        followers: placed.followers.into_iter().map(Into::into).collect(),
    }))
}

/// Why a stage shall go back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "alarms since noon"}))]
pub struct StageRevert {
    reason: Option<String>,
}

/// A stage after its last transition was undone.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "model": "fraud", "stage": "Production",
    "moved": [
        {"version": 2, "from": "Archived", "to": "Production"},
        {"version": 3, "from": "Production", "to": "Staging"},
    ],
    "followers": [{"endpoint": "fraud", "release": 13, "blocked": null}],
}))]
pub struct StageReverted {
    model: String,
    #[schema(value_type = String)]
    stage: Stage,
    /// Every version that was moved, by number.
    moved: Vec<Moved>,
    /// What became of the endpoints that follow a stage whose newest version is another now.
    followers: Vec<Follower>,
}

/// A version that was moved.
#[derive(Serialize, ToSchema)]
pub struct Moved {
    version: i32,
    #[schema(value_type = String)]
    from: Option<Stage>,
    #[schema(value_type = String)]
    to: Option<Stage>,
}

/// Undo the last transition to or from a stage, together with what it archived. It is a transition
/// like any other: with followers and rules. A second call undoes the first.
#[utoipa::path(
    tag = "stages",
    extensions(("x-bottega-action" = json!(["promote:model", "administer:model when the rules are overridden"]))),
    params(StagePath, Override),
    responses((status = 200, description = "What was moved, and the followers", body = StageReverted), openapi::Writes),
)]
#[post("/models/{name}/stages/{stage}/revert")]
pub async fn revert(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(StagePath { name, stage }): Path<StagePath>,
    Query(overriding): Query<Override>,
    Json(StageRevert { reason }): Json<StageRevert>,
) -> Result<Json<StageReverted>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let reason = text::optional("reason", reason, text::REASON)?;
    let overriding = overriding.permit(&access, &caller, &name, reason.as_deref()).await?;
    let (gate, reason) = (gate(overriding.as_ref()), reason.as_deref());
    let done = stages::revert(&state, &permit, gate, &name, stage.as_str(), reason).await?;
    let moved =
        |made: store::stages::Move| Moved { version: made.version, from: made.from, to: made.to };
    Ok(Json(StageReverted {
        model: name.to_string(),
        stage: done.stage,
        moved: done.moves.into_iter().map(moved).collect(),
        followers: done.followers.into_iter().map(Into::into).collect(),
    }))
}
