//! What is captured of predictions: what owners say about it, sketches and failures by the minute, files of
//! rows.
//!
//! Sketches and files are bookkeeping; what is captured, and what is deleted of it, is governed.

pub mod failures;
pub mod segments;
pub mod sketches;

use std::time::Duration;

use domain::{
    Actor, EndpointId, EndpointRef, Timestamp,
    capture::{Mask, Settings},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Change, Database, Error, Result};

/// A row as JSON.
#[derive(Deserialize)]
struct Row {
    rate: f64,
    sketches: bool,
    masks: Vec<Mask>,
    subject: Option<String>,
    retention_seconds: u64,
}

/// What a row says, or what holds where there is none.
pub(crate) fn settings(row: Option<Value>, endpoint: impl Fn() -> String) -> Result<Settings> {
    let Some(row) = row else { return Ok(Settings::default()) };
    let Row { rate, sketches, masks, subject, retention_seconds } = serde_json::from_value(row)
        .map_err(|_| Error::inconsistent("endpoint_capture", "masks", endpoint()))?;
    let retention = Duration::from_secs(retention_seconds);
    Ok(Settings { rate, sketches, masks, subject, retention })
}

/// What is captured of an endpoint, and who said so.
#[derive(Debug, Clone, PartialEq)]
pub struct Captured {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// How often it was changed; 0 where nobody has.
    pub revision: i32,
    /// What is captured.
    pub settings: Settings,
    /// Who changed it last, and when.
    pub set: Option<(String, Timestamp)>,
}

impl Captured {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        let Settings { rate, sketches, masks, subject, retention } = &self.settings;
        json!({
            "revision": self.revision, "rate": rate, "sketches": sketches, "masks": masks,
            "subject": subject, "retention_seconds": retention.as_secs(),
        })
    }
}

struct Read {
    id: uuid::Uuid,
    revision: Option<i32>,
    capture: Option<Value>,
    set_by: Option<String>,
    set_at: Option<Timestamp>,
}

impl Read {
    fn captured(self) -> Result<Captured> {
        Ok(Captured {
            endpoint: EndpointId(self.id),
            revision: self.revision.unwrap_or_default(),
            settings: settings(self.capture, || self.id.to_string())?,
            set: self.set_by.zip(self.set_at),
        })
    }
}

/// What is captured of an endpoint; absent where there is none of that name.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, endpoint: &EndpointRef) -> Result<Option<Captured>> {
    let row = sqlx::query_as!(
        Read,
        r#"SELECT e.id, c.revision AS "revision?", to_jsonb(c) AS capture, c.set_by AS "set_by?",
                  c.set_at AS "set_at?"
           FROM endpoints e LEFT JOIN endpoint_capture c ON c.endpoint_id = e.id
           WHERE e.name = $1 AND e.env = $2"#,
        endpoint.name.as_str(),
        endpoint.env.as_str()
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(Read::captured).transpose()
}

/// The same, with the endpoint locked.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, endpoint: &EndpointRef) -> Result<Option<Captured>> {
    let row = sqlx::query_as!(
        Read,
        r#"SELECT e.id, c.revision AS "revision?", to_jsonb(c) AS capture, c.set_by AS "set_by?",
                  c.set_at AS "set_at?"
           FROM endpoints e LEFT JOIN endpoint_capture c ON c.endpoint_id = e.id
           WHERE e.name = $1 AND e.env = $2 FOR UPDATE OF e"#,
        endpoint.name.as_str(),
        endpoint.env.as_str()
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Read::captured).transpose()
}

/// Says what is captured of a locked endpoint from now on.
///
/// # Errors
/// The database is away.
pub async fn set(
    change: &mut Change,
    before: &Captured,
    settings: &Settings,
    by: &Actor,
) -> Result<Captured> {
    let (now, by, revision) = (change.now(), by.to_string(), before.revision + 1);
    let retention = i64::try_from(settings.retention.as_secs()).unwrap_or(i64::MAX);
    sqlx::query!(
        "INSERT INTO endpoint_capture
             (endpoint_id, revision, rate, sketches, masks, subject, retention_seconds, set_by, set_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (endpoint_id) DO UPDATE
         SET revision = $2, rate = $3, sketches = $4, masks = $5, subject = $6, retention_seconds = $7,
             set_by = $8, set_at = $9",
        before.endpoint.0,
        revision,
        settings.rate,
        settings.sketches,
        json!(settings.masks),
        settings.subject,
        retention,
        by,
        now
    )
    .execute(change.connection())
    .await?;
    let settings = settings.clone();
    Ok(Captured { endpoint: before.endpoint, revision, settings, set: Some((by, now)) })
}
