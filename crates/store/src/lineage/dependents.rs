//! What would break, or lose its origin, if something were deleted.

use domain::{
    ModelId, Resource, VersionId,
    lineage::{Dependent, Kind},
    tracking::{ExperimentId, RunId},
};
use sqlx::PgConnection;

use crate::{Change, Database, Error, Result};

/// How many that stand against a deletion are named.
const NAMED: i64 = 20;

struct Row {
    kind: String,
    key: String,
    relation: String,
    release: Option<i32>,
    blocks: bool,
    home: String,
}

impl TryFrom<Row> for Dependent {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let wrong = |column| {
            let key = row.key.clone();
            move |_| Error::inconsistent("dependents", column, key)
        };
        let kind: Kind = row.kind.parse().map_err(wrong("kind"))?;
        let home = match kind {
            Kind::Endpoint => Resource::Endpoint(row.key.clone()),
            Kind::Alias | Kind::Stage | Kind::Version => Resource::Model(row.home),
            Kind::Dataset | Kind::Run | Kind::LoggedModel => Resource::Experiment(row.home),
        };
        Ok(Self {
            kind,
            relation: row.relation.parse().map_err(wrong("relation"))?,
            key: row.key,
            release: row.release,
            blocks: row.blocks,
            home,
        })
    }
}

fn read(rows: Vec<Row>) -> Result<Vec<Dependent>> {
    rows.into_iter().map(Dependent::try_from).collect()
}

/// What needs a version, so that it may not be deleted: aliases, and endpoints, past releases
/// included. At most 20.
///
/// # Errors
/// The database is away.
pub async fn needing_version(change: &mut Change, id: VersionId) -> Result<Vec<Dependent>> {
    let mut all = version(change.connection(), id, NAMED).await?;
    all.retain(|dependent| dependent.blocks);
    Ok(all)
}

/// What needs a model, so that it may not be deleted: the endpoints that follow it, and those whose
/// releases, past ones included, name a version of it. At most 20.
///
/// # Errors
/// The database is away.
pub async fn needing_model(change: &mut Change, id: ModelId) -> Result<Vec<Dependent>> {
    let mut all = model(change.connection(), id, NAMED).await?;
    all.retain(|dependent| dependent.blocks);
    Ok(all)
}

/// What depends on a version: what stands against its deletion first; at most `limit`.
///
/// # Errors
/// The database is away.
pub async fn of_version(database: &Database, id: VersionId, limit: i64) -> Result<Vec<Dependent>> {
    version(&mut *database.pool().acquire().await?, id, limit).await
}

/// What depends on a model: what stands against its deletion first; at most `limit`.
///
/// # Errors
/// The database is away.
pub async fn of_model(database: &Database, id: ModelId, limit: i64) -> Result<Vec<Dependent>> {
    model(&mut *database.pool().acquire().await?, id, limit).await
}

async fn version(
    connection: &mut PgConnection,
    id: VersionId,
    limit: i64,
) -> Result<Vec<Dependent>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT kind AS "kind!", key AS "key!", relation AS "relation!", release, blocks AS "blocks!", home AS "home!"
           FROM (
             SELECT 'alias' AS kind, a.alias AS key, 'named' AS relation, NULL::integer AS release, true AS blocks, m.name AS home
             FROM aliases a JOIN models m ON m.id = a.model_id
             WHERE a.version_id = $1
             UNION ALL
             -- Each endpoint once, by the release that matters most.
             SELECT 'endpoint', CASE e.env WHEN 'production' THEN e.name ELSE e.name || '.' || e.env END,
                    CASE WHEN bool_or(r.number = e.live_release) THEN 'live'
                         WHEN bool_or(r.number = e.target_release) THEN 'next'
                         WHEN e.pinned_version = $1 THEN 'pinned'
                         WHEN count(r.number) > 0 THEN 'past'
                         ELSE 'followed' END,
                    coalesce(max(r.number) FILTER (WHERE r.number = e.live_release),
                             max(r.number) FILTER (WHERE r.number = e.target_release), max(r.number)),
                    e.pinned_version = $1 IS TRUE OR count(r.number) > 0,
                    ''
             FROM endpoints e
             LEFT JOIN release_versions r ON r.endpoint_id = e.id AND r.version_id = $1
             WHERE e.id IN (SELECT endpoint_id FROM release_versions WHERE version_id = $1
                            UNION
                            SELECT id FROM endpoints WHERE pinned_version = $1
                            UNION
                            SELECT f.id FROM endpoints f JOIN aliases a ON a.model_id = f.model_id AND a.alias = f.alias
                            WHERE a.version_id = $1)
             GROUP BY e.id
             UNION ALL
             SELECT 'version', cm.name || '/' || c.number, 'copied', NULL, false, cm.name
             FROM model_versions v JOIN models m ON m.id = v.model_id
             JOIN model_versions c ON c.source = 'models:/' || m.name || '/' || v.number AND c.deleted_at IS NULL
             JOIN models cm ON cm.id = c.model_id AND cm.deleted_at IS NULL
             WHERE v.id = $1
             UNION ALL
             SELECT 'run', replace(r.id::text, '-', ''), 'loaded', NULL, false, r.experiment_id::text
             FROM model_versions v
             JOIN run_models i ON i.model_id = v.logged_model_id AND i.direction = 'input'
             JOIN runs r ON r.id = i.run_id AND r.deleted_at IS NULL
             WHERE v.id = $1
           ) AS found
           ORDER BY blocks DESC, kind, key
           LIMIT $2"#,
        id.0,
        limit
    )
    .fetch_all(connection)
    .await?;
    read(rows)
}

async fn model(connection: &mut PgConnection, id: ModelId, limit: i64) -> Result<Vec<Dependent>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT kind AS "kind!", key AS "key!", relation AS "relation!", release, blocks AS "blocks!", home AS "home!"
           FROM (
             -- Each endpoint once, by the release that matters most.
             SELECT 'endpoint' AS kind, CASE e.env WHEN 'production' THEN e.name ELSE e.name || '.' || e.env END AS key,
                    CASE WHEN bool_or(r.number = e.live_release) THEN 'live'
                         WHEN bool_or(r.number = e.target_release) THEN 'next'
                         WHEN e.model_id = $1 THEN 'followed'
                         ELSE 'past' END AS relation,
                    coalesce(max(r.number) FILTER (WHERE r.number = e.live_release),
                             max(r.number) FILTER (WHERE r.number = e.target_release), max(r.number)) AS release,
                    true AS blocks, '' AS home
             FROM endpoints e
             LEFT JOIN (release_versions r JOIN model_versions v ON v.id = r.version_id AND v.model_id = $1)
                    ON r.endpoint_id = e.id
             WHERE e.model_id = $1 OR v.id IS NOT NULL
             GROUP BY e.id
             UNION ALL
             SELECT 'alias', a.alias, 'named', NULL, false, m.name
             FROM aliases a JOIN models m ON m.id = a.model_id
             WHERE a.model_id = $1 AND a.version_id IS NOT NULL
             UNION ALL
             SELECT 'version', cm.name || '/' || c.number, 'copied', NULL, false, cm.name
             FROM models m JOIN model_versions v ON v.model_id = m.id
             JOIN model_versions c ON c.source = 'models:/' || m.name || '/' || v.number AND c.deleted_at IS NULL
             JOIN models cm ON cm.id = c.model_id AND cm.deleted_at IS NULL
             WHERE m.id = $1 AND c.model_id <> $1
           ) AS found
           ORDER BY blocks DESC, kind, key
           LIMIT $2"#,
        id.0,
        limit
    )
    .fetch_all(connection)
    .await?;
    read(rows)
}

/// What depends on a run: versions and logged models that it made, and runs that loaded these. They
/// all outlive it, and lose their origin. At most `limit`.
///
/// # Errors
/// The database is away.
pub async fn of_run(database: &Database, id: RunId, limit: i64) -> Result<Vec<Dependent>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT kind AS "kind!", key AS "key!", relation AS "relation!", NULL::integer AS release, false AS "blocks!", home AS "home!"
           FROM (
             SELECT 'version' AS kind, m.name || '/' || v.number AS key, 'produced' AS relation, m.name AS home
             FROM model_versions v JOIN models m ON m.id = v.model_id
             WHERE v.run_id = $2 AND v.deleted_at IS NULL AND m.deleted_at IS NULL
             UNION
             SELECT 'logged_model', 'm-' || replace(l.id::text, '-', ''), 'produced', l.experiment_id::text
             FROM logged_models l
             WHERE l.deleted_at IS NULL
               AND (l.source_run_id = $1
                    OR l.id IN (SELECT model_id FROM run_models WHERE run_id = $1 AND direction = 'output'))
             UNION
             SELECT 'run', replace(r.id::text, '-', ''), 'loaded', r.experiment_id::text
             FROM logged_models l
             JOIN run_models i ON i.model_id = l.id AND i.direction = 'input' AND i.run_id <> $1
             JOIN runs r ON r.id = i.run_id AND r.deleted_at IS NULL
             WHERE l.source_run_id = $1
           ) AS found
           ORDER BY kind, key
           LIMIT $3"#,
        id.0,
        id.to_string(),
        limit
    )
    .fetch_all(database.pool())
    .await?;
    read(rows)
}

/// What depends on an experiment from outside of it: versions that its runs or logged models were made
/// into, and runs of other experiments that loaded its logged models. At most `limit`.
///
/// # Errors
/// The database is away.
pub async fn of_experiment(
    database: &Database,
    id: ExperimentId,
    limit: i64,
) -> Result<Vec<Dependent>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT kind AS "kind!", key AS "key!", relation AS "relation!", NULL::integer AS release, false AS "blocks!", home AS "home!"
           FROM (
             SELECT 'version' AS kind, m.name || '/' || v.number AS key, 'produced' AS relation, m.name AS home
             FROM runs r
             JOIN model_versions v ON v.run_id = replace(r.id::text, '-', '') AND v.deleted_at IS NULL
             JOIN models m ON m.id = v.model_id AND m.deleted_at IS NULL
             WHERE r.experiment_id = $1
             UNION
             SELECT 'version', m.name || '/' || v.number, 'registered', m.name
             FROM logged_models l
             JOIN model_versions v ON v.logged_model_id = l.id AND v.deleted_at IS NULL
             JOIN models m ON m.id = v.model_id AND m.deleted_at IS NULL
             WHERE l.experiment_id = $1
             UNION
             SELECT 'run', replace(r.id::text, '-', ''), 'loaded', r.experiment_id::text
             FROM logged_models l
             JOIN run_models i ON i.model_id = l.id AND i.direction = 'input'
             JOIN runs r ON r.id = i.run_id AND r.deleted_at IS NULL AND r.experiment_id <> $1
             WHERE l.experiment_id = $1
           ) AS found
           ORDER BY kind, key
           LIMIT $2"#,
        id.0,
        limit
    )
    .fetch_all(database.pool())
    .await?;
    read(rows)
}
