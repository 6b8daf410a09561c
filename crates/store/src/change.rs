//! The one door for writes.

use domain::{AuditEvent, Timestamp};
use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{Database, Result, audit, outbox};

/// A change on its way: a transaction that ends well only in [`Change::commit`], which records it.
///
/// Inside, no second connection, no network and no object store: bytes first, rows after.
pub struct Change {
    tx: Transaction<'static, Postgres>,
    now: Timestamp,
    notify: bool,
}

impl Change {
    /// Begins.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin(database: &Database) -> Result<Self> {
        let tx = database.pool().begin().await?;
        Ok(Self { tx, now: database.now(), notify: false })
    }

    /// The instant that everything in this change is stamped with.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Tells whoever must react, when this commits: `topic` is a past participle of the domain
    /// (`alias.moved`), `resource` what it happened to.
    ///
    /// # Errors
    /// The database is away.
    pub async fn emit(&mut self, topic: &str, resource: &str, payload: &Value) -> Result<()> {
        self.notify = true;
        outbox::insert(&mut self.tx, self.now, topic, resource, payload).await
    }

    /// Records one more event than the one that [`Change::commit`] takes: for changes that carry
    /// others with them.
    ///
    /// # Errors
    /// The database is away.
    pub async fn record(&mut self, event: &AuditEvent) -> Result<()> {
        audit::insert(&mut self.tx, self.now, event).await
    }

    /// Records the change and makes it so.
    ///
    /// # Errors
    /// The database is away, or a deferred constraint is broken; then nothing was changed.
    pub async fn commit(mut self, event: &AuditEvent) -> Result<()> {
        self.record(event).await?;
        if self.notify {
            // One notice a transaction: the rows are in the outbox, the notice only says "look".
            outbox::notify(&mut self.tx).await?;
        }
        self.tx.commit().await?;
        Ok(())
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
