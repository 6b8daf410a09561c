//! The end of what was deleted long ago. [`some`] takes some of it, with what hangs on it; the caller
//! repeats it, a transaction each, until it answers nothing. Blobs are left to collection.
//!
//! What another transaction works on is skipped, so any number of purges may run at once. What was
//! restored meanwhile stays, and so does every version that an endpoint's release or an alias names.

use domain::{
    ModelName, Timestamp,
    tracking::{ExperimentId, LoggedModelId, RunId},
};

use crate::{Change, Database, Error, Result, blobs::Heap};

/// What one transaction deletes of each kind: much may hang on a run.
const AT_ONCE: i64 = 100;
/// How many models one transaction deletes: each takes all its versions along.
const MODELS_AT_ONCE: i64 = 10;

/// One thing that is gone for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purged {
    /// A run, with what it logged and its files.
    Run(ExperimentId, RunId),
    /// A logged model, with its files.
    LoggedModel(ExperimentId, LoggedModelId),
    /// An experiment that held nothing any more.
    Experiment(ExperimentId, String),
    /// A version.
    Version(ModelName, i32),
    /// A model, with all its versions, aliases and their history.
    Model(ModelName),
}

/// How much there is of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Experiments.
    pub experiments: u64,
    /// Runs.
    pub runs: u64,
    /// Logged models.
    pub logged_models: u64,
    /// Models.
    pub models: u64,
    /// Versions, but for those that went with their models.
    pub versions: u64,
}

impl Counts {
    /// Counts one thing more.
    pub const fn add(&mut self, purged: &Purged) {
        match purged {
            Purged::Run(..) => self.runs += 1,
            Purged::LoggedModel(..) => self.logged_models += 1,
            Purged::Experiment(..) => self.experiments += 1,
            Purged::Version(..) => self.versions += 1,
            Purged::Model(..) => self.models += 1,
        }
    }
}

/// Deletes for good some of what was deleted before that instant.
///
/// # Errors
/// The database is away.
pub async fn some(change: &mut Change, before: Timestamp) -> Result<Vec<Purged>> {
    let mut purged = runs(change, before).await?;
    purged.extend(logged_models(change, before).await?);
    purged.extend(experiments(change, before).await?);
    purged.extend(versions(change, before).await?);
    purged.extend(models(change, before).await?);
    Ok(purged)
}

/// Runs, with the files that lie with us.
async fn runs(change: &mut Change, before: Timestamp) -> Result<Vec<Purged>> {
    let rows = sqlx::query!(
        r#"WITH doomed AS (
             SELECT id, substring(artifact_uri FROM '^mlflow-artifacts:/+(.+)$') COLLATE "C" AS folder
             FROM runs WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED
           ), files AS (
             DELETE FROM tracked_files USING doomed WHERE path > folder || '/' AND path < folder || '0'
           )
           DELETE FROM runs USING doomed WHERE runs.id = doomed.id RETURNING runs.id, runs.experiment_id"#,
        before,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Purged::Run(ExperimentId(row.experiment_id), RunId(row.id)))
        .collect())
}

/// Logged models that were deleted, or whose experiment was and is about to go.
async fn logged_models(change: &mut Change, before: Timestamp) -> Result<Vec<Purged>> {
    let rows = sqlx::query!(
        r#"WITH doomed AS (
             SELECT m.id, substring(m.artifact_uri FROM '^mlflow-artifacts:/+(.+)$') COLLATE "C" AS folder
             FROM logged_models m JOIN experiments e ON e.id = m.experiment_id
             WHERE m.deleted_at < $1
                OR (e.deleted_at < $1 AND NOT EXISTS (SELECT FROM runs WHERE experiment_id = e.id))
             ORDER BY m.id LIMIT $2 FOR UPDATE OF m, e SKIP LOCKED
           ), files AS (
             DELETE FROM tracked_files USING doomed WHERE path > folder || '/' AND path < folder || '0'
           )
           DELETE FROM logged_models USING doomed WHERE logged_models.id = doomed.id
           RETURNING logged_models.id, logged_models.experiment_id"#,
        before,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Purged::LoggedModel(ExperimentId(row.experiment_id), LoggedModelId(row.id)))
        .collect())
}

/// Experiments that hold nothing any more: a run that was restored by itself keeps its experiment.
/// The one that is always there stays.
async fn experiments(change: &mut Change, before: Timestamp) -> Result<Vec<Purged>> {
    let rows = sqlx::query!(
        "DELETE FROM experiments
         WHERE id IN (SELECT id FROM experiments e
                      WHERE deleted_at < $1 AND id <> 0
                        AND NOT EXISTS (SELECT FROM runs WHERE experiment_id = e.id)
                        AND NOT EXISTS (SELECT FROM logged_models WHERE experiment_id = e.id)
                      ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING id, name",
        before,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| Purged::Experiment(ExperimentId(row.id), row.name)).collect())
}

/// Versions that nothing names: a deleted one can be named by a release that is older than the deletion.
async fn versions(change: &mut Change, before: Timestamp) -> Result<Vec<Purged>> {
    let rows = sqlx::query!(
        "DELETE FROM model_versions v USING models m
         WHERE m.id = v.model_id AND v.id IN (
             SELECT d.id FROM model_versions d
             WHERE d.deleted_at < $1
               AND NOT EXISTS (SELECT FROM aliases a WHERE a.version_id = d.id)
               AND NOT EXISTS (SELECT FROM release_versions r WHERE r.version_id = d.id)
               AND NOT EXISTS (SELECT FROM endpoints e WHERE e.pinned_version = d.id)
             ORDER BY d.deleted_at
             LIMIT $2
             FOR UPDATE SKIP LOCKED)
         RETURNING v.id, v.number, m.name",
        before,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let wrong = |_| Error::inconsistent("models", "name", row.id);
            Ok(Purged::Version(row.name.parse().map_err(wrong)?, row.number))
        })
        .collect()
}

/// Models that no endpoint needs, each whole.
async fn models(change: &mut Change, before: Timestamp) -> Result<Vec<Purged>> {
    let doomed = sqlx::query_scalar!(
        "SELECT id FROM models m
         WHERE deleted_at < $1
           AND NOT EXISTS (SELECT FROM endpoints e WHERE e.model_id = m.id)
           AND NOT EXISTS (SELECT FROM release_versions r JOIN model_versions v ON v.id = r.version_id
                           WHERE v.model_id = m.id)
         ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        before,
        MODELS_AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    // Aliases point to versions: they go first.
    sqlx::query!("DELETE FROM aliases WHERE model_id = ANY($1)", &doomed)
        .execute(change.connection())
        .await?;
    let rows = sqlx::query!("DELETE FROM models WHERE id = ANY($1) RETURNING id, name", &doomed)
        .fetch_all(change.connection())
        .await?;
    rows.into_iter()
        .map(|row| {
            let wrong = |_| Error::inconsistent("models", "name", row.id);
            Ok(Purged::Model(row.name.parse().map_err(wrong)?))
        })
        .collect()
}

/// What a purge would delete, and the blobs that nothing would name after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preview {
    /// What would be deleted.
    pub counts: Counts,
    /// The blobs that nothing would name.
    pub unnamed: Heap,
    /// Those of them that nobody touched since the instant that was asked for.
    pub untouched: Heap,
}

/// What a purge of what was deleted before that instant would do, with the blobs that nobody
/// touched since `untouched_since`. It changes nothing, and reads every blob's row.
///
/// # Errors
/// The database is away.
pub async fn preview(
    database: &Database,
    before: Timestamp,
    untouched_since: Timestamp,
) -> Result<Preview> {
    let row = sqlx::query!(
        r#"WITH doomed_experiments AS (
             SELECT id FROM experiments e
             WHERE deleted_at < $1
               AND NOT EXISTS (SELECT FROM runs WHERE experiment_id = e.id AND (deleted_at < $1) IS NOT TRUE)
           ), doomed_runs AS (
             SELECT artifact_uri FROM runs WHERE deleted_at < $1
           ), doomed_logged_models AS (
             SELECT artifact_uri FROM logged_models
             WHERE deleted_at < $1 OR experiment_id IN (SELECT id FROM doomed_experiments)
           ), doomed_models AS (
             SELECT id FROM models m
             WHERE deleted_at < $1
               AND NOT EXISTS (SELECT FROM endpoints e WHERE e.model_id = m.id)
               AND NOT EXISTS (SELECT FROM release_versions r JOIN model_versions v ON v.id = r.version_id
                               WHERE v.model_id = m.id)
           ), doomed_versions AS (
             SELECT id FROM model_versions d
             WHERE d.deleted_at < $1
               AND d.model_id NOT IN (SELECT id FROM doomed_models)
               AND NOT EXISTS (SELECT FROM aliases a WHERE a.version_id = d.id)
               AND NOT EXISTS (SELECT FROM release_versions r WHERE r.version_id = d.id)
               AND NOT EXISTS (SELECT FROM endpoints e WHERE e.pinned_version = d.id)
           ), all_doomed_versions AS (
             SELECT id FROM doomed_versions
             UNION ALL
             SELECT id FROM model_versions WHERE model_id IN (SELECT id FROM doomed_models)
           ), folders AS (
             SELECT substring(artifact_uri FROM '^mlflow-artifacts:/+(.+)$') COLLATE "C" AS folder
             FROM (SELECT * FROM doomed_runs UNION ALL SELECT * FROM doomed_logged_models) AS doomed
           ), doomed_files AS (
             SELECT path FROM tracked_files JOIN folders ON path > folder || '/' AND path < folder || '0'
             UNION
             SELECT path FROM tracked_files
             WHERE experiment_id IN (SELECT id FROM doomed_experiments WHERE id <> 0)
           ), named AS (
             SELECT digest FROM version_files f
             WHERE NOT EXISTS (SELECT FROM all_doomed_versions d WHERE d.id = f.version_id)
             UNION ALL
             SELECT digest FROM tracked_files f
             WHERE NOT EXISTS (SELECT FROM doomed_files d WHERE d.path = f.path)
             UNION ALL
             SELECT digest FROM capture_segments
           ), unnamed AS (
             SELECT size, touched_at < $2 AS is_untouched FROM blobs b
             WHERE NOT EXISTS (SELECT FROM named n WHERE n.digest = b.digest)
           )
           SELECT (SELECT count(*) FROM doomed_experiments WHERE id <> 0) AS "experiments!",
                  (SELECT count(*) FROM doomed_runs) AS "runs!",
                  (SELECT count(*) FROM doomed_logged_models) AS "logged_models!",
                  (SELECT count(*) FROM doomed_models) AS "models!",
                  (SELECT count(*) FROM doomed_versions) AS "versions!",
                  count(*) AS "unnamed!",
                  coalesce(sum(size), 0)::bigint AS "unnamed_bytes!",
                  count(*) FILTER (WHERE is_untouched) AS "untouched!",
                  coalesce(sum(size) FILTER (WHERE is_untouched), 0)::bigint AS "untouched_bytes!"
           FROM unnamed"#,
        before,
        untouched_since
    )
    .fetch_one(database.pool())
    .await?;
    let counts = Counts {
        experiments: row.experiments.unsigned_abs(),
        runs: row.runs.unsigned_abs(),
        logged_models: row.logged_models.unsigned_abs(),
        models: row.models.unsigned_abs(),
        versions: row.versions.unsigned_abs(),
    };
    Ok(Preview {
        counts,
        unnamed: Heap::of(row.unnamed, row.unnamed_bytes),
        untouched: Heap::of(row.untouched, row.untouched_bytes),
    })
}
