//! Nodes: where replicas run and how they are.

use auth::{Permit, verbs};
use store::{
    nodes::{self, Node, Replica},
    placements::{self, Waiting},
    releases::Release,
};

use crate::{Result, State};

/// The nodes that are alive, each with its replicas.
///
/// # Errors
/// The database is away.
pub async fn list(
    state: &State,
    _permit: &Permit<verbs::View>,
) -> Result<Vec<(Node, Vec<Replica>)>> {
    let nodes = nodes::list(&state.database).await?;
    let replicas = nodes::replicas(&state.database).await?;
    Ok(nodes
        .into_iter()
        .map(|node| {
            let its = replicas.iter().filter(|replica| replica.node == node.id).cloned().collect();
            (node, its)
        })
        .collect())
}

/// What nodes are to hold of the endpoints that the caller may see, and what of it waits for a node.
///
/// # Errors
/// The database is away.
pub async fn replicas(
    state: &State,
    permit: &Permit<verbs::View>,
) -> Result<(Vec<placements::Replica>, Vec<Waiting>)> {
    let replicas = placements::replicas(&state.database, permit.visible()).await?;
    Ok((replicas, placements::waiting(&state.database, permit.visible()).await?))
}

/// Why fewer nodes hold a release than it asks for, if they do.
///
/// # Errors
/// The database is away.
pub async fn why_it_waits(
    state: &State,
    _permit: &Permit<verbs::View>,
    release: &Release,
) -> Result<Option<String>> {
    Ok(placements::why_it_waits(&state.database, release.endpoint_id, release.number).await?)
}
