//! What short-lived tokens are signed by: public parts, and private ones sealed.

use domain::Timestamp;

use crate::{Change, Database, Error, Result};

/// A key that signs, will sign, or signed what is still valid.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Tells it apart, in each token that it signed.
    pub id: uuid::Uuid,
    /// The public part, 32 bytes.
    pub public_key: Vec<u8>,
    /// The private part.
    pub sealed: Vec<u8>,
    /// From when on it signs; it is known before.
    pub signs_from: Timestamp,
    /// Until when it signs.
    pub signs_until: Timestamp,
    /// Until when what it signed may be valid.
    pub known_until: Timestamp,
}

/// What tells this Bottega from others.
///
/// # Errors
/// The database is away.
pub async fn instance(database: &Database) -> Result<uuid::Uuid> {
    Ok(sqlx::query_scalar!("SELECT id FROM instance").fetch_one(database.pool()).await?)
}

/// All keys that signed what may be valid, or will, by the time from which they sign.
///
/// # Errors
/// The database is away.
pub async fn known(database: &Database) -> Result<Vec<SigningKey>> {
    Ok(sqlx::query_as!(
        SigningKey,
        "SELECT id, public_key, sealed, signs_from, signs_until, known_until FROM signing_keys
         WHERE known_until > $1 ORDER BY signs_from, id",
        database.now()
    )
    .fetch_all(database.pool())
    .await?)
}

/// Until when the newest key signs; absent where there is none. Whoever asks alone makes one until
/// the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock_newest(change: &mut Change) -> Result<Option<Timestamp>> {
    let guard = sqlx::query!("SELECT created_at FROM hash_keys FOR UPDATE");
    if guard.fetch_optional(change.connection()).await?.is_none() {
        return Err(Error::Affected { table: "hash_keys", affected: 0 });
    }
    Ok(sqlx::query_scalar!("SELECT max(signs_until) FROM signing_keys")
        .fetch_one(change.connection())
        .await?)
}

/// Keeps a new key, and forgets those whose tokens are all over.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, key: &SigningKey) -> Result<()> {
    let now = change.now();
    sqlx::query!("DELETE FROM signing_keys WHERE known_until < $1", now)
        .execute(change.connection())
        .await?;
    sqlx::query!(
        "INSERT INTO signing_keys (id, public_key, sealed, signs_from, signs_until, known_until, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        key.id,
        key.public_key,
        key.sealed,
        key.signs_from,
        key.signs_until,
        key.known_until,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
