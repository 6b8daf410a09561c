//! Searches of the trail.

use domain::{Cursor, Limit, Page, Timestamp, audit::Recorded};

use sqlx::PgConnection;

use super::row::{Row, select_events};
use crate::{Database, Result};

/// How many events a page is looked for in where an index does not find them.
const SIFTED: i64 = 50_000;

/// Which events; what is absent does not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Who, as `user:ana`.
    pub actor: Option<String>,
    /// The kind of thing.
    pub resource_kind: Option<String>,
    /// The thing's name.
    pub resource: Option<String>,
    /// The request.
    pub request_id: Option<String>,
    /// Under which permission.
    pub action: Option<String>,
    /// What was done, as `alias.moved`.
    pub change: Option<String>,
    /// `allowed` or `refused`.
    pub decision: Option<String>,
    /// What stands somewhere in the facts, in either case.
    pub text: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether it asks for what no index knows.
    const fn sifts(&self) -> bool {
        self.action.is_some()
            || self.change.is_some()
            || self.decision.is_some()
            || self.text.is_some()
    }
}

/// A place in the list.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: Timestamp,
    id: i64,
}

impl Place {
    fn read(cursor: &Cursor) -> Result<Self> {
        let (at, id) = cursor.key_as_pair()?;
        let (at, id) = (Cursor::after(at).key_as()?, Cursor::after(id).key_as()?);
        Ok(Self { at, id })
    }

    fn cursor(self) -> Cursor {
        Cursor::after(&format!("{}/{}", self.at.to_rfc3339(), self.id))
    }
}

/// Lists events, newest first. Where the filter asks for what no index knows, a page is looked for
/// among so many events: it may hold fewer than asked for, or none, and still have a next one.
///
/// # Errors
/// The database is away, or the cursor is not of this list.
pub async fn list(
    database: &Database,
    filter: &Filter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Recorded>> {
    let before = cursor.map(Place::read).transpose()?;
    let mut tx = database.pool().begin().await?;
    // Planned for these very values: with a general plan an index would be left aside.
    sqlx::query!("SET LOCAL plan_cache_mode = force_custom_plan").execute(&mut *tx).await?;
    let floor = if filter.sifts() { floor(&mut tx, filter, before).await? } else { None };
    let found = find(&mut tx, filter, before, floor, limit.get() + 1).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|found| found > limit.get());
    let key = |event: &Recorded| format!("{}/{}", event.at.to_rfc3339(), event.id);
    let mut page = Page::from_rows(found, limit, key);
    if !is_full {
        page.next = floor.map(Place::cursor);
    }
    Ok(page)
}

/// Where a page that is sifted ends, if there is more behind.
async fn floor(
    connection: &mut PgConnection,
    filter: &Filter,
    before: Option<Place>,
) -> Result<Option<Place>> {
    let row = sqlx::query!(
        "SELECT at, id FROM audit_events
         WHERE ($1::timestamptz IS NULL OR (at, id) < ($1, $2::bigint))
           AND ($3::text IS NULL OR actor = $3)
           AND ($4::text IS NULL OR resource_kind = $4)
           AND ($5::text IS NULL OR resource = $5)
           AND ($6::text IS NULL OR request_id = $6)
           AND ($7::timestamptz IS NULL OR at >= $7)
           AND ($8::timestamptz IS NULL OR at < $8)
         ORDER BY at DESC, id DESC OFFSET $9 LIMIT 1",
        before.map(|place| place.at),
        before.map(|place| place.id),
        filter.actor,
        filter.resource_kind,
        filter.resource,
        filter.request_id,
        filter.since,
        filter.until,
        SIFTED - 1,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Place { at: row.at, id: row.id }))
}

/// The events before one place and down to the other.
async fn find(
    connection: &mut PgConnection,
    filter: &Filter,
    before: Option<Place>,
    floor: Option<Place>,
    limit: i64,
) -> Result<Vec<Recorded>> {
    let rows = select_events!(
        "WHERE ($1::timestamptz IS NULL OR (at, id) < ($1, $2::bigint))
           AND ($3::text IS NULL OR actor = $3)
           AND ($4::text IS NULL OR resource_kind = $4)
           AND ($5::text IS NULL OR resource = $5)
           AND ($6::text IS NULL OR request_id = $6)
           AND ($7::timestamptz IS NULL OR at >= $7)
           AND ($8::timestamptz IS NULL OR at < $8)
           AND ($9::timestamptz IS NULL OR (at, id) >= ($9, $10::bigint))
           AND ($11::text IS NULL OR action = $11)
           AND ($12::text IS NULL OR change = $12)
           AND ($13::text IS NULL OR decision = $13)
           AND ($14::text IS NULL OR strpos(lower(detail::text), lower($14)) > 0)
         ORDER BY audit_events.at DESC, id DESC LIMIT $15",
        before.map(|place| place.at),
        before.map(|place| place.id),
        filter.actor,
        filter.resource_kind,
        filter.resource,
        filter.request_id,
        filter.since,
        filter.until,
        floor.map(|place| place.at),
        floor.map(|place| place.id),
        filter.action,
        filter.change,
        filter.decision,
        filter.text,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Recorded::try_from).collect()
}
