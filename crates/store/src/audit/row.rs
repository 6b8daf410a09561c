//! A row of the trail as the database gives it.

use domain::{Timestamp, TokenId, audit::Recorded};
use uuid::Uuid;

use super::digest;
use crate::{Error, Result};

pub(super) struct Row {
    pub(super) id: i64,
    pub(super) xid: String,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) on_behalf_of: Option<String>,
    pub(super) address: Option<String>,
    pub(super) token_id: Option<Uuid>,
    pub(super) action: Option<String>,
    pub(super) resource_kind: String,
    pub(super) resource: String,
    pub(super) change: String,
    pub(super) decision: String,
    pub(super) policies: Vec<String>,
    pub(super) before_digest: Option<Vec<u8>>,
    pub(super) after_digest: Option<Vec<u8>>,
    pub(super) request_id: String,
    /// As text: whatever somebody put there can be read.
    pub(super) detail: String,
}

impl TryFrom<Row> for Recorded {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let read = |bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| digest("audit_events", id, &bytes)).transpose()
        };
        Ok(Self {
            id,
            transaction: row.xid,
            at: row.at,
            actor: row.actor,
            on_behalf_of: row.on_behalf_of,
            address: row.address,
            token: row.token_id.map(TokenId),
            action: row.action,
            resource_kind: row.resource_kind,
            resource: row.resource,
            change: row.change,
            decision: row.decision,
            policies: row.policies,
            before: read(row.before_digest)?,
            after: read(row.after_digest)?,
            request_id: row.request_id,
            detail: serde_json::from_str(&row.detail)
                .map_err(|_| Error::inconsistent("audit_events", "detail", id))?,
        })
    }
}
