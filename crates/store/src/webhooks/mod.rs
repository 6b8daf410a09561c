//! Webhooks: who wants to hear of what.
//!
//! [`feed`] turns what the outbox holds into deliveries, [`deliveries`] hands these out and keeps
//! what became of them. Not here: which events there are, and sending (`notify`).

pub mod deliveries;
pub mod feed;

use domain::{Actor, Cursor, Limit, Page, Timestamp, WebhookId};
use sqlx::types::Json;

use crate::{Change, Database, Error, Result};

/// A kind of event by its two names: `("model_version", "created")`.
pub type EventName = (String, String);

/// A webhook.
#[derive(Clone)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What people call it; not unique.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where its deliveries go.
    pub url: String,
    /// Whether it is told anything; else what happens meanwhile is never told to it.
    pub active: bool,
    /// What deliveries are signed with, sealed.
    pub secret: Option<Vec<u8>>,
    /// Who made it, as `user:ana`.
    pub owner: String,
    /// What it wants to hear of.
    pub events: Vec<EventName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a webhook is made of.
pub struct NewWebhook<'a> {
    /// Its id, which the sealed secret is bound to.
    pub id: WebhookId,
    /// What people call it.
    pub name: &'a str,
    /// What it is for.
    pub description: Option<&'a str>,
    /// Where its deliveries go.
    pub url: &'a str,
    /// Whether it is told anything.
    pub active: bool,
    /// What deliveries are signed with, sealed.
    pub secret: Option<&'a [u8]>,
    /// What it wants to hear of.
    pub events: &'a [EventName],
}

struct Row {
    id: uuid::Uuid,
    name: String,
    description: Option<String>,
    url: String,
    status: String,
    secret: Option<Vec<u8>>,
    owner: String,
    events: Json<Vec<EventName>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Row> for Webhook {
    fn from(row: Row) -> Self {
        Self {
            id: WebhookId(row.id),
            name: row.name,
            description: row.description,
            url: row.url,
            active: row.status == "ACTIVE",
            secret: row.secret,
            owner: row.owner,
            events: row.events.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// `select_webhook!("WHERE …", arguments)`: every read of a webhook gathers the same columns.
macro_rules! select_webhook {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT w.id, w.name, w.description, w.url, w.status, w.secret, w.owner, w.created_at, w.updated_at,
                      (SELECT coalesce(jsonb_agg(jsonb_build_array(e.entity, e.action) ORDER BY e.entity, e.action), '[]')
                       FROM webhook_events e WHERE e.webhook_id = w.id) AS "events!: Json<Vec<EventName>>"
               FROM webhooks w "# + $rest
            $(, $argument)*
        )
    };
}

/// The webhook of that id.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, id: WebhookId) -> Result<Option<Webhook>> {
    let row = select_webhook!("WHERE w.id = $1", id.0).fetch_optional(database.pool()).await?;
    Ok(row.map(Webhook::from))
}

/// The webhook of that id, locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, id: WebhookId) -> Result<Option<Webhook>> {
    let row = select_webhook!("WHERE w.id = $1 FOR UPDATE OF w", id.0)
        .fetch_optional(change.connection())
        .await?;
    Ok(row.map(Webhook::from))
}

/// Lists webhooks, newest first: all, or those that want to hear of one of these entities.
///
/// # Errors
/// The database is away; a cursor of another list.
pub async fn list(
    database: &Database,
    entities: Option<&[String]>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Webhook>> {
    // Ids sort by the time of their making.
    let before = cursor.map(Cursor::key_as::<WebhookId>).transpose()?;
    let rows = select_webhook!(
        "WHERE ($1::uuid IS NULL OR w.id < $1)
           AND ($2::text[] IS NULL OR EXISTS (
               SELECT FROM webhook_events e WHERE e.webhook_id = w.id AND e.entity = ANY($2)))
         ORDER BY w.id DESC
         LIMIT $3",
        before.map(|id| id.0),
        entities,
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let webhooks = rows.into_iter().map(Webhook::from).collect();
    Ok(Page::from_rows(webhooks, limit, |webhook: &Webhook| webhook.id.to_string()))
}

/// Makes a webhook. It is told of what happens from now on.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, new: &NewWebhook<'_>, owner: &Actor) -> Result<Webhook> {
    let now = change.now();
    sqlx::query!(
        "INSERT INTO webhooks (id, name, description, url, status, secret, owner, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        new.id.0,
        new.name,
        new.description,
        new.url,
        status(new.active),
        new.secret,
        owner.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    set_events(change, new.id, new.events).await?;
    feed::begin(change).await?;
    lock(change, new.id).await?.ok_or(Error::Affected { table: "webhooks", affected: 0 })
}

/// Makes a webhook that the change has locked look so.
///
/// # Errors
/// The database is away.
pub async fn update(change: &mut Change, new: &NewWebhook<'_>) -> Result<Webhook> {
    let now = change.now();
    sqlx::query!(
        "UPDATE webhooks SET name = $2, description = $3, url = $4, status = $5, secret = $6, updated_at = $7
         WHERE id = $1",
        new.id.0,
        new.name,
        new.description,
        new.url,
        status(new.active),
        new.secret,
        now
    )
    .execute(change.connection())
    .await?;
    sqlx::query!("DELETE FROM webhook_events WHERE webhook_id = $1", new.id.0)
        .execute(change.connection())
        .await?;
    set_events(change, new.id, new.events).await?;
    lock(change, new.id).await?.ok_or(Error::Affected { table: "webhooks", affected: 0 })
}

/// Deletes a webhook with its deliveries.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, id: WebhookId) -> Result<()> {
    sqlx::query!("DELETE FROM webhooks WHERE id = $1", id.0).execute(change.connection()).await?;
    Ok(())
}

async fn set_events(change: &mut Change, id: WebhookId, events: &[EventName]) -> Result<()> {
    let (entities, actions): (Vec<String>, Vec<String>) = events.iter().cloned().unzip();
    sqlx::query!(
        "INSERT INTO webhook_events (webhook_id, entity, action)
         SELECT $1, entity, action FROM UNNEST($2::text[], $3::text[]) AS e (entity, action)
         ON CONFLICT DO NOTHING",
        id.0,
        &entities,
        &actions
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

const fn status(active: bool) -> &'static str {
    if active { "ACTIVE" } else { "DISABLED" }
}
