//! The end of what was deleted long ago. Each function takes some of it, with what hangs on it; the
//! caller repeats it, a transaction each, until it answers nothing. Blobs are left to collection.

use domain::{
    Timestamp,
    tracking::{ExperimentId, LoggedModelId, RunId},
};

use crate::{Change, Result};

/// What one transaction deletes: much may hang on a run.
const AT_ONCE: i64 = 100;

/// Runs that were deleted before that instant, with the files that lie with us.
///
/// # Errors
/// The database is away.
pub async fn runs(change: &mut Change, before: Timestamp) -> Result<Vec<RunId>> {
    let rows = sqlx::query!(
        r#"WITH doomed AS (
             SELECT id, substring(artifact_uri FROM '^mlflow-artifacts:/+(.+)$') COLLATE "C" AS folder
             FROM runs WHERE deleted_at < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
           ), files AS (
             DELETE FROM tracked_files USING doomed WHERE path > folder || '/' AND path < folder || '0'
           )
           DELETE FROM runs USING doomed WHERE runs.id = doomed.id RETURNING runs.id"#,
        before,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| RunId(row.id)).collect())
}

/// Logged models that were deleted before that instant, or whose experiment was.
///
/// # Errors
/// The database is away.
pub async fn logged_models(change: &mut Change, before: Timestamp) -> Result<Vec<LoggedModelId>> {
    let rows = sqlx::query!(
        r#"WITH doomed AS (
             SELECT m.id, substring(m.artifact_uri FROM '^mlflow-artifacts:/+(.+)$') COLLATE "C" AS folder
             FROM logged_models m JOIN experiments e ON e.id = m.experiment_id
             WHERE m.deleted_at < $1 OR e.deleted_at < $1
             ORDER BY m.id LIMIT $2 FOR UPDATE OF m SKIP LOCKED
           ), files AS (
             DELETE FROM tracked_files USING doomed WHERE path > folder || '/' AND path < folder || '0'
           )
           DELETE FROM logged_models USING doomed WHERE logged_models.id = doomed.id
           RETURNING logged_models.id"#,
        before,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| LoggedModelId(row.id)).collect())
}

/// Experiments that were deleted before that instant and hold nothing any more: a run that was
/// restored by itself keeps its experiment. The one that is always there stays.
///
/// # Errors
/// The database is away.
pub async fn experiments(change: &mut Change, before: Timestamp) -> Result<Vec<ExperimentId>> {
    let rows = sqlx::query!(
        "DELETE FROM experiments
         WHERE id IN (SELECT id FROM experiments e
                      WHERE deleted_at < $1 AND id <> 0
                        AND NOT EXISTS (SELECT FROM runs WHERE experiment_id = e.id)
                        AND NOT EXISTS (SELECT FROM logged_models WHERE experiment_id = e.id)
                      ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING id",
        before,
        AT_ONCE
    )
    .fetch_all(change.connection())
    .await?;
    Ok(rows.into_iter().map(|row| ExperimentId(row.id)).collect())
}
