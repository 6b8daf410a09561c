//! Asks servers of others: lookups of hooks, models that are external, and what credentials they are told.
//!
//! Whoever deploys says which server is asked, so none is trusted. Only public addresses are reached, and
//! those that the operator allows ([`auth::egress`]); no redirect is followed; an answer is bounded in
//! time and bytes, and is what was asked for or a [`Failure`] that says what it was instead. A credential
//! goes to the one origin that it was made for, whoever names it.
//!
//! Not here: which hooks a release has (`domain::serving::hooks`), and when they are asked (`gateway`).

pub mod credentials;
mod failure;
pub mod http;
mod lookup;
pub mod model;
mod server;

pub use failure::Failure;
pub use lookup::Lookup;
pub use model::Model;
pub use server::{Asks, Remote, Server, exchange, posted};
