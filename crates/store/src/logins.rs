//! Failed attempts to log in. Bookkeeping that no permit is needed for; what is audited of it is
//! recorded by `auth`.

use domain::{Timestamp, access::Patience};

use crate::{Database, Result};

/// The most keys that are kept; beyond, those that failed longest ago are forgotten.
const MOST: i64 = 100_000;

/// Who, or where from, with what their failures cost.
#[derive(Debug, Clone, Copy)]
pub struct Culprit {
    /// By keyed hash.
    pub key: [u8; 32],
    /// What failures cost.
    pub patience: Patience,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It may be made. It counts as failed until [`forgive`] says otherwise.
    Counted,
    /// It may not be made before then.
    Blocked(Timestamp),
}

/// Counts an attempt before it is made, so that many at once are not one.
///
/// # Errors
/// The database is away.
pub async fn attempt(database: &Database, culprits: &[Culprit; 2]) -> Result<Attempt> {
    let now = database.now();
    let keys: Vec<_> = culprits.iter().map(|culprit| culprit.key.to_vec()).collect();
    let mut tx = database.pool().begin().await?;
    // Both in the order of keys: nobody waits for each other in a circle.
    sqlx::query!(
        "INSERT INTO login_failures (key, failures, last_at, blocked_until)
         SELECT key, 0, $2, $2 FROM UNNEST($1::bytea[]) AS k (key) ORDER BY key
         ON CONFLICT DO NOTHING",
        &keys,
        now
    )
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query!(
        "SELECT key, failures, last_at, blocked_until FROM login_failures
         WHERE key = ANY($1) ORDER BY key FOR UPDATE",
        &keys
    )
    .fetch_all(&mut *tx)
    .await?;
    let last = rows.iter().map(|row| row.blocked_until).max();
    if let Some(until) = last.filter(|until| *until > now) {
        return Ok(Attempt::Blocked(until));
    }
    for row in rows {
        let known = culprits.iter().find(|culprit| culprit.key.as_slice() == row.key);
        let Some(Culprit { key, patience }) = known else { continue };
        let is_old = row.last_at < now - Patience::FORGET;
        let failures = if is_old { 1 } else { row.failures.saturating_add(1) };
        sqlx::query!(
            "UPDATE login_failures SET failures = $2, last_at = $3, blocked_until = $4 WHERE key = $1",
            key.as_slice(),
            failures,
            now,
            now + patience.wait(failures)
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(Attempt::Counted)
}

/// Takes back what [`attempt`] counted of a log-in that went well: all of the first key, one of the
/// second.
///
/// # Errors
/// The database is away.
pub async fn forgive(database: &Database, account: &[u8; 32], address: &[u8; 32]) -> Result<()> {
    sqlx::query!("DELETE FROM login_failures WHERE key = $1", account.as_slice())
        .execute(database.pool())
        .await?;
    sqlx::query!(
        "UPDATE login_failures SET failures = greatest(failures - 1, 0), blocked_until = last_at
         WHERE key = $1",
        address.as_slice()
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Forgets failures that are old, and those beyond the most that are kept.
///
/// # Errors
/// The database is away.
pub async fn forget_old(database: &Database) -> Result<()> {
    let since = database.now() - Patience::FORGET;
    sqlx::query!("DELETE FROM login_failures WHERE last_at < $1", since)
        .execute(database.pool())
        .await?;
    sqlx::query!(
        "DELETE FROM login_failures WHERE key IN
             (SELECT key FROM login_failures ORDER BY last_at DESC OFFSET $1)",
        MOST
    )
    .execute(database.pool())
    .await?;
    Ok(())
}
