//! What models printed lately that run in processes of their own.
//!
//! Bookkeeping, and neither governed nor for good: a node writes what it has in one go, and what it
//! cannot write is gone.

use domain::{EndpointId, NodeId, Timestamp, VersionId};

use crate::{Database, Result};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose it is.
    pub version: VersionId,
    /// When it was printed.
    pub at: Timestamp,
    /// The line, without its end.
    pub text: String,
}

/// A line that is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its place among them.
    pub id: i64,
    /// The node of the process.
    pub node: NodeId,
    /// When it was printed.
    pub at: Timestamp,
    /// The version's model and number.
    pub version: (String, i32),
    /// The line, without its end.
    pub text: String,
}

/// Writes lines down, in their order.
///
/// # Errors
/// The database is away.
pub async fn write(database: &Database, node: NodeId, lines: &[Line]) -> Result<()> {
    let versions: Vec<_> = lines.iter().map(|line| line.version.0).collect();
    let at: Vec<_> = lines.iter().map(|line| line.at).collect();
    // Postgres keeps no zero bytes in text.
    let texts: Vec<_> = lines.iter().map(|line| line.text.replace('\0', "\u{fffd}")).collect();
    let mut tx = database.pool().begin().await?;
    // From the first id until the commit, so that ids become visible in their order.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('printed_lines')) IS NULL AS done")
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query!(
        "INSERT INTO printed_lines (version_id, node_id, at, line)
         SELECT v.id, $1, at, line
         FROM unnest($2::uuid[], $3::timestamptz[], $4::text[]) WITH ORDINALITY AS given (version_id, at, line, place)
         JOIN model_versions v ON v.id = given.version_id
         ORDER BY place",
        node.0,
        &versions,
        &at,
        &texts
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

struct Row {
    id: i64,
    node_id: uuid::Uuid,
    at: Timestamp,
    model: String,
    number: i32,
    line: String,
}

impl From<Row> for Written {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            node: NodeId(row.node_id),
            at: row.at,
            version: (row.model, row.number),
            text: row.line,
        }
    }
}

/// `select_lines!("AND …", arguments)`: both reads gather the same columns, of the versions that the endpoint
/// `$1` has or had.
macro_rules! select_lines {
    ($rest:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            "SELECT p.id, p.node_id, p.at, m.name AS model, v.number, p.line
             FROM printed_lines p JOIN model_versions v ON v.id = p.version_id JOIN models m ON m.id = v.model_id
             WHERE p.version_id IN (SELECT version_id FROM release_versions WHERE endpoint_id = $1) " + $rest,
            $($argument),*
        )
    };
}

/// The lines of an endpoint's versions behind this place that are not older than that, the oldest first.
///
/// # Errors
/// The database is away.
pub async fn next(
    database: &Database,
    endpoint: EndpointId,
    after: i64,
    since: Option<Timestamp>,
    limit: i64,
) -> Result<Vec<Written>> {
    let rows = select_lines!(
        "AND p.id > $2 AND ($3::timestamptz IS NULL OR p.at >= $3) ORDER BY p.id LIMIT $4",
        endpoint.0,
        after,
        since,
        limit
    );
    Ok(rows.fetch_all(database.pool()).await?.into_iter().map(Written::from).collect())
}

/// The last lines of an endpoint's versions, the oldest first.
///
/// # Errors
/// The database is away.
pub async fn last(database: &Database, endpoint: EndpointId, limit: i64) -> Result<Vec<Written>> {
    let rows = select_lines!("ORDER BY p.id DESC LIMIT $2", endpoint.0, limit);
    Ok(rows.fetch_all(database.pool()).await?.into_iter().rev().map(Written::from).collect())
}

/// Forgets what was printed before that; how many lines.
///
/// # Errors
/// The database is away.
pub async fn forget(database: &Database, before: Timestamp) -> Result<u64> {
    let done = sqlx::query!("DELETE FROM printed_lines WHERE at < $1", before)
        .execute(database.pool())
        .await?;
    Ok(done.rows_affected())
}
