//! What servers of others are told so that they answer: sealed, and each for one origin.

use domain::{Actor, Timestamp};
use serde_json::{Value, json};

use crate::{Change, Database, Result, models::one};

/// A credential.
#[derive(Debug, Clone)]
pub struct Credential {
    /// What the sealed secret is bound to.
    pub id: uuid::Uuid,
    /// Its name.
    pub name: String,
    /// The only server that it is sent to: scheme, host and port.
    pub origin: String,
    /// The secret.
    pub sealed: Vec<u8>,
    /// Who set it last, as `user:ana`.
    pub updated_by: String,
    /// When.
    pub updated_at: Timestamp,
}

impl Credential {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({"credential": self.name, "origin": self.origin})
    }
}

/// What a credential shall be.
pub struct New<'a> {
    /// What the sealed secret is bound to.
    pub id: uuid::Uuid,
    /// Its name.
    pub name: &'a str,
    /// Where it is sent.
    pub origin: &'a str,
    /// The secret.
    pub sealed: &'a [u8],
}

/// The id of one that is not there yet.
#[must_use]
pub fn new_id() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}

/// All of them, by name.
///
/// # Errors
/// The database is away.
pub async fn all(database: &Database) -> Result<Vec<Credential>> {
    let all = sqlx::query_as!(
        Credential,
        "SELECT id, name, origin, sealed, updated_by, updated_at FROM credentials ORDER BY name"
    );
    Ok(all.fetch_all(database.pool()).await?)
}

/// The one of that name.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, name: &str) -> Result<Option<Credential>> {
    let one = sqlx::query_as!(
        Credential,
        "SELECT id, name, origin, sealed, updated_by, updated_at FROM credentials WHERE name = $1",
        name
    );
    Ok(one.fetch_optional(database.pool()).await?)
}

/// The one of that name, locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, name: &str) -> Result<Option<Credential>> {
    let one = sqlx::query_as!(
        Credential,
        "SELECT id, name, origin, sealed, updated_by, updated_at FROM credentials WHERE name = $1 FOR UPDATE",
        name
    );
    Ok(one.fetch_optional(change.connection()).await?)
}

/// Keeps a credential that is new; absent where somebody else has just made one of that name.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, new: &New<'_>, by: &Actor) -> Result<Option<Credential>> {
    let now = change.now();
    let put = sqlx::query_as!(
        Credential,
        "INSERT INTO credentials (id, name, origin, sealed, updated_by, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING
         RETURNING id, name, origin, sealed, updated_by, updated_at",
        new.id,
        new.name,
        new.origin,
        new.sealed,
        by.to_string(),
        now
    );
    Ok(put.fetch_optional(change.connection()).await?)
}

/// Gives the credential of that id, which the change has locked, another origin and secret.
///
/// # Errors
/// The database is away.
pub async fn update(change: &mut Change, new: &New<'_>, by: &Actor) -> Result<Credential> {
    let now = change.now();
    let put = sqlx::query_as!(
        Credential,
        "UPDATE credentials SET origin = $2, sealed = $3, updated_by = $4, updated_at = $5 WHERE id = $1
         RETURNING id, name, origin, sealed, updated_by, updated_at",
        new.id,
        new.origin,
        new.sealed,
        by.to_string(),
        now
    );
    Ok(put.fetch_one(change.connection()).await?)
}

/// Deletes the one of that name, which the change has locked.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, name: &str) -> Result<()> {
    let done = sqlx::query!("DELETE FROM credentials WHERE name = $1", name)
        .execute(change.connection())
        .await?;
    one("credentials", done.rows_affected())
}
