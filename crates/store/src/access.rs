//! The revision of all that decides who may do what. Each process reads identities, grants and
//! policies again when it has moved.

use crate::{Change, Database, Result};

/// Says that this change touches who may do what. Changes that say so come one after the other:
/// what one of them finds stays so until it ends.
///
/// # Errors
/// The database is away.
pub async fn raise(change: &mut Change) -> Result<()> {
    sqlx::query!("UPDATE access_revision SET revision = revision + 1")
        .execute(change.connection())
        .await?;
    Ok(())
}

/// The present revision.
///
/// # Errors
/// The database is away.
pub async fn revision(database: &Database) -> Result<i64> {
    let row =
        sqlx::query!("SELECT revision FROM access_revision").fetch_one(database.pool()).await?;
    Ok(row.revision)
}
