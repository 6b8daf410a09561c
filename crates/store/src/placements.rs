//! Which nodes are to hold which release, where it is not all of them; and what status is told of it.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    EndpointId, EndpointRef, ModelName, NodeId, Runtime, Timestamp, VersionId,
    access::Visible,
    placement::{Asked, Key, Machine, Plan, Seen},
};
use sqlx::PgConnection;

use crate::{
    Database, Error, Result,
    nodes::{Report, read_runtime},
    outbox,
    visible::Filter,
};

/// What a look at the placements came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Whether anything was written.
    pub changed: bool,
    /// When the next node may be gone that holds something.
    pub look_at: Option<Timestamp>,
}

/// Reads what there is, asks for a plan, and makes the tables say so; one of all deployers at a time.
/// Nothing is asked where every release is on all nodes. Bookkeeping.
///
/// # Errors
/// The database is away, or a row is broken.
pub async fn settle(database: &Database, plan: impl FnOnce(&Seen) -> Plan) -> Result<Settled> {
    let is_needed = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM placements) OR EXISTS (SELECT FROM placement_waits)
               OR EXISTS (SELECT FROM releases r JOIN endpoints e
                            ON e.id = r.endpoint_id AND r.number IN (e.live_release, e.target_release)
                          WHERE r.serving->>'nodes' IS NOT NULL) AS "is!""#
    )
    .fetch_one(database.pool())
    .await?;
    if !is_needed {
        return Ok(Settled { changed: false, look_at: None });
    }
    let now = database.now();
    let mut tx = database.pool().begin().await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('placements')) IS NULL AS locked")
        .fetch_one(&mut *tx)
        .await?;
    let (nodes, leases) = nodes(&mut tx, now).await?;
    let (asked, sizes) = (asked(&mut tx).await?, sizes(&mut tx).await?);
    let seen = Seen { nodes, asked, placed: placed(&mut tx).await?, sizes };
    let plan = plan(&seen);
    let changed = write(&mut tx, &seen, &plan, now).await?;
    tx.commit().await?;
    if changed {
        outbox::nudge(database).await?;
    }
    let holders = plan.placed.values().flatten();
    let look_at = holders.filter_map(|node| leases.get(node)).min().copied();
    Ok(Settled { changed, look_at })
}

/// The nodes that are alive, and until when.
async fn nodes(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<(Vec<Machine>, BTreeMap<NodeId, Timestamp>)> {
    let rows = sqlx::query!(
        "SELECT id, host, cores, memory_bytes, leased_until FROM nodes WHERE leased_until > $1 ORDER BY id",
        now
    )
    .fetch_all(connection)
    .await?;
    let leases = rows.iter().map(|row| (NodeId(row.id), row.leased_until)).collect();
    let machines = rows.into_iter().map(|row| Machine {
        id: NodeId(row.id),
        host: row.host,
        memory: row.memory_bytes.unsigned_abs(),
        cores: row.cores.unsigned_abs(),
    });
    Ok((machines.collect(), leases))
}

/// What is live, then what is on its way, the oldest first.
async fn asked(connection: &mut PgConnection) -> Result<Vec<Asked>> {
    let rows = sqlx::query!(
        r#"SELECT r.endpoint_id, r.number, (r.serving->>'nodes')::integer AS nodes,
                  coalesce(jsonb_typeof(r.serving->'on_demand') = 'object', false) AS "on_demand!",
                  ARRAY(SELECT version_id FROM release_versions v
                        WHERE v.endpoint_id = r.endpoint_id AND v.number = r.number) AS "versions!"
           FROM releases r JOIN endpoints e
             ON e.id = r.endpoint_id AND r.number IN (e.live_release, e.target_release)
           ORDER BY (r.number = e.live_release) IS NOT TRUE, r.created_at, r.endpoint_id"#
    )
    .fetch_all(connection)
    .await?;
    let asked = rows.into_iter().map(|row| Asked {
        release: (EndpointId(row.endpoint_id), row.number),
        nodes: row.nodes.map(|nodes| nodes.unsigned_abs() as usize),
        versions: row.versions.into_iter().map(VersionId).collect(),
        on_demand: row.on_demand,
    });
    Ok(asked.collect())
}

/// How many bytes the versions of these releases take: as many as where they are loaded, else as their
/// files have.
async fn sizes(connection: &mut PgConnection) -> Result<BTreeMap<VersionId, u64>> {
    let rows = sqlx::query!(
        r#"SELECT v.id, greatest(v.size, (SELECT max(bytes) FROM replicas WHERE version_id = v.id)) AS "bytes!"
           FROM model_versions v
           WHERE v.id IN (SELECT rv.version_id FROM release_versions rv JOIN endpoints e
                            ON e.id = rv.endpoint_id AND rv.number IN (e.live_release, e.target_release))"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (VersionId(row.id), row.bytes.unsigned_abs())).collect())
}

async fn placed(connection: &mut PgConnection) -> Result<BTreeMap<Key, BTreeSet<NodeId>>> {
    let rows = sqlx::query!("SELECT endpoint_id, number, node_id FROM placements")
        .fetch_all(connection)
        .await?;
    let mut placed: BTreeMap<Key, BTreeSet<NodeId>> = BTreeMap::new();
    for row in rows {
        let key = (EndpointId(row.endpoint_id), row.number);
        placed.entry(key).or_default().insert(NodeId(row.node_id));
    }
    Ok(placed)
}

async fn write(
    connection: &mut PgConnection,
    seen: &Seen,
    plan: &Plan,
    now: Timestamp,
) -> Result<bool> {
    let rows = |placed: &BTreeMap<Key, BTreeSet<NodeId>>| -> BTreeSet<(Key, NodeId)> {
        placed.iter().flat_map(|(key, nodes)| nodes.iter().map(|node| (*key, *node))).collect()
    };
    let (before, after) = (rows(&seen.placed), rows(&plan.placed));
    for ((endpoint, number), node) in before.difference(&after) {
        sqlx::query!(
            "DELETE FROM placements WHERE endpoint_id = $1 AND number = $2 AND node_id = $3",
            endpoint.0,
            number,
            node.0
        )
        .execute(&mut *connection)
        .await?;
    }
    for ((endpoint, number), node) in after.difference(&before) {
        // Either may be gone by now.
        sqlx::query!(
            "INSERT INTO placements (endpoint_id, number, node_id, placed_at)
             SELECT r.endpoint_id, r.number, n.id, $4 FROM releases r, nodes n
             WHERE r.endpoint_id = $1 AND r.number = $2 AND n.id = $3
             ON CONFLICT DO NOTHING",
            endpoint.0,
            number,
            node.0,
            now
        )
        .execute(&mut *connection)
        .await?;
    }
    let waits = write_waits(connection, plan, now).await?;
    Ok(before != after || waits)
}

/// Whether what waits, and why, is another than it was.
async fn write_waits(connection: &mut PgConnection, plan: &Plan, now: Timestamp) -> Result<bool> {
    let (endpoints, numbers): (Vec<uuid::Uuid>, Vec<i32>) =
        plan.waits.keys().map(|(endpoint, number)| (endpoint.0, *number)).unzip();
    let gone = sqlx::query!(
        "DELETE FROM placement_waits
         WHERE (endpoint_id, number) NOT IN (SELECT * FROM unnest($1::uuid[], $2::integer[]))",
        &endpoints,
        &numbers
    )
    .execute(&mut *connection)
    .await?;
    let mut changed = gone.rows_affected() > 0;
    for ((endpoint, number), wait) in &plan.waits {
        let done = sqlx::query!(
            "INSERT INTO placement_waits AS w (endpoint_id, number, missing, reason, since)
             SELECT endpoint_id, number, $3, $4, $5 FROM releases WHERE endpoint_id = $1 AND number = $2
             ON CONFLICT (endpoint_id, number) DO UPDATE SET missing = excluded.missing, reason = excluded.reason
             WHERE (w.missing, w.reason) IS DISTINCT FROM (excluded.missing, excluded.reason)",
            endpoint.0,
            number,
            i32::try_from(wait.missing).unwrap_or(i32::MAX),
            wait.reason,
            now
        )
        .execute(&mut *connection)
        .await?;
        changed |= done.rows_affected() > 0;
    }
    Ok(changed)
}

/// A version of a release on a node that is to hold it.
#[derive(Debug, Clone)]
pub struct Replica {
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// The release.
    pub release: i32,
    /// Whether it is the one that answers.
    pub is_live: bool,
    /// Whether it is loaded when it is asked for.
    pub on_demand: bool,
    /// The version's model.
    pub model: ModelName,
    /// The version's number.
    pub number: i32,
    /// What runs it.
    pub runtime: Runtime,
    /// The node, and what it is called.
    pub node: (NodeId, String),
    /// What the node says of it; absent while it has said nothing.
    pub report: Option<Report>,
}

/// What nodes that are alive are to hold, of the endpoints that a caller may see.
///
/// # Errors
/// The database is away.
pub async fn replicas(database: &Database, visible: &Visible) -> Result<Vec<Replica>> {
    let visible = Filter::from(visible);
    let rows = sqlx::query!(
        r#"SELECT e.name, e.env, r.number AS release, (r.number IS NOT DISTINCT FROM e.live_release) AS "is_live!",
                  coalesce(jsonb_typeof(r.serving->'on_demand') = 'object', false) AS "on_demand!",
                  v.id AS version_id, m.name AS model, v.number, v.runtime, n.id AS node, n.host,
                  p.state AS "state?", p.reason AS "reason?", p.bytes AS "bytes?", p.isolation AS "isolation?"
           FROM endpoints e
           JOIN releases r ON r.endpoint_id = e.id AND r.number IN (e.live_release, e.target_release)
           JOIN release_versions rv ON rv.endpoint_id = r.endpoint_id AND rv.number = r.number
           JOIN model_versions v ON v.id = rv.version_id
           JOIN models m ON m.id = v.model_id
           JOIN nodes n ON n.leased_until > $1
             AND (r.serving->>'nodes' IS NULL
                  OR EXISTS (SELECT FROM placements l
                             WHERE l.endpoint_id = r.endpoint_id AND l.number = r.number AND l.node_id = n.id))
           LEFT JOIN replicas p ON p.node_id = n.id AND p.version_id = v.id
           WHERE $2 OR sees_endpoint($3, $4, e.id, e.team_id, e.env)
           ORDER BY e.name COLLATE "C", e.env COLLATE "C", r.number, v.number, n.host, n.id"#,
        database.now(),
        visible.all,
        visible.allow,
        visible.deny
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            let report = match row.state.as_deref() {
                None => None,
                Some(state) => {
                    let is = (state, row.isolation.as_deref());
                    let bytes = row.bytes.unwrap_or_default();
                    Some(Report::read(row.version_id, is, row.reason, bytes)?)
                }
            };
            Ok(Replica {
                endpoint: reference(&row.name, &row.env)?,
                release: row.release,
                is_live: row.is_live,
                on_demand: row.on_demand,
                model: row
                    .model
                    .parse()
                    .map_err(|_| Error::inconsistent("models", "name", row.version_id))?,
                number: row.number,
                runtime: read_runtime(&row.runtime, row.version_id)?,
                node: (NodeId(row.node), row.host),
                report,
            })
        })
        .collect()
}

/// A release that fewer nodes hold than it asks for.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// The release.
    pub release: i32,
    /// How many nodes it lacks.
    pub missing: i32,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// What waits for a node, of the endpoints that a caller may see.
///
/// # Errors
/// The database is away.
pub async fn waiting(database: &Database, visible: &Visible) -> Result<Vec<Waiting>> {
    let visible = Filter::from(visible);
    let rows = sqlx::query!(
        r#"SELECT * FROM (
             SELECT e.name, e.env, r.number, w.reason AS "reason?", w.since AS "since?",
                    (r.serving->>'nodes')::integer
                    - (SELECT count(*)::integer FROM placements p JOIN nodes n ON n.id = p.node_id
                       WHERE p.endpoint_id = r.endpoint_id AND p.number = r.number AND n.leased_until > $1) AS "missing!"
             FROM endpoints e
             JOIN releases r ON r.endpoint_id = e.id AND r.number IN (e.live_release, e.target_release)
             LEFT JOIN placement_waits w ON w.endpoint_id = r.endpoint_id AND w.number = r.number
             WHERE r.serving->>'nodes' IS NOT NULL AND ($2 OR sees_endpoint($3, $4, e.id, e.team_id, e.env))) AS asked
           WHERE "missing!" > 0
           ORDER BY name COLLATE "C", env COLLATE "C", number"#,
        database.now(),
        visible.all,
        visible.allow,
        visible.deny
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Waiting {
                endpoint: reference(&row.name, &row.env)?,
                release: row.number,
                missing: row.missing,
                reason: row.reason.unwrap_or_else(|| "no deployer has placed it yet".to_owned()),
                since: row.since,
            })
        })
        .collect()
}

/// Why fewer nodes hold a release than it asks for, if they do and a deployer has looked.
///
/// # Errors
/// The database is away.
pub async fn why_it_waits(
    database: &Database,
    endpoint: EndpointId,
    number: i32,
) -> Result<Option<String>> {
    let reason = sqlx::query_scalar!(
        "SELECT reason FROM placement_waits WHERE endpoint_id = $1 AND number = $2",
        endpoint.0,
        number
    );
    Ok(reason.fetch_optional(database.pool()).await?)
}

fn reference(name: &str, env: &str) -> Result<EndpointRef> {
    let wrong = |_| Error::inconsistent("endpoints", "name", format!("{name}.{env}"));
    Ok(EndpointRef { name: name.parse().map_err(wrong)?, env: env.parse().map_err(wrong)? })
}
