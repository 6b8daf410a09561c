//! Who calls, and whether they may.
//!
//! - [`Authenticator`] tells who calls, from a token's keyed hash, out of memory.
//! - [`Access::authorize`] is the one place that decides. It answers a [`Permit`], which only it
//!   can make and which every use case that changes or reveals something demands.
//! - [`http`] is the guard that no request passes without either.
//!
//! - [`quotas`] says how much each may have; the [`Limiter`] lets through what flows; [`usage`] tells
//!   what was used.
//!
//! Users, teams, service accounts, their passwords, tokens and sessions are dealt with by the
//! [`Authenticator`] as well, so that what changes is known here at once.
//! People who log in at an identity provider, and CI jobs, are dealt with by [`oidc`].
//! What decides are grants and policies ([`grants`]), by the crate `policy`; [`explain`] says why;
//! [`standing`] is for those who speak of levels.
//!
//! Not here: what is done with a permit (the services), rows (`store`).

mod access;
mod accounts;
mod authenticator;
mod caller;
mod credentials;
mod deletion;
mod error;
mod forwarding;
mod groups;
mod keys;
mod limiter;
mod logins;
mod passwords;
mod permit;
mod remembered;
mod secret;
mod sessions;
mod teams;
mod tokens;
mod vault;

pub mod audit;
pub mod egress;
pub mod explain;
pub mod grants;
pub mod http;
pub mod jwt;
pub mod oidc;
pub mod quotas;
pub mod secrets;
pub mod standing;
pub mod usage;

pub use access::{Access, On, Rights};
pub use accounts::{Changes, Given, NewAccount};
pub use authenticator::Authenticator;
pub use caller::{Caller, Identity, Origin, Own};
pub use error::{Error, Result};
pub use forwarding::FORWARDED;
pub use keys::{KeyId, KeyRing};
pub use limiter::{Limiter, Offline, WhenOffline};
pub use permit::{Permit, Verb, verbs};
pub use secret::SecretKey;
pub use sessions::Started;
pub use tokens::{Holder, Wanted};
pub use vault::Vault;
