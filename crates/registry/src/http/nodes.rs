//! `/nodes` and `/replicas`

use actix_web::{get, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{EndpointRef, ReplicaState, Resource, Runtime, access::Kind, serving::Isolation};
use rest::{ApiError, Json, openapi};
use serde::Serialize;
use store::placements;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::Items;
use crate::{State, nodes};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(list_replicas);
}

/// A node: a gateway that holds replicas.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "host": "serving-1", "version": "0.1.0",
    "url": "http://serving-1:8080", "grpc": "serving-1:8081",
    "cores": 8, "memory_bytes": 34359738368_u64, "used_bytes": 52428800,
    "started_at": "2026-01-02T03:04:05Z", "leased_until": "2026-01-02T04:00:15Z",
    "replicas": [{
        "model": "fraud", "version": 3, "runtime": "onnx", "state": "ready", "reason": null,
        "memory_bytes": 52428800, "isolation": "in-process",
    }],
}))]
pub struct Node {
    id: String,
    /// The machine that it runs on.
    host: String,
    /// The program's version.
    version: String,
    /// Where other nodes reach it.
    url: String,
    /// Where they reach it by gRPC.
    grpc: String,
    cores: u32,
    /// How many bytes models may take there.
    memory_bytes: u64,
    /// How many they take, by the size of their files and the number of engines.
    used_bytes: u64,
    started_at: DateTime<Utc>,
    /// Until when it counts as alive.
    leased_until: DateTime<Utc>,
    replicas: Vec<Replica>,
}

/// A version that a node holds.
#[derive(Serialize, ToSchema)]
pub struct Replica {
    model: String,
    version: i32,
    /// What runs it: `onnx`, `python`, `process` or `external`.
    #[schema(value_type = String)]
    runtime: Runtime,
    /// `starting`, `ready`, `draining` or `failed`.
    #[schema(value_type = String)]
    state: ReplicaState,
    /// Why it failed, or runs where it does.
    #[schema(required)]
    reason: Option<String>,
    /// How many bytes it takes, by the size of its files and the number of engines.
    memory_bytes: u64,
    /// `in-process` or `process`; null while it is not loaded, and where a server of others runs it.
    #[schema(required, value_type = Option<String>)]
    isolation: Option<Isolation>,
}

impl From<(store::nodes::Node, Vec<store::nodes::Replica>)> for Node {
    fn from((node, replicas): (store::nodes::Node, Vec<store::nodes::Replica>)) -> Self {
        Self {
            id: node.id.to_string(),
            used_bytes: replicas.iter().map(|replica| replica.report.bytes).sum(),
            host: node.about.host,
            version: node.about.version,
            url: node.about.url,
            grpc: node.about.grpc,
            cores: node.about.cores,
            memory_bytes: node.about.memory_bytes,
            started_at: node.started_at,
            leased_until: node.leased_until,
            replicas: replicas.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<store::nodes::Replica> for Replica {
    fn from(replica: store::nodes::Replica) -> Self {
        Self {
            model: replica.model.to_string(),
            version: replica.number,
            runtime: replica.runtime,
            state: replica.report.state,
            reason: replica.report.reason,
            memory_bytes: replica.report.bytes,
            isolation: replica.report.isolation,
        }
    }
}

/// List the nodes that are alive, and what each of them holds.
#[utoipa::path(
    tag = "nodes",
    extensions(("x-bottega-action" = json!("view:platform"))),
    responses((status = 200, description = "All nodes", body = Items<Node>), openapi::Reads),
)]
#[get("/nodes")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
) -> Result<Json<Items<Node>>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let nodes = nodes::list(&state, &permit).await?;
    Ok(Json(Items { items: nodes.into_iter().map(Into::into).collect() }))
}

/// What nodes are to hold, and what waits for one.
#[derive(Serialize, ToSchema)]
pub struct Held {
    /// By endpoint, release and version.
    items: Vec<HeldReplica>,
    /// Releases that fewer nodes hold than they ask for.
    waiting: Vec<Waiting>,
}

/// A version of an endpoint's release on a node that is to hold it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "fraud", "release": 2, "live": true, "model": "fraud", "version": 3, "runtime": "onnx",
    "node": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "host": "serving-1", "state": "ready", "reason": null,
    "memory_bytes": 52428800, "isolation": "in-process",
}))]
pub struct HeldReplica {
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    release: i32,
    /// Whether this release answers; else it is on its way.
    live: bool,
    model: String,
    version: i32,
    /// What runs it: `onnx`, `python`, `process` or `external`.
    #[schema(value_type = String)]
    runtime: Runtime,
    node: String,
    /// The machine that it is on.
    host: String,
    /// `starting`, `ready`, `draining`, `failed`, or `cold`: it is loaded when it is asked for.
    state: &'static str,
    /// Why it failed, or runs where it does.
    #[schema(required)]
    reason: Option<String>,
    /// How many bytes it takes, by the size of its files and the number of engines.
    memory_bytes: u64,
    /// `in-process` or `process`; null while it is not loaded, and where a server of others runs it.
    #[schema(required, value_type = Option<String>)]
    isolation: Option<Isolation>,
}

impl From<placements::Replica> for HeldReplica {
    fn from(replica: placements::Replica) -> Self {
        let state = match &replica.report {
            Some(report) => report.state.as_str(),
            None if replica.on_demand && replica.is_live => "cold",
            None => ReplicaState::Starting.as_str(),
        };
        let report = replica.report;
        Self {
            endpoint: replica.endpoint,
            release: replica.release,
            live: replica.is_live,
            model: replica.model.to_string(),
            version: replica.number,
            runtime: replica.runtime,
            node: replica.node.0.to_string(),
            host: replica.node.1,
            state,
            memory_bytes: report.as_ref().map_or(0, |report| report.bytes),
            isolation: report.as_ref().and_then(|report| report.isolation),
            reason: report.and_then(|report| report.reason),
        }
    }
}

/// A release that fewer nodes hold than it asks for.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "fraud", "release": 2, "missing": 1,
    "reason": "it takes 1.2 GiB, and the most that is free is 0.9 GiB of 4.0 GiB, on `serving-1`",
    "since": "2026-01-02T03:04:05Z",
}))]
pub struct Waiting {
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    release: i32,
    /// How many nodes it lacks.
    missing: i32,
    /// Why.
    reason: String,
    #[schema(required)]
    since: Option<DateTime<Utc>>,
}

impl From<placements::Waiting> for Waiting {
    fn from(waiting: placements::Waiting) -> Self {
        let placements::Waiting { endpoint, release, missing, reason, since } = waiting;
        Self { endpoint, release, missing, reason, since }
    }
}

/// List what nodes are to hold of the endpoints that the caller may see, and what waits for a node.
#[utoipa::path(
    tag = "nodes",
    extensions(("x-bottega-action" = json!("each view:endpoint"))),
    responses((status = 200, description = "All of it", body = Held), openapi::Reads),
)]
#[get("/replicas")]
pub async fn list_replicas(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
) -> Result<Json<Held>, ApiError> {
    let permit = access.list(&caller, Kind::Endpoint).await?;
    let (replicas, waiting) = nodes::replicas(&state, &permit).await?;
    Ok(Json(Held {
        items: replicas.into_iter().map(Into::into).collect(),
        waiting: waiting.into_iter().map(Into::into).collect(),
    }))
}
