//! The audit trail: append-only; the application's role cannot change or delete what is there.
//!
//! Whoever records an event touches nothing but its row. [`seal`] puts rows into the chain later, when
//! no transaction can add one before them; [`verify`] walks the chain; [`archives`] moves its
//! beginning into files.

pub mod archives;
pub mod checkpoints;
mod list;
mod row;
mod seals;
mod walk;

use domain::{AuditEvent, Digest, Timestamp};
use sqlx::PgConnection;

pub use domain::audit::Recorded;
pub use list::{Filter, list};
pub use seals::{Sealed, seal};
pub use walk::{Verified, verify};

use crate::{Database, Error, Result};

pub(crate) async fn insert(
    connection: &mut PgConnection,
    at: Timestamp,
    event: &AuditEvent,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO audit_events
             (at, actor, on_behalf_of, address, token_id, action, resource_kind, resource, change,
              decision, policies, before_digest, after_digest, request_id, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        at,
        event.actor.to_string(),
        event.on_behalf_of.as_ref().map(ToString::to_string),
        event.address.map(|address| address.to_string()),
        event.token.map(|token| token.0),
        event.action.map(domain::Action::as_str),
        event.resource.kind().as_str(),
        event.resource.name(),
        event.change,
        event.decision.as_str(),
        &event.policies,
        event.before.as_ref().map(|digest| digest.as_bytes().as_slice()),
        event.after.as_ref().map(|digest| digest.as_bytes().as_slice()),
        event.request_id.as_str(),
        event.kept_detail(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records what changed nothing: refusals, logins, exports, each with its instant. All or none.
///
/// # Errors
/// The database is away.
pub async fn append(database: &Database, events: &[(Timestamp, AuditEvent)]) -> Result<()> {
    let mut tx = database.pool().begin().await?;
    for (at, event) in events {
        insert(&mut tx, *at, event).await?;
    }
    tx.commit().await?;
    Ok(())
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
