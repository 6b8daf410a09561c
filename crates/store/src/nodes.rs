//! Nodes and their replicas: bookkeeping, reported by each gateway about itself.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{
    ModelName, NodeId, ReplicaState, Runtime, Timestamp, VersionId, rollout, serving::Isolation,
};

use crate::{Database, Error, Result, outbox};

/// What a node says of itself with each beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The machine that it runs on.
    pub host: String,
    /// Where other nodes reach it by HTTP; empty where they do not.
    pub url: String,
    /// Where they reach it by gRPC.
    pub grpc: String,
    /// The program's version.
    pub version: String,
    /// How many cores it has.
    pub cores: u32,
    /// How many bytes models may take there.
    pub memory_bytes: u64,
}

impl About {
    /// One of that name, with one core and all the memory that there could be.
    #[must_use]
    pub fn host(host: impl Into<String>) -> Self {
        let (url, grpc, version) = (String::new(), String::new(), String::new());
        Self { host: host.into(), url, grpc, version, cores: 1, memory_bytes: u64::MAX }
    }
}

/// A gateway that holds replicas.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its id, new at each start.
    pub id: NodeId,
    /// What it says of itself.
    pub about: About,
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
    /// What runs it.
    pub runtime: Runtime,
    /// What its node says of it.
    pub report: Report,
    /// When it was last reported.
    pub updated_at: Timestamp,
}

/// What a node says of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How far it has come.
    pub state: ReplicaState,
    /// Why it failed, or why it runs where it does.
    pub reason: Option<String>,
    /// How much memory it takes.
    pub bytes: u64,
    /// Where it runs; absent while it is not loaded, and where a server of others runs it.
    pub isolation: Option<Isolation>,
}

impl Report {
    /// Of one that has come so far and takes nothing.
    #[must_use]
    pub const fn of(state: ReplicaState, reason: Option<String>) -> Self {
        Self { state, reason, bytes: 0, isolation: None }
    }

    pub(crate) fn read(
        version: uuid::Uuid,
        (state, isolation): (&str, Option<&str>),
        reason: Option<String>,
        bytes: i64,
    ) -> Result<Self> {
        let wrong = |column| move |_| Error::inconsistent("replicas", column, version);
        Ok(Self {
            state: state.parse().map_err(wrong("state"))?,
            reason,
            bytes: bytes.unsigned_abs(),
            isolation: isolation.map(str::parse).transpose().map_err(wrong("isolation"))?,
        })
    }
}

/// Says that a node is alive for another while; its first beat makes it known. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn beat(database: &Database, id: NodeId, about: &About, lease: TimeDelta) -> Result<()> {
    let About { host, url, grpc, version, cores, memory_bytes } = about;
    let now = database.now();
    sqlx::query!(
        "INSERT INTO nodes (id, host, started_at, leased_until, url, grpc, version, cores, memory_bytes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET leased_until = excluded.leased_until",
        id.0,
        host,
        now,
        now + lease,
        url,
        grpc,
        version,
        i32::try_from(*cores).unwrap_or(i32::MAX),
        signed(*memory_bytes)
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
    report: &Report,
) -> Result<()> {
    let Report { state, reason, bytes, isolation } = report;
    if *state == ReplicaState::Stopped {
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
            "INSERT INTO replicas (node_id, version_id, state, reason, updated_at, bytes, isolation)
             SELECT nodes.id, model_versions.id, $3, $4, $5, $6, $7 FROM nodes, model_versions
             WHERE nodes.id = $1 AND model_versions.id = $2
             ON CONFLICT (node_id, version_id)
             DO UPDATE SET state = excluded.state, reason = excluded.reason, updated_at = excluded.updated_at,
                           bytes = excluded.bytes, isolation = excluded.isolation",
            node.0,
            version.0,
            state.as_str(),
            reason.as_deref(),
            database.now(),
            signed(*bytes),
            isolation.map(Isolation::as_str)
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
        "SELECT id, host, started_at, leased_until, url, grpc, version, cores, memory_bytes
         FROM nodes WHERE leased_until > $1 ORDER BY started_at, id",
        database.now()
    )
    .fetch_all(database.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Node {
            id: NodeId(row.id),
            about: About {
                host: row.host,
                url: row.url,
                grpc: row.grpc,
                version: row.version,
                cores: row.cores.unsigned_abs(),
                memory_bytes: row.memory_bytes.unsigned_abs(),
            },
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
        "SELECT r.node_id, r.version_id, m.name AS model, v.number, v.runtime, r.state, r.reason, r.updated_at,
                r.bytes, r.isolation
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
                runtime: read_runtime(&row.runtime, row.version_id)?,
                report: Report::read(
                    row.version_id,
                    (&row.state, row.isolation.as_deref()),
                    row.reason,
                    row.bytes,
                )?,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

/// What a node has reported and is known of it.
///
/// # Errors
/// The database is away.
pub async fn reported(database: &Database, node: NodeId) -> Result<BTreeMap<VersionId, Report>> {
    let rows = sqlx::query!(
        "SELECT version_id, state, reason, bytes, isolation FROM replicas WHERE node_id = $1",
        node.0
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let is = (row.state.as_str(), row.isolation.as_deref());
            let report = Report::read(row.version_id, is, row.reason, row.bytes)?;
            Ok((VersionId(row.version_id), report))
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
            let Report { state, reason, .. } = replica.report;
            let seen = rollout::Replica { state, reason };
            ((replica.node, replica.version), seen)
        })
        .collect();
    Ok(rollout::Observed { live_nodes, replicas })
}

pub(crate) fn read_runtime(runtime: &str, version: uuid::Uuid) -> Result<Runtime> {
    runtime.parse().map_err(|_| Error::inconsistent("model_versions", "runtime", version))
}

/// As a column holds it.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
