//! The audit trail: what is recorded, and the chain that shows that it was not changed since.

pub mod archive;
mod cef;
mod chain;
mod event;
mod recorded;

pub use archive::Archive;
pub use cef::cef;
pub use chain::{Checkpoint, Damage, Fault, Link, Seal, check};
pub use event::{AuditEvent, Decision};
pub use recorded::Recorded;
