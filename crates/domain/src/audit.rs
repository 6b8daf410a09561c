//! What the audit trail records: one event for each change, written in the change's transaction.

use serde_json::Value;

use crate::{Action, Actor, Digest, RequestId, Resource};

/// A change as it is recorded.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Who did it.
    pub actor: Actor,
    /// Under which permission.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// What exactly, as a past participle of the domain: `version.registered`, `alias.moved`.
    pub change: &'static str,
    /// Digest of the object's description before, absent for what is new.
    pub before: Option<Digest>,
    /// Digest of the object's description after, absent for what is gone.
    pub after: Option<Digest>,
    /// The request that asked for it.
    pub request_id: RequestId,
    /// The facts that a reader needs: names, numbers, reason. Never a secret.
    pub detail: Value,
}

impl AuditEvent {
    /// Records the object's description before and after the change, by digest in columns of
    /// their own, and whole in the detail under `before` and `after`.
    #[must_use]
    pub fn changed(mut self, before: Option<&Value>, after: Option<&Value>) -> Self {
        self.before = before.map(|value| Digest::of(value.to_string().as_bytes()));
        self.after = after.map(|value| Digest::of(value.to_string().as_bytes()));
        if let Value::Object(detail) = &mut self.detail {
            for (key, value) in [("before", before), ("after", after)] {
                if let Some(value) = value {
                    detail.insert(key.to_owned(), value.clone());
                }
            }
        }
        self
    }
}
