//! Endpoints as they were: a trigger writes down each change of one.

use domain::{Cursor, EndpointRef, Limit, Page, Timestamp};
use serde_json::Value;

use crate::{Database, Result};

/// An endpoint as it was since a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointThen {
    /// The number of the change; later ones have larger numbers.
    pub id: i64,
    /// Since when it was so.
    pub at: Timestamp,
    /// It, in words: `follows`, `held`, `blocked`, `target_release`, `live_release`, `live_versions`;
    /// absent where it was gone.
    pub state: Option<Value>,
}

/// How the endpoint stood at that moment; absent where it was not there.
///
/// # Errors
/// The database is away.
pub async fn as_of(
    database: &Database,
    endpoint: &EndpointRef,
    at: Timestamp,
) -> Result<Option<EndpointThen>> {
    let then = sqlx::query_as!(
        EndpointThen,
        r#"SELECT id, at, state FROM endpoint_history
           WHERE endpoint COLLATE "C" = $1 AND at <= $2 ORDER BY id DESC LIMIT 1"#,
        endpoint.to_string(),
        at
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(then.filter(|then| then.state.is_some()))
}

/// Lists the changes of an endpoint up to a moment, newest first.
///
/// # Errors
/// The database is away, or the cursor is not of this list.
pub async fn list(
    database: &Database,
    endpoint: &EndpointRef,
    until: Option<Timestamp>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<EndpointThen>> {
    let before = cursor.map(Cursor::key_as::<i64>).transpose()?;
    let rows = sqlx::query_as!(
        EndpointThen,
        r#"SELECT id, at, state FROM endpoint_history
           WHERE endpoint COLLATE "C" = $1
             AND ($2::bigint IS NULL OR id < $2)
             AND ($3::timestamptz IS NULL OR at <= $3)
           ORDER BY id DESC LIMIT $4"#,
        endpoint.to_string(),
        before,
        until,
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    Ok(Page::from_rows(rows, limit, |then| then.id.to_string()))
}
