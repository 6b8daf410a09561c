//! What happened, for whoever must react: rows that survive, and a notice that says "look now".
//!
//! A lost notice costs seconds, never correctness: every reader also looks by itself from time to
//! time, and takes what it finds in the tables as the truth.

use std::time::Duration;

use domain::Timestamp;
use serde_json::Value;
use sqlx::{PgConnection, postgres::PgListener};

use crate::{Database, Result};

const CHANNEL: &str = "bottega";

pub(crate) async fn insert(
    connection: &mut PgConnection,
    at: Timestamp,
    topic: &str,
    resource: &str,
    payload: &Value,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO outbox (at, topic, resource, payload) VALUES ($1, $2, $3, $4)",
        at,
        topic,
        resource,
        payload
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn notify(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(connection).await?;
    Ok(())
}

/// Tells a role's other parts to look again, without an event: for bookkeeping that others wait for.
pub(crate) async fn nudge(database: &Database) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(database.pool()).await?;
    Ok(())
}

/// Hears notices. It holds one connection of its own.
pub struct Listener {
    database: Database,
    listener: Option<PgListener>,
}

impl Listener {
    /// A listener; it connects when first asked, and again whenever the connection is lost.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { database: database.clone(), listener: None }
    }

    /// Waits for the next notice, for `at_most` this long. Also returns, at once, when it has just
    /// begun to listen, since something may have happened before.
    pub async fn changed(&mut self, at_most: Duration) {
        let _elapsed = tokio::time::timeout(at_most, self.heard(at_most)).await;
    }

    async fn heard(&mut self, patience: Duration) {
        let Some(listener) = &mut self.listener else {
            match self.listen().await {
                Ok(listener) => self.listener = Some(listener),
                Err(error) => {
                    tracing::debug!(%error, "cannot listen for changes; looking by time only");
                    tokio::time::sleep(patience).await;
                }
            }
            return;
        };
        if listener.recv().await.is_err() {
            self.listener = None;
            return;
        }
        // Notices come in bursts; one look serves them all.
        while listener.next_buffered().is_some() {}
    }

    async fn listen(&self) -> Result<PgListener> {
        let mut listener = PgListener::connect_with(self.database.pool()).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }
}
