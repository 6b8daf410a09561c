//! The packages that Python versions were tried with: locked lists, so that every node builds the
//! same environment.

use domain::{Digest, VersionId, python::Lock};

use crate::{Change, Database, Error, Result};

/// The list that a version was tried with; absent where it is no Python version, or not tried yet.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, version: VersionId) -> Result<Option<Lock>> {
    let row = sqlx::query!(
        "SELECT python, packages FROM version_environments WHERE version_id = $1",
        version.0
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(|row| lock(&row.python, row.packages, version)).transpose()
}

/// The newest list that was found for a version that wanted the same.
///
/// # Errors
/// The database is away.
pub async fn find(database: &Database, wanted: &Digest) -> Result<Option<Lock>> {
    let row = sqlx::query!(
        "SELECT python, packages FROM version_environments WHERE wanted = $1 ORDER BY created_at DESC LIMIT 1",
        wanted.as_bytes().as_slice()
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(|row| lock(&row.python, row.packages, wanted)).transpose()
}

/// Keeps the list that a version was tried with.
///
/// # Errors
/// The database is away.
pub async fn set(
    change: &mut Change,
    version: VersionId,
    wanted: &Digest,
    lock: &Lock,
) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "INSERT INTO version_environments (version_id, wanted, python, packages, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (version_id) DO UPDATE
         SET wanted = excluded.wanted, python = excluded.python, packages = excluded.packages, created_at = excluded.created_at",
        version.0,
        wanted.as_bytes().as_slice(),
        lock.python.to_string(),
        lock.packages,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

fn lock(python: &str, packages: String, of: impl ToString) -> Result<Lock> {
    let python = python
        .parse()
        .map_err(|_| Error::inconsistent("version_environments", "python", of.to_string()))?;
    Ok(Lock { python, packages })
}
