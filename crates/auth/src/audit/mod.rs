//! What is recorded beside changes, and what shows that nothing recorded was changed since.

mod keeper;
mod signer;
mod trail;

pub use keeper::{checkpoint, keep_sealed};
pub use signer::Signer;
pub use trail::Trail;

use domain::{Action, AuditEvent, Resource};
use serde_json::Value;

use crate::Caller;

impl Caller {
    /// Something that this caller did, or was refused, as it is recorded. `change` is a past
    /// participle of the domain (`session.started`); `detail` holds the facts, never a secret.
    #[must_use]
    pub fn event(
        &self,
        action: Option<Action>,
        resource: Resource,
        change: &'static str,
        detail: Value,
    ) -> AuditEvent {
        let (actor, request_id) = (self.actor.clone(), self.request_id.clone());
        AuditEvent {
            on_behalf_of: self.on_behalf_of.clone(),
            address: self.origin.address,
            token: self.token,
            ..AuditEvent::new(actor, action, resource, change, request_id, detail)
        }
    }
}
