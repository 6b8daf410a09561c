//! Policies that an administrator wrote.

use domain::Timestamp;
use serde_json::{Value, json};

use crate::{Change, Database, Result};

/// A policy as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it is called.
    pub name: String,
    /// Cedar.
    pub text: String,
    /// How often it was written.
    pub revision: i32,
    /// By whom, last.
    pub updated_by: String,
    /// When, last.
    pub updated_at: Timestamp,
}

impl Written {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({"policy": self.name, "text": self.text, "revision": self.revision})
    }
}

/// All of them, by name.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database) -> Result<Vec<Written>> {
    let all = sqlx::query_as!(
        Written,
        "SELECT name, text, revision, updated_by, updated_at FROM policies ORDER BY name"
    );
    Ok(all.fetch_all(database.pool()).await?)
}

/// The policy of that name, as the change sees it.
///
/// # Errors
/// The database is away.
pub async fn find(change: &mut Change, name: &str) -> Result<Option<Written>> {
    let one = sqlx::query_as!(
        Written,
        "SELECT name, text, revision, updated_by, updated_at FROM policies WHERE name = $1",
        name
    );
    Ok(one.fetch_optional(change.connection()).await?)
}

/// Writes a policy, in place of the one of that name if there is one.
///
/// # Errors
/// The database is away.
pub async fn put(change: &mut Change, name: &str, text: &str, by: &str) -> Result<Written> {
    let now = change.now();
    let one = sqlx::query_as!(
        Written,
        "INSERT INTO policies (name, text, revision, updated_by, updated_at) VALUES ($1, $2, 1, $3, $4)
         ON CONFLICT (name) DO UPDATE
         SET text = $2, revision = policies.revision + 1, updated_by = $3, updated_at = $4
         RETURNING name, text, revision, updated_by, updated_at",
        name,
        text,
        by,
        now
    );
    Ok(one.fetch_one(change.connection()).await?)
}

/// Removes a policy.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, name: &str) -> Result<()> {
    sqlx::query!("DELETE FROM policies WHERE name = $1", name).execute(change.connection()).await?;
    Ok(())
}
