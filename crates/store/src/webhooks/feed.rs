//! From the outbox to deliveries: each event once for each webhook that wants to hear of it.
//!
//! A transaction that began early may commit late, so the order of ids alone would skip its
//! events. We read whole windows instead: every event of a transaction between the last bound and
//! the oldest transaction that still runs. Within a window ids are the order in which things
//! happened, since an event is written under the lock of what it happened to; and of two events of
//! one resource the later is never in an earlier window.
//!
//! Bookkeeping, no governed change: the position and the deliveries move in one transaction.

use domain::Timestamp;
use serde_json::Value;

use crate::{Change, Database, Result};

const READER: &str = "webhooks";

/// What the outbox says.
#[derive(Debug, Clone)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What, as `alias.moved`.
    pub topic: String,
    /// To what, as `model:fraud`.
    pub resource: String,
    /// The facts.
    pub payload: Value,
}

/// What webhooks are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Of what kind of thing.
    pub entity: &'static str,
    /// What became of it.
    pub action: &'static str,
    /// The body of the delivery.
    pub body: Value,
}

/// Begins to keep the outbox for webhooks, from this change on, unless that is so already.
pub(super) async fn begin(change: &mut Change) -> Result<()> {
    sqlx::query!(
        "INSERT INTO outbox_readers (name, xid, id) VALUES ($1, pg_snapshot_xmin(pg_current_snapshot()), 0)
         ON CONFLICT DO NOTHING",
        READER
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Writes the deliveries of what has happened since the last call; `tell` says what to tell of an
/// event. Answers how many deliveries were written. Of several processes one does it at a time.
///
/// # Errors
/// The database is away.
pub async fn advance(database: &Database, tell: impl Fn(&Happened) -> Vec<Told>) -> Result<u64> {
    let mut tx = database.pool().begin().await?;
    let reader = sqlx::query!(
        r#"SELECT xid::text AS "from!", pg_snapshot_xmin(pg_current_snapshot())::text AS "to!"
           FROM outbox_readers WHERE name = $1 FOR UPDATE SKIP LOCKED"#,
        READER
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(window) = reader.filter(|window| window.from != window.to) else { return Ok(0) };
    let happened = sqlx::query_as!(
        Happened,
        "SELECT at, topic, resource, payload FROM outbox
         WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8 ORDER BY id",
        window.from,
        window.to
    )
    .fetch_all(&mut *tx)
    .await?;
    let told: Vec<_> = happened
        .iter()
        .flat_map(|event| tell(event).into_iter().map(move |told| (event, told)))
        .collect();
    let written = if told.is_empty() { 0 } else { write(&mut tx, database.now(), &told).await? };
    sqlx::query!(
        "UPDATE outbox_readers SET xid = $2::text::xid8 WHERE name = $1",
        READER,
        window.to
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(written)
}

/// A webhook that is disabled, or was made after the event, is not told of it.
async fn write(
    tx: &mut sqlx::PgConnection,
    now: Timestamp,
    told: &[(&Happened, Told)],
) -> Result<u64> {
    let at: Vec<_> = told.iter().map(|(event, _)| event.at).collect();
    let resources: Vec<_> = told.iter().map(|(event, _)| event.resource.clone()).collect();
    let entities: Vec<_> = told.iter().map(|(_, told)| told.entity.to_owned()).collect();
    let actions: Vec<_> = told.iter().map(|(_, told)| told.action.to_owned()).collect();
    let bodies: Vec<_> = told.iter().map(|(_, told)| told.body.clone()).collect();
    let done = sqlx::query!(
        "INSERT INTO webhook_deliveries
             (id, webhook_id, entity, action, resource, body, state, next_try_at, created_at)
         SELECT gen_random_uuid(), w.id, t.entity, t.action, t.resource, t.body, 'pending', $6, $6
         FROM UNNEST($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
              WITH ORDINALITY AS t (at, resource, entity, action, body, place)
         JOIN webhook_events e ON e.entity = t.entity AND e.action = t.action
         JOIN webhooks w ON w.id = e.webhook_id AND w.status = 'ACTIVE' AND w.created_at <= t.at
         ORDER BY t.place",
        &at,
        &resources,
        &entities,
        &actions,
        &bodies,
        now
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets events of before `before` that every reader is past. Whoever reads tables in place of
/// events needs none of them. Answers how many.
///
/// # Errors
/// The database is away.
pub async fn trim(database: &Database, before: Timestamp) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM outbox
         WHERE at < $1 AND NOT EXISTS (SELECT FROM outbox_readers r WHERE r.xid <= outbox.xid)",
        before
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}
