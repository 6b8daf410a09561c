//! Logging in at a provider of OpenID Connect, and CI jobs that come with a token of theirs.
//!
//! [`logins`]: those on their way. [`identities`]: which user somebody is. [`groups`]: what being in
//! a group gives. [`trusts`]: whose tokens are exchanged for a service account's.

pub mod groups;
pub mod identities;
pub mod logins;
pub mod trusts;
