//! Deliveries: handed out under a lease, in order for each webhook and resource.
//!
//! A delivery whose worker died is handed out again when its lease ends: told at least once. Only
//! the oldest pending delivery of a webhook and a resource is ever handed out, so a failing one
//! holds back what is behind it and nothing else.
//!
//! Bookkeeping, no governed change.

use std::time::Duration;

use domain::{Cursor, DeliveryId, Limit, Page, Timestamp, WebhookId};
use serde_json::Value;
use uuid::Uuid;

use crate::{Change, Database, Result};

/// How many deliveries of one webhook are out at once: a slow receiver must not hold up others.
const AT_ONCE: i64 = 4;

/// A delivery that was handed out.
pub struct Claimed {
    /// Its id, the same at every try.
    pub id: DeliveryId,
    /// Which try this is, from 1.
    pub attempt: i32,
    /// The body.
    pub body: Value,
    /// To whom.
    pub webhook: WebhookId,
    /// Where.
    pub url: String,
    /// What it is signed with, sealed.
    pub secret: Option<Vec<u8>>,
    claim: Uuid,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// Again, then.
    Retry(Timestamp),
    /// Never again by itself.
    Dead,
}

/// A delivery, as people look at it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    number: i64,
    /// Of what kind of thing.
    pub entity: String,
    /// What became of it.
    pub action: String,
    /// Which, as `model:fraud`.
    pub resource: String,
    /// What was, or will be, sent.
    pub body: Value,
    /// `pending`, `delivered` or `dead`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next.
    pub next_try_at: Timestamp,
    /// What the receiver last answered.
    pub last_status: Option<i32>,
    /// What was last wrong.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
}

/// Hands out up to `most` deliveries that are due, for `lease` long.
///
/// # Errors
/// The database is away.
pub async fn claim(database: &Database, lease: Duration, most: i64) -> Result<Vec<Claimed>> {
    let (now, claim) = (database.now(), Uuid::now_v7());
    // Of each webhook and resource the oldest one, found by jumping from resource to resource: what
    // waits behind it costs nothing. Webhooks take turns, those with the fewest out first.
    let mut claimed = sqlx::query!(
        r#"WITH RECURSIVE heads AS (
               SELECT a.id AS webhook_id, h.* FROM webhooks a CROSS JOIN LATERAL (
                   SELECT p.resource, p.id, p.number, p.next_try_at, p.leased_until
                   FROM webhook_deliveries p WHERE p.webhook_id = a.id AND p.state = 'pending'
                   ORDER BY p.resource, p.number LIMIT 1) h
               WHERE a.status = 'ACTIVE'
               UNION ALL
               SELECT b.webhook_id, h.* FROM heads b CROSS JOIN LATERAL (
                   SELECT p.resource, p.id, p.number, p.next_try_at, p.leased_until
                   FROM webhook_deliveries p
                   WHERE p.webhook_id = b.webhook_id AND p.state = 'pending' AND p.resource > b.resource
                   ORDER BY p.resource, p.number LIMIT 1) h
           ),
           due AS (
               SELECT id, number, row_number() OVER (PARTITION BY webhook_id ORDER BY number) + leased AS turn
               FROM (SELECT *, count(*) FILTER (WHERE leased_until > $2) OVER (PARTITION BY webhook_id) AS leased FROM heads)
               WHERE next_try_at <= $2 AND (leased_until IS NULL OR leased_until <= $2)
           ),
           taken AS (
               SELECT p.id FROM webhook_deliveries p
               WHERE p.id IN (SELECT id FROM due WHERE turn <= $4 ORDER BY turn, number LIMIT $5)
                 AND p.state = 'pending' AND (p.leased_until IS NULL OR p.leased_until <= $2)
               FOR UPDATE SKIP LOCKED
           )
           UPDATE webhook_deliveries d
           SET claim = $1, leased_until = $2::timestamptz + make_interval(secs => $3), attempts = d.attempts + 1
           FROM webhooks w
           WHERE w.id = d.webhook_id AND d.id IN (SELECT id FROM taken)
           RETURNING d.id, d.number, d.attempts, d.body, w.id AS webhook_id, w.url, w.secret"#,
        claim,
        now,
        lease.as_secs_f64(),
        AT_ONCE,
        most
    )
    .fetch_all(database.pool())
    .await?;
    claimed.sort_by_key(|row| row.number);
    Ok(claimed
        .into_iter()
        .map(|row| Claimed {
            id: DeliveryId(row.id),
            attempt: row.attempts,
            body: row.body,
            webhook: WebhookId(row.webhook_id),
            url: row.url,
            secret: row.secret,
            claim,
        })
        .collect())
}

/// Writes what became of a try, unless its lease ended and somebody else has it.
///
/// # Errors
/// The database is away.
pub async fn finish(
    database: &Database,
    claimed: &Claimed,
    outcome: &Outcome,
    status: Option<u16>,
    error: Option<&str>,
) -> Result<()> {
    let now = database.now();
    let (state, next) = match outcome {
        Outcome::Delivered => ("delivered", now),
        Outcome::Retry(at) => ("pending", *at),
        Outcome::Dead => ("dead", now),
    };
    sqlx::query!(
        "UPDATE webhook_deliveries
         SET state = $3, next_try_at = $4, last_status = $5, last_error = $6, claim = NULL, leased_until = NULL,
             finished_at = CASE WHEN $3 = 'pending' THEN NULL ELSE $7::timestamptz END
         WHERE id = $1 AND claim = $2",
        claimed.id.0,
        claimed.claim,
        state,
        next,
        status.map(i32::from),
        error,
        now
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

/// Lists a webhook's deliveries, newest first; only those in `state` if given.
///
/// # Errors
/// The database is away; a cursor of another list.
pub async fn list(
    database: &Database,
    webhook: WebhookId,
    state: Option<&str>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Delivery>> {
    let before = cursor.map(Cursor::key_as::<i64>).transpose()?;
    let rows = sqlx::query!(
        "SELECT id, number, entity, action, resource, body, state, attempts, next_try_at,
                last_status, last_error, created_at, finished_at
         FROM webhook_deliveries
         WHERE webhook_id = $1 AND ($2::bigint IS NULL OR number < $2) AND ($3::text IS NULL OR state = $3)
         ORDER BY number DESC LIMIT $4",
        webhook.0,
        before,
        state,
        limit.get() + 1
    )
    .map(|row| Delivery {
        id: DeliveryId(row.id),
        number: row.number,
        entity: row.entity,
        action: row.action,
        resource: row.resource,
        body: row.body,
        state: row.state,
        attempts: row.attempts,
        next_try_at: row.next_try_at,
        last_status: row.last_status,
        last_error: row.last_error,
        created_at: row.created_at,
        finished_at: row.finished_at,
    })
    .fetch_all(database.pool())
    .await?;
    Ok(Page::from_rows(rows, limit, |delivery: &Delivery| delivery.number.to_string()))
}

/// The state of one delivery of a webhook, locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(
    change: &mut Change,
    webhook: WebhookId,
    id: DeliveryId,
) -> Result<Option<String>> {
    let row = sqlx::query!(
        "SELECT state FROM webhook_deliveries WHERE webhook_id = $1 AND id = $2 FOR UPDATE",
        webhook.0,
        id.0
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| row.state))
}

/// Tries dead deliveries of a webhook from the beginning: one, or all. They go out at once, in
/// their order. Answers how many.
///
/// # Errors
/// The database is away.
pub async fn replay(
    change: &mut Change,
    webhook: WebhookId,
    one: Option<DeliveryId>,
) -> Result<u64> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE webhook_deliveries
         SET state = 'pending', attempts = 0, next_try_at = $3, finished_at = NULL
         WHERE webhook_id = $1 AND state = 'dead' AND ($2::uuid IS NULL OR id = $2)",
        webhook.0,
        one.map(|id| id.0),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected())
}

/// Forgets deliveries that ended before `before`. Answers how many.
///
/// # Errors
/// The database is away.
pub async fn trim(database: &Database, before: Timestamp) -> Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM webhook_deliveries WHERE state <> 'pending' AND finished_at < $1",
        before
    )
    .execute(database.pool())
    .await?;
    Ok(done.rows_affected())
}
