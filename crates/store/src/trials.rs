//! The queue of trials: leased, so that a worker that dies gives its work back.

use chrono::TimeDelta;
use domain::{Timestamp, VersionId};

use crate::{Database, Result};

/// A trial that the caller may run until its lease ends.
#[derive(Debug, Clone, Copy)]
pub struct Claimed {
    /// The version to try.
    pub version: VersionId,
    /// How often it has been claimed, this time included.
    pub attempts: i32,
}

/// Claims the oldest trial that nobody works on. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn claim(database: &Database, lease: TimeDelta) -> Result<Option<Claimed>> {
    let now = database.now();
    let row = sqlx::query!(
        "UPDATE trials SET attempts = attempts + 1, leased_until = $2
         WHERE version_id = (SELECT version_id FROM trials
                             WHERE leased_until IS NULL OR leased_until <= $1
                             ORDER BY queued_at
                             LIMIT 1
                             FOR UPDATE SKIP LOCKED)
         RETURNING version_id, attempts",
        now,
        now + lease
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Claimed { version: VersionId(row.version_id), attempts: row.attempts }))
}

/// Keeps a claim for another while. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn renew(database: &Database, version: VersionId, lease: TimeDelta) -> Result<()> {
    sqlx::query!(
        "UPDATE trials SET leased_until = $2 WHERE version_id = $1",
        version.0,
        database.now() + lease
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Gives a claim back, to be tried again not before that instant. Bookkeeping.
///
/// # Errors
/// The database is away.
pub async fn give_back(
    database: &Database,
    version: VersionId,
    not_before: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "UPDATE trials SET leased_until = $2 WHERE version_id = $1",
        version.0,
        not_before
    )
    .execute(database.pool())
    .await?;
    Ok(())
}
