//! `…/lineage`

use actix_web::{get, web::Data};
use auth::{Access, Caller, verbs};
use domain::{
    Problem, Resource,
    lineage::{self as graph, Kind, Relation},
    tracking::RunId,
};
use rest::{ApiError, Json, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::path::{self, EndpointPath, RunPath, VersionPath};
use crate::{
    State,
    lineage::{self, DEEPEST, Scope},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(of_version).service(of_endpoint).service(of_run).service(of_dataset);
}

/// How far to look.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Depth {
    /// How many steps in each direction, 1 to 20; 10 unless asked.
    depth: Option<u32>,
}

/// Which dataset, and how far to look.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Dataset {
    /// Its name, as runs logged it.
    #[param(example = "june")]
    name: String,
    /// Its digest, as runs logged it.
    #[param(example = "8f3a2c")]
    digest: String,
    /// How many steps in each direction, 1 to 20; 10 unless asked.
    depth: Option<u32>,
}

/// All that something comes from, and all that it leads to.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "root": "version:fraud/3",
    "nodes": [
        {"id": "version:fraud/3", "kind": "version", "key": "fraud/3", "name": "fraud/3", "present": true, "status": "ready",
         "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"id": "run:0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "kind": "run", "key": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1",
         "name": "calm-otter-7", "present": true, "experiment_id": "3", "status": "FINISHED"},
        {"id": "dataset:june@8f3a2c", "kind": "dataset", "key": "june@8f3a2c", "name": "june", "present": true, "digest": "8f3a2c"},
        {"id": "alias:fraud@champion", "kind": "alias", "key": "fraud@champion", "name": "champion", "present": true},
        {"id": "endpoint:fraud", "kind": "endpoint", "key": "fraud", "name": "fraud", "present": true},
    ],
    "edges": [
        {"from": "alias:fraud@champion", "to": "endpoint:fraud", "relation": "followed"},
        {"from": "dataset:june@8f3a2c", "to": "run:0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "relation": "input", "context": "training"},
        {"from": "run:0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "to": "version:fraud/3", "relation": "produced"},
        {"from": "version:fraud/3", "to": "alias:fraud@champion", "relation": "named"},
        {"from": "version:fraud/3", "to": "endpoint:fraud", "relation": "live", "release": 12},
    ],
    "truncated": false,
}))]
pub struct Lineage {
    /// The node that was asked about.
    root: String,
    /// What the caller may view of it, the root first.
    nodes: Vec<Node>,
    /// From what was first to what came of it.
    edges: Vec<Edge>,
    /// Whether there is more: deeper, or more than 500 nodes.
    truncated: bool,
}

/// A thing.
#[derive(Serialize, ToSchema)]
#[schema(as = LineageNode)]
pub struct Node {
    /// Its kind and its key.
    id: String,
    /// `dataset`, `run`, `logged_model`, `version`, `alias`, `stage` or `endpoint`.
    #[schema(value_type = String)]
    kind: Kind,
    /// Its own id: a run's id, `fraud/3`, `fraud@champion`.
    key: String,
    /// What people call it.
    name: String,
    /// `false` for an origin that was deleted, or never was here.
    present: bool,
    /// The experiment of a run or a logged model.
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment_id: Option<String>,
    /// The status of a run, a logged model or a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    /// The digest of a dataset or a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// A step from what was first to what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = LineageEdge)]
pub struct Edge {
    /// A node's id.
    from: String,
    /// A node's id.
    to: String,
    /// `input`, `trained_on`, `produced`, `loaded`, `registered`, `copied`, `named`, `staged`,
    /// `followed`, `pinned`, `live` or `next`.
    #[schema(value_type = String)]
    relation: Relation,
    /// What the run used the dataset for.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    /// The release that serves the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<i32>,
}

impl From<graph::Graph> for Lineage {
    fn from(graph: graph::Graph) -> Self {
        Self {
            root: graph.root,
            nodes: graph.nodes.into_iter().map(Into::into).collect(),
            edges: graph.edges.into_iter().map(Into::into).collect(),
            truncated: graph.truncated,
        }
    }
}

impl From<graph::Node> for Node {
    fn from(node: graph::Node) -> Self {
        Self {
            id: node.id(),
            kind: node.kind,
            key: node.key,
            name: node.name,
            present: node.present,
            experiment_id: node.experiment.map(|id| id.to_string()),
            status: node.status,
            digest: node.digest,
        }
    }
}

impl From<graph::Edge> for Edge {
    fn from(edge: graph::Edge) -> Self {
        let graph::Edge { from, to, relation, context, release } = edge;
        Self { from, to, relation, context, release }
    }
}

/// What a caller may view, to leave the rest out.
pub(super) fn viewer<'a>(
    access: &'a Access,
    caller: &'a Caller,
) -> impl AsyncFn(&Resource) -> bool + 'a {
    async |resource| access.may::<verbs::View>(caller, resource).await.is_ok_and(|sees| sees)
}

fn steps(depth: Option<u32>) -> Result<u32, Problem> {
    let depth = depth.unwrap_or(10);
    if (1..=DEEPEST).contains(&depth) {
        return Ok(depth);
    }
    let message = format!("`depth` is {depth}: expected 1 to {DEEPEST}");
    Err(Problem::invalid("depth", message))
}

/// Show where a version comes from and what serves it.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!(["view:model", "each view:any"]))),
    params(VersionPath, Depth),
    responses((status = 200, description = "Its lineage", body = Lineage), openapi::Reads),
)]
#[get("/models/{name}/versions/{version}/lineage")]
pub async fn of_version(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(Depth { depth }): Query<Depth>,
) -> Result<Json<Lineage>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let scope = Scope { depth: steps(depth)?, may_view: viewer(&access, &caller) };
    Ok(Json(lineage::of_version(&state, &permit, &scope, &name, version).await?.into()))
}

/// Show what an endpoint serves, and where that comes from.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!(["view:endpoint", "each view:any"]))),
    params(EndpointPath, Depth),
    responses((status = 200, description = "Its lineage", body = Lineage), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/lineage")]
pub async fn of_endpoint(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(Depth { depth }): Query<Depth>,
) -> Result<Json<Lineage>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let scope = Scope { depth: steps(depth)?, may_view: viewer(&access, &caller) };
    Ok(Json(lineage::of_endpoint(&state, &permit, &scope, &endpoint).await?.into()))
}

/// Show what a run read and loaded, and what came of it.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!(["view:experiment", "each view:any"]))),
    params(RunPath, Depth),
    responses((status = 200, description = "Its lineage", body = Lineage), openapi::Reads),
)]
#[get("/runs/{run_id}/lineage")]
pub async fn of_run(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(RunPath { run_id }): Path<RunPath>,
    Query(Depth { depth }): Query<Depth>,
) -> Result<Json<Lineage>, ApiError> {
    let run: RunId = run_id.parse()?;
    let home = lineage::home(&state, run).await?;
    let permit = access.authorize(&caller, path::experiment(home)).await;
    let permit = permit.map_err(|problem| problem.absent_as(|| lineage::no_run(run)))?;
    let scope = Scope { depth: steps(depth)?, may_view: viewer(&access, &caller) };
    Ok(Json(lineage::of_run(&state, &permit, &scope, run).await?.into()))
}

/// Show which runs read a dataset, and what came of them.
#[utoipa::path(
    tag = "lineage",
    extensions(("x-bottega-action" = json!("each view:any"))),
    params(Dataset),
    responses((status = 200, description = "Its lineage", body = Lineage), openapi::Reads),
)]
#[get("/datasets/lineage")]
pub async fn of_dataset(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(Dataset { name, digest, depth }): Query<Dataset>,
) -> Result<Json<Lineage>, ApiError> {
    let scope = Scope { depth: steps(depth)?, may_view: viewer(&access, &caller) };
    Ok(Json(lineage::of_dataset(&state, &scope, &name, &digest).await?.into()))
}
