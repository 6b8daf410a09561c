//! `/nodes`

use actix_web::{get, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{ReplicaState, Resource};
use rest::{ApiError, Json, openapi};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::Items;
use crate::{State, nodes};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list);
}

/// A node: a gateway that holds replicas.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "host": "serving-1",
    "started_at": "2026-01-02T03:04:05Z", "leased_until": "2026-01-02T04:00:15Z",
    "replicas": [{"model": "fraud", "version": 3, "state": "ready", "reason": null}],
}))]
pub struct Node {
    id: String,
    /// The machine that it runs on.
    host: String,
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
    /// `starting`, `ready`, `draining` or `failed`.
    #[schema(value_type = String)]
    state: ReplicaState,
    /// Why it failed.
    #[schema(required)]
    reason: Option<String>,
}

impl From<(store::nodes::Node, Vec<store::nodes::Replica>)> for Node {
    fn from((node, replicas): (store::nodes::Node, Vec<store::nodes::Replica>)) -> Self {
        Self {
            id: node.id.to_string(),
            host: node.host,
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
            state: replica.state,
            reason: replica.reason,
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
