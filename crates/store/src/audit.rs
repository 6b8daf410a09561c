//! The audit trail: append-only; the application's role cannot change or delete what is there.

use domain::{AuditEvent, Cursor, Digest, Limit, Page, Timestamp};
use serde_json::Value;
use sqlx::PgConnection;

use crate::{Database, Error, Result};

pub(crate) async fn insert(
    connection: &mut PgConnection,
    at: Timestamp,
    event: &AuditEvent,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO audit_events
             (at, actor, action, resource_kind, resource, change, before_digest, after_digest, request_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        at,
        event.actor.to_string(),
        event.action.as_str(),
        event.resource.kind(),
        event.resource.name(),
        event.change,
        event.before.as_ref().map(|digest| digest.as_bytes().as_slice()),
        event.after.as_ref().map(|digest| digest.as_bytes().as_slice()),
        event.request_id.as_str(),
        event.detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// An event as it was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its number; later events have larger ones, with gaps.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who, as `user:ana`.
    pub actor: String,
    /// Under which permission.
    pub action: String,
    /// The kind of thing that it was done to.
    pub resource_kind: String,
    /// Its name at the time.
    pub resource: String,
    /// What was done.
    pub change: String,
    /// Digest of its description before.
    pub before: Option<Digest>,
    /// Digest of its description after.
    pub after: Option<Digest>,
    /// The request that asked for it.
    pub request_id: String,
    /// The facts.
    pub detail: Value,
}

/// Which events to list; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Who, as `user:ana`.
    pub actor: Option<String>,
    /// The kind of thing.
    pub resource_kind: Option<String>,
    /// The thing's name.
    pub resource: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Lists events, newest first.
///
/// # Errors
/// The database is away, or the cursor is not of this list.
pub async fn list(
    database: &Database,
    filter: &Filter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Recorded>> {
    let before = cursor.map(Cursor::key_as::<i64>).transpose()?;
    let rows = sqlx::query!(
        "SELECT id, at, actor, action, resource_kind, resource, change, before_digest, after_digest, request_id, detail
         FROM audit_events
         WHERE ($1::bigint IS NULL OR id < $1)
           AND ($2::text IS NULL OR actor = $2)
           AND ($3::text IS NULL OR resource_kind = $3)
           AND ($4::text IS NULL OR resource = $4)
           AND ($5::timestamptz IS NULL OR at >= $5)
           AND ($6::timestamptz IS NULL OR at < $6)
         ORDER BY id DESC
         LIMIT $7",
        before,
        filter.actor,
        filter.resource_kind,
        filter.resource,
        filter.since,
        filter.until,
        limit.get() + 1,
    )
    .fetch_all(database.pool())
    .await?;
    let events = rows
        .into_iter()
        .map(|row| {
            Ok(Recorded {
                id: row.id,
                at: row.at,
                actor: row.actor,
                action: row.action,
                resource_kind: row.resource_kind,
                resource: row.resource,
                change: row.change,
                before: row
                    .before_digest
                    .map(|bytes| digest("audit_events", row.id, &bytes))
                    .transpose()?,
                after: row
                    .after_digest
                    .map(|bytes| digest("audit_events", row.id, &bytes))
                    .transpose()?,
                request_id: row.request_id,
                detail: row.detail,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(events, limit, |event| event.id.to_string()))
}

/// Reads a digest column.
pub(crate) fn digest(
    table: &'static str,
    id: impl std::fmt::Display,
    bytes: &[u8],
) -> Result<Digest> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Error::inconsistent(table, "digest", id))?;
    Ok(Digest::from_bytes(bytes))
}
