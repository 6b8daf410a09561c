//! The queue of trials: leased, so that a worker that dies gives its work back.

use chrono::TimeDelta;
use domain::{Timestamp, VersionId};
use uuid::Uuid;

use crate::{Change, Database, Result};

/// A trial that the caller may run until its lease ends.
#[derive(Debug, Clone, Copy)]
pub struct Claimed {
    /// The version to try.
    pub version: VersionId,
    /// How often it has been claimed and not given back, this time included: whoever claimed it
    /// before died over it.
    pub attempts: i32,
    /// Since when it waits to be tried.
    pub queued_at: Timestamp,
    /// Tells this claim from a later one of somebody else.
    claim: Uuid,
}

/// Claims the oldest trial that nobody works on. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn claim(database: &Database, lease: TimeDelta) -> Result<Option<Claimed>> {
    let (now, claim) = (database.now(), Uuid::now_v7());
    let row = sqlx::query!(
        "UPDATE trials SET attempts = attempts + 1, leased_until = $2, claim = $3
         WHERE version_id = (SELECT version_id FROM trials
                             WHERE leased_until IS NULL OR leased_until <= $1
                             ORDER BY queued_at
                             LIMIT 1
                             FOR UPDATE SKIP LOCKED)
         RETURNING version_id, attempts, queued_at",
        now,
        now + lease,
        claim
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Claimed {
        version: VersionId(row.version_id),
        attempts: row.attempts,
        queued_at: row.queued_at,
        claim,
    }))
}

/// Keeps a claim for another while; `false` if it is lost, because its lease ended and somebody
/// else has it, or because the version is gone. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn renew(database: &Database, claimed: &Claimed, lease: TimeDelta) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE trials SET leased_until = $3 WHERE version_id = $1 AND claim = $2",
        claimed.version.0,
        claimed.claim,
        database.now() + lease
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a claim back as if it had not been made, to be tried again not before that instant.
/// Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn give_back(
    database: &Database,
    claimed: &Claimed,
    not_before: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "UPDATE trials SET attempts = attempts - 1, leased_until = $3, claim = NULL
         WHERE version_id = $1 AND claim = $2",
        claimed.version.0,
        claimed.claim,
        not_before
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Says how far the trial is, for whoever looks at the version. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn progress(database: &Database, claimed: &Claimed, progress: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE trials SET progress = $3 WHERE version_id = $1 AND claim = $2",
        claimed.version.0,
        claimed.claim,
        progress
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Queues again the versions with code of their own that nothing here could run, or this one of them, as what
/// forbade it is another now.
///
/// # Errors
/// The database is away.
pub async fn again(change: &mut Change, only: Option<VersionId>) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "WITH again AS (
             UPDATE model_versions SET status = 'pending', servable = 'checking', reason = NULL, updated_at = $1
             WHERE runtime IN ('python', 'process') AND status = 'ready' AND servable = 'no' AND deleted_at IS NULL
                 AND ($2::uuid IS NULL OR id = $2)
             RETURNING id)
         INSERT INTO trials (version_id, queued_at) SELECT id, $1 FROM again ON CONFLICT DO NOTHING",
        now,
        only.map(|version| version.0)
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Queues a version again whose trial is over, whatever it found.
///
/// # Errors
/// The database is away.
pub async fn retry(change: &mut Change, version: VersionId) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "WITH again AS (
             UPDATE model_versions SET status = 'pending', servable = 'checking', reason = NULL, updated_at = $1
             WHERE id = $2
             RETURNING id)
         INSERT INTO trials (version_id, queued_at) SELECT id, $1 FROM again ON CONFLICT DO NOTHING",
        now,
        version.0
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
