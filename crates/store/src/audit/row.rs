//! A row of the trail as the database gives it.

use domain::{Timestamp, TokenId, audit::Recorded};
use uuid::Uuid;

use super::digest;
use crate::{Error, Result};

/// `select_events!("WHERE …", arguments)`: every read of events gathers the same columns, such that
/// whatever somebody put into a row can be read.
macro_rules! select_events {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id, xid::text AS "xid!",
                      CASE WHEN at BETWEEN '0001-01-01' AND '9999-12-31' THEN at ELSE 'epoch' END AS "at!",
                      actor, on_behalf_of, address, token_id, action, resource_kind, resource, change, decision,
                      array_to_json(policies)::text AS "policies!", before_digest, after_digest, request_id,
                      detail::text AS "detail!"
               FROM audit_events "# + $rest
            $(, $argument)*
        )
    };
}
pub(super) use select_events;

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
    pub(super) policies: String,
    pub(super) before_digest: Option<Vec<u8>>,
    pub(super) after_digest: Option<Vec<u8>>,
    pub(super) request_id: String,
    pub(super) detail: String,
}

impl TryFrom<Row> for Recorded {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let wrong = |column| move |_| Error::inconsistent("audit_events", column, id);
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
            policies: serde_json::from_str(&row.policies).map_err(wrong("policies"))?,
            before: read(row.before_digest)?,
            after: read(row.after_digest)?,
            request_id: row.request_id,
            detail: serde_json::from_str(&row.detail).map_err(wrong("detail"))?,
        })
    }
}
