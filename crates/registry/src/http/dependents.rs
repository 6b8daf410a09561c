//! `…/dependents`

use actix_web::{get, web::Data};
use auth::{Access, Caller};
use domain::{
    lineage::{self as graph, Kind, Relation},
    tracking::{ExperimentId, RunId},
};
use rest::{ApiError, Json, NoQuery, Path, openapi};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    lineage::viewer,
    path::{self, ExperimentPath, ModelPath, RunPath, VersionPath},
};
use crate::{State, dependents, lineage};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(of_model).service(of_version).service(of_run).service(of_experiment);
}

/// What would break, or lose its origin, if something were deleted.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "items": [
        {"kind": "endpoint", "name": "fraud", "relation": "live", "release": 12, "blocks": true},
        {"kind": "version", "name": "fraud-eu/1", "relation": "copied", "blocks": false},
    ],
    "truncated": false,
}))]
pub struct Dependents {
    /// What stands against the deletion first.
    items: Vec<Dependent>,
    /// Whether there are more.
    truncated: bool,
}

/// One of them.
#[derive(Serialize, ToSchema)]
pub struct Dependent {
    /// `alias`, `endpoint`, `version`, `run` or `logged_model`.
    #[schema(value_type = String)]
    kind: Kind,
    /// Its own id: `champion`, `fraud.dev`, `fraud/3`, a run's id.
    name: String,
    /// How it depends: an endpoint by `live`, `next`, `past`, `pinned` or `followed`, an alias as
    /// `named`, a version as `copied`, `produced` or `registered`, a run as `loaded`.
    #[schema(value_type = String)]
    relation: Relation,
    /// The newest release by which an endpoint does.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<i32>,
    /// Whether the deletion is refused because of it. Others lose their origin.
    blocks: bool,
}

impl From<dependents::Dependents> for Dependents {
    fn from(found: dependents::Dependents) -> Self {
        let items = found.items.into_iter().map(Into::into).collect();
        Self { items, truncated: found.truncated }
    }
}

impl From<graph::Dependent> for Dependent {
    fn from(found: graph::Dependent) -> Self {
        let graph::Dependent { kind, key, relation, release, blocks, .. } = found;
        Self { kind, name: key, relation, release, blocks }
    }
}

/// List what depends on a model.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!(["view:model", "each view:any"]))),
    params(ModelPath),
    responses((status = 200, description = "What depends on it", body = Dependents), openapi::Reads),
)]
#[get("/models/{name}/dependents")]
pub async fn of_model(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    _: NoQuery,
) -> Result<Json<Dependents>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let found = dependents::of_model(&state, &permit, &viewer(&access, &caller), &name).await?;
    Ok(Json(found.into()))
}

/// List what depends on a version.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!(["view:model", "each view:any"]))),
    params(VersionPath),
    responses((status = 200, description = "What depends on it", body = Dependents), openapi::Reads),
)]
#[get("/models/{name}/versions/{version}/dependents")]
pub async fn of_version(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    _: NoQuery,
) -> Result<Json<Dependents>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let may_view = viewer(&access, &caller);
    let found = dependents::of_version(&state, &permit, may_view, &name, version).await?;
    Ok(Json(found.into()))
}

/// List what depends on a run: what it made outlives it, and loses its origin.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!(["view:experiment", "each view:any"]))),
    params(RunPath),
    responses((status = 200, description = "What depends on it", body = Dependents), openapi::Reads),
)]
#[get("/runs/{run_id}/dependents")]
pub async fn of_run(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(RunPath { run_id }): Path<RunPath>,
) -> Result<Json<Dependents>, ApiError> {
    let run: RunId = run_id.parse()?;
    let home = lineage::home(&state, run).await?;
    let permit = access.authorize(&caller, path::experiment(home)).await;
    let permit = permit.map_err(|problem| problem.absent_as(|| lineage::no_run(run)))?;
    let found = dependents::of_run(&state, &permit, &viewer(&access, &caller), run).await?;
    Ok(Json(found.into()))
}

/// List what depends on an experiment from outside of it.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!(["view:experiment", "each view:any"]))),
    params(ExperimentPath),
    responses((status = 200, description = "What depends on it", body = Dependents), openapi::Reads),
)]
#[get("/experiments/{experiment_id}/dependents")]
pub async fn of_experiment(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ExperimentPath { experiment_id }): Path<ExperimentPath>,
) -> Result<Json<Dependents>, ApiError> {
    let experiment: ExperimentId = experiment_id.parse()?;
    let permit = access.authorize(&caller, path::experiment(experiment)).await?;
    let may_view = viewer(&access, &caller);
    let found = dependents::of_experiment(&state, &permit, may_view, experiment).await?;
    Ok(Json(found.into()))
}
