//! Who calls, and whether they may.
//!
//! - [`Authenticator`] tells who calls, from a token's keyed hash, out of memory.
//! - [`Access::authorize`] is the one place that decides. It answers a [`Permit`], which only it
//!   can make and which every use case that changes or reveals something demands.
//! - [`http`] is the guard that no request passes without either.
//!
//! Today one rule decides: whoever holds a valid token may do everything. Users, policies and
//! quotas come in through the same two doors.
//!
//! Not here: what is done with a permit (the services), rows (`store`).

mod access;
mod authenticator;
mod caller;
mod permit;
mod secret;
mod vault;

pub mod audit;
pub mod http;

pub use access::Access;
pub use authenticator::{Authenticator, Credentials};
pub use caller::{Caller, Identity};
pub use permit::{Permit, Verb, verbs};
pub use secret::SecretKey;
pub use vault::Vault;
