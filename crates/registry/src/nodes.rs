//! Nodes: where replicas run and how they are.

use auth::{Permit, verbs};
use store::nodes::{self, Node, Replica};

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
