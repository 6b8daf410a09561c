//! The audit trail: what is recorded, and the chain that shows that it was not changed since.

mod event;
mod recorded;

pub use event::{AuditEvent, Decision};
pub use recorded::Recorded;
