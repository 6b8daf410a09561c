//! Grants as they were: a trigger writes down each one that is added, changed or gone.

use domain::{GrantId, Timestamp};
use serde_json::Value;

use crate::{Database, Result};

/// A grant as it was at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantThen {
    /// Its id.
    pub id: GrantId,
    /// Since when it was so.
    pub since: Timestamp,
    /// It, in words: `subject`, `effect`, `action`, `resource`, its conditions, who made it and when.
    pub state: Value,
}

/// The grants that there were at that moment, oldest first.
///
/// # Errors
/// The database is away.
pub async fn as_of(database: &Database, at: Timestamp) -> Result<Vec<GrantThen>> {
    let rows = sqlx::query!(
        r#"SELECT grant_id, at, state AS "state!"
           FROM (SELECT DISTINCT ON (grant_id) id, grant_id, at, state
                 FROM grant_history WHERE at <= $1 ORDER BY grant_id, id DESC) newest
           WHERE state IS NOT NULL ORDER BY id"#,
        at
    )
    .fetch_all(database.pool())
    .await?;
    let then = rows.into_iter().map(|row| GrantThen {
        id: GrantId(row.grant_id),
        since: row.at,
        state: row.state,
    });
    Ok(then.collect())
}
