//! What holds for the whole platform and is changed while it runs.

use domain::{Actor, Timestamp};
use serde_json::Value;

use crate::{Change, Database, Result};

/// A setting that was given a value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Who gave it.
    pub updated_by: String,
    /// When.
    pub updated_at: Timestamp,
}

/// All settings that were given a value, by name. There are few: no pages.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database) -> Result<Vec<Setting>> {
    Ok(sqlx::query_as!(
        Setting,
        "SELECT key, value, updated_by, updated_at FROM platform_settings ORDER BY key"
    )
    .fetch_all(database.pool())
    .await?)
}

/// A setting, if it was given a value.
///
/// # Errors
/// The database is away.
pub async fn get(change: &mut Change, key: &str) -> Result<Option<Setting>> {
    Ok(sqlx::query_as!(
        Setting,
        "SELECT key, value, updated_by, updated_at FROM platform_settings WHERE key = $1 FOR UPDATE",
        key
    )
    .fetch_optional(change.connection())
    .await?)
}

/// Gives a setting a value.
///
/// # Errors
/// The database is away.
pub async fn set(change: &mut Change, key: &str, value: &Value, by: &Actor) -> Result<Setting> {
    let now = change.now();
    sqlx::query!(
        "INSERT INTO platform_settings (key, value, updated_by, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (key) DO UPDATE SET value = $2, updated_by = $3, updated_at = $4",
        key,
        value,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(Setting {
        key: key.to_owned(),
        value: value.clone(),
        updated_by: by.to_string(),
        updated_at: now,
    })
}
