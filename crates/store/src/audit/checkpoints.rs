//! Checkpoints: signed notes of how far the chain had come. Bookkeeping: they say what seals say.

use domain::{
    Cursor, Limit, Page, Timestamp,
    audit::{Checkpoint, Link},
};
use sqlx::PgConnection;

use super::{digest, seals};
use crate::{Database, Error, Result};

/// How far the chain has come.
///
/// # Errors
/// The database is away.
pub async fn head(database: &Database) -> Result<Link> {
    let mut connection = database.pool().acquire().await?;
    Ok(seals::newest(&mut connection).await?.link)
}

/// The newest checkpoint: how far the chain had come, and when.
///
/// # Errors
/// The database is away.
pub async fn newest(database: &Database) -> Result<Option<(Link, Timestamp)>> {
    let row = sqlx::query!(
        "SELECT seal, total, hash, at FROM audit_checkpoints ORDER BY seal DESC LIMIT 1"
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(|row| {
        let hash = digest("audit_checkpoints", row.seal, &row.hash)?;
        Ok((Link { seal: row.seal, total: row.total, hash }, row.at))
    })
    .transpose()
}

/// Keeps a checkpoint, unless there is one of its seal.
///
/// # Errors
/// The database is away.
pub async fn insert(database: &Database, checkpoint: &Checkpoint) -> Result<()> {
    let wrong = |column| move |_| Error::inconsistent("audit_checkpoints", column, checkpoint.seal);
    sqlx::query!(
        "INSERT INTO audit_checkpoints (seal, total, hash, at, public_key, signature)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        checkpoint.seal,
        checkpoint.total,
        checkpoint.hash.as_bytes().as_slice(),
        checkpoint.at,
        hex::decode(&checkpoint.public_key).map_err(wrong("public_key"))?,
        hex::decode(&checkpoint.signature).map_err(wrong("signature"))?,
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Lists checkpoints, newest first.
///
/// # Errors
/// The database is away, or the cursor is not of this list.
pub async fn list(
    database: &Database,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Checkpoint>> {
    let before = cursor.map(Cursor::key_as::<i64>).transpose()?;
    let rows = sqlx::query!(
        "SELECT seal, total, hash, at, public_key, signature FROM audit_checkpoints
         WHERE ($1::bigint IS NULL OR seal < $1) ORDER BY seal DESC LIMIT $2",
        before,
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let checkpoints = rows
        .into_iter()
        .map(|row| {
            Ok(Checkpoint {
                seal: row.seal,
                total: row.total,
                hash: digest("audit_checkpoints", row.seal, &row.hash)?,
                at: row.at,
                public_key: hex::encode(row.public_key),
                signature: hex::encode(row.signature),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(checkpoints, limit, |checkpoint| checkpoint.seal.to_string()))
}

/// How far the chain had come at each checkpoint. There is one in minutes: they fit in memory.
pub(super) async fn links(connection: &mut PgConnection) -> Result<Vec<Link>> {
    let rows = sqlx::query!("SELECT seal, total, hash FROM audit_checkpoints ORDER BY seal")
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|row| {
            let hash = digest("audit_checkpoints", row.seal, &row.hash)?;
            Ok(Link { seal: row.seal, total: row.total, hash })
        })
        .collect()
}
