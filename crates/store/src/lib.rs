//! Postgres: the one truth. All SQL of Bottega is in this crate, one module for each aggregate.
//!
//! - Reads take `&Database` and answer domain values; what is absent is `Ok(None)`.
//! - Writes to governed objects take `&mut Change`, the one door: it begins a transaction, and
//!   only [`Change::commit`] ends it well, taking the audit event that the change is recorded by.
//!   Dropping it rolls back.
//! - Bookkeeping that is no governed change (leases, replica reports, upload progress) takes
//!   `&Database`; each such function says so.
//!
//! To add a query: write it with `query!` in its aggregate's module, then run `./just prepare`,
//! which writes the checked query data into `crates/store/.sqlx`.
//!
//! Lock order, always: model, then version, then endpoint, then blob; last the subjects whose quotas
//! are charged, which [`Change::commit`] locks by itself.
//!
//! Not here: rules (`domain`), permissions (`auth`), the bytes of artifacts (`artifacts`).

mod change;
mod database;
mod error;
mod migrate;
mod roles;

pub mod access;
pub mod accounts;
pub mod aliases;
pub mod audit;
pub mod blobs;
pub mod capture;
pub mod contracts;
pub mod credentials;
pub mod endpoint_history;
pub mod endpoints;
pub mod environments;
pub mod followers;
pub mod freshness;
pub mod grant_history;
pub mod grants;
pub mod groups;
pub mod history;
pub mod identities;
pub mod imports;
pub mod lineage;
pub mod logins;
pub mod models;
pub mod nodes;
pub mod oidc;
pub mod outbox;
pub mod ownership;
pub mod placements;
pub mod policies;
pub mod prediction_log;
pub mod printed;
pub mod private;
pub mod purge;
pub mod quotas;
pub mod releases;
pub mod rules;
pub mod sealed;
pub mod search;
pub mod serving;
pub mod sessions;
pub mod settings;
pub mod signing_keys;
pub mod stages;
pub mod subjects;
pub mod teams;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tokens;
pub mod tracking;
pub mod trials;
pub mod usage;
pub mod versions;
mod visible;
pub mod webhooks;

pub use change::Change;
pub use database::Database;
pub use error::Error;
pub use migrate::migrate;

/// What every function of this crate answers.
pub type Result<T> = std::result::Result<T, Error>;
