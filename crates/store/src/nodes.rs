//! Nodes and their replicas: bookkeeping, reported by each gateway about itself.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{ModelName, NodeId, ReplicaState, Timestamp, VersionId, rollout};

use crate::{Database, Error, Result, outbox};

/// A gateway that holds replicas.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its id, new at each start.
    pub id: NodeId,
    /// The machine that it runs on.
    pub host: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Until when it counts as alive.
    pub leased_until: Timestamp,
}

/// One replica, as its node reports it.
#[derive(Debug, Clone)]
pub struct Replica {
    /// Where it is.
    pub node: NodeId,
    /// What it holds.
    pub version: VersionId,
    /// The name of that version's model.
    pub model: ModelName,
    /// That version's number.
    pub number: i32,
    /// How far it has come.
    pub state: ReplicaState,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it was last reported.
    pub updated_at: Timestamp,
}

/// Says that a node is alive for another while; its first beat makes it known. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn beat(database: &Database, id: NodeId, host: &str, lease: TimeDelta) -> Result<()> {
    let now = database.now();
    sqlx::query!(
        "INSERT INTO nodes (id, host, started_at, leased_until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET leased_until = excluded.leased_until",
        id.0,
        host,
        now,
        now + lease
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Takes a node that stops off the list, with its replicas. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn leave(database: &Database, id: NodeId) -> Result<()> {
    sqlx::query!("DELETE FROM nodes WHERE id = $1", id.0).execute(database.pool()).await?;
    outbox::nudge(database).await
}

/// Forgets nodes whose lease ended before that instant. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn forget_dead(database: &Database, before: Timestamp) -> Result<u64> {
    let done = sqlx::query!("DELETE FROM nodes WHERE leased_until < $1", before)
        .execute(database.pool())
        .await?;
    Ok(done.rows_affected())
}

/// Reports how far a replica has come, and wakes whoever waits for it. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn report(
    database: &Database,
    node: NodeId,
    version: VersionId,
    state: ReplicaState,
    reason: Option<&str>,
) -> Result<()> {
    if state == ReplicaState::Stopped {
        sqlx::query!(
            "DELETE FROM replicas WHERE node_id = $1 AND version_id = $2",
            node.0,
            version.0
        )
        .execute(database.pool())
        .await?;
    } else {
        // The node or the version may be gone by now: then there is nothing to report.
        sqlx::query!(
            "INSERT INTO replicas (node_id, version_id, state, reason, updated_at)
             SELECT nodes.id, model_versions.id, $3, $4, $5 FROM nodes, model_versions
             WHERE nodes.id = $1 AND model_versions.id = $2
             ON CONFLICT (node_id, version_id)
             DO UPDATE SET state = excluded.state, reason = excluded.reason, updated_at = excluded.updated_at",
            node.0,
            version.0,
            state.as_str(),
            reason,
            database.now()
        )
        .execute(database.pool())
        .await?;
    }
    outbox::nudge(database).await
}

/// Nodes whose lease has not ended, by start.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database) -> Result<Vec<Node>> {
    let rows = sqlx::query!(
        "SELECT id, host, started_at, leased_until FROM nodes WHERE leased_until > $1 ORDER BY started_at, id",
        database.now()
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Node {
            id: NodeId(row.id),
            host: row.host,
            started_at: row.started_at,
            leased_until: row.leased_until,
        })
        .collect())
}

/// All replicas of nodes whose lease has not ended.
///
/// # Errors
/// The database is away.
pub async fn replicas(database: &Database) -> Result<Vec<Replica>> {
    let rows = sqlx::query!(
        "SELECT r.node_id, r.version_id, m.name AS model, v.number, r.state, r.reason, r.updated_at
         FROM replicas r
         JOIN nodes ON nodes.id = r.node_id
         JOIN model_versions v ON v.id = r.version_id
         JOIN models m ON m.id = v.model_id
         WHERE nodes.leased_until > $1
         ORDER BY r.node_id, m.name, v.number",
        database.now()
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Replica {
                node: NodeId(row.node_id),
                version: VersionId(row.version_id),
                model: row
                    .model
                    .parse()
                    .map_err(|_| Error::inconsistent("models", "name", row.version_id))?,
                number: row.number,
                state: row
                    .state
                    .parse()
                    .map_err(|_| Error::inconsistent("replicas", "state", row.version_id))?,
                reason: row.reason,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

/// What a node has reported and is known of it.
///
/// # Errors
/// The database is away.
pub async fn reported(
    database: &Database,
    node: NodeId,
) -> Result<BTreeMap<VersionId, rollout::Replica>> {
    let rows =
        sqlx::query!("SELECT version_id, state, reason FROM replicas WHERE node_id = $1", node.0)
            .fetch_all(database.pool())
            .await?;
    rows.into_iter()
        .map(|row| {
            let state = row
                .state
                .parse()
                .map_err(|_| Error::inconsistent("replicas", "state", row.version_id))?;
            Ok((VersionId(row.version_id), rollout::Replica { state, reason: row.reason }))
        })
        .collect()
}

/// What a rollout sees: live nodes and what they report.
///
/// # Errors
/// The database is away.
pub async fn observe(database: &Database) -> Result<rollout::Observed> {
    let live_nodes = list(database).await?.into_iter().map(|node| node.id).collect();
    let replicas: BTreeMap<_, _> = replicas(database)
        .await?
        .into_iter()
        .map(|replica| {
            let seen = rollout::Replica { state: replica.state, reason: replica.reason };
            ((replica.node, replica.version), seen)
        })
        .collect();
    Ok(rollout::Observed { live_nodes, replicas })
}
