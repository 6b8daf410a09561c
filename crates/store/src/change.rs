//! The one door for writes.

use domain::{AuditEvent, Resource, Timestamp, quota::Key};
use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{
    Database, Result, audit,
    freshness::{Committing, Touched},
    outbox, quotas,
};

/// A change on its way: a transaction that ends well only in [`Change::commit`], which records it.
///
/// Inside, no second connection, no network and no object store: bytes first, rows after.
pub struct Change {
    tx: Transaction<'static, Postgres>,
    database: Database,
    now: Timestamp,
    notify: bool,
    touched: Touched,
    charges: Vec<quotas::Charge>,
}

impl Change {
    /// Begins.
    ///
    /// # Errors
    /// The database is away.
    pub async fn begin(database: &Database) -> Result<Self> {
        let tx = database.pool().begin().await?;
        let (database, now) = (database.clone(), database.now());
        let (touched, charges) = (Touched::NOTHING, Vec::new());
        Ok(Self { tx, database, now, notify: false, touched, charges })
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
        self.touched.add(&event.resource);
        audit::insert(&mut self.tx, self.now, event).await
    }

    /// Records the change and makes it so.
    ///
    /// # Errors
    /// A quota is spent; the database is away, or a deferred constraint is broken; then nothing was
    /// changed.
    pub async fn commit(mut self, event: &AuditEvent) -> Result<()> {
        let charges = std::mem::take(&mut self.charges);
        if !charges.is_empty() {
            quotas::settle(&mut self, &charges).await?;
        }
        self.record(event).await?;
        if self.notify || self.touched != Touched::NOTHING {
            // One notice a transaction: the rows are in the outbox, the notice only says "look".
            outbox::notify(&mut *self.tx, &self.touched).await?;
        }
        let freshness = self.database.share_freshness();
        let _committing = Committing { freshness, touched: self.touched };
        self.tx.commit().await?;
        Ok(())
    }

    /// Says that what is remembered of this does not hold any more.
    pub(crate) fn touch(&mut self, resource: &Resource) {
        self.touched.put(resource);
    }

    /// Says that names lead elsewhere than the resources of its events tell.
    pub(crate) fn touch_everything(&mut self) {
        self.touched = Touched::Everything;
    }

    /// Says that this change adds a row that a quota counts; [`Change::commit`] sees to it that there
    /// is room.
    pub(crate) fn charge(&mut self, key: Key, id: uuid::Uuid) {
        self.charges.push(quotas::Charge { key, id, team_only: false });
    }

    /// Says that a row which a quota counts is another team's from now on, as [`Change::charge`];
    /// who made it had it before.
    pub(crate) fn charge_team(&mut self, key: Key, id: uuid::Uuid) {
        self.charges.push(quotas::Charge { key, id, team_only: true });
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
