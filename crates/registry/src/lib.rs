//! Models, versions, aliases, endpoints and releases: what is governed, and how it changes.
//!
//! - One module for each noun holds its use cases. Each takes a [`auth::Permit`], and each that
//!   changes something is one [`store::Change`]: the rows, the audit event and the notice in one
//!   transaction. Bytes come before rows, and nothing slow happens inside a change.
//! - [`http`] decodes, authorises, calls one use case and encodes. It holds no rules.
//! - [`watch`] wakes the long polls (`?wait=`), over one connection for all of them.
//!
//! To add an operation: the use case in its noun's module, the handler with its wire types in
//! `http`, its line in [`routes`], its tests in `tests/`.
//!
//! Locks are taken in one order: model, version, endpoint.
//!
//! Not here: whether a version can serve (`deployer` tries it), how releases are carried out
//! (`deployer`, `gateway`), predictions (`gateway`), SQL (`store`), bytes (`artifacts`).

mod error;
mod examine;
mod example;
mod external;
mod lookups;
mod own;
mod package;
mod publish;
mod serving;
mod state;

pub mod aliases;
pub mod archive;
pub mod blobs;
pub mod collections;
pub mod contracts;
pub mod dependents;
pub mod endpoints;
pub mod history;
pub mod http;
pub mod import;
pub mod lineage;
mod logs;
pub mod models;
pub mod nodes;
pub mod ownership;
pub mod register;
pub mod releases;
pub mod resolve;
pub mod rules;
pub mod search;
pub mod settings;
pub mod stages;
pub mod text;
pub mod trust;
pub mod versions;

pub use error::{Error, Result};

/// Refuses what was not there when permission to make it was asked for, and has been made since for
/// another team than the one that permission was given for.
pub(crate) fn require_own<V: auth::Verb>(
    kind: &str,
    permit: &auth::Permit<V>,
    team: Option<domain::SubjectId>,
) -> Result<()> {
    let (_, own) = permit.owner();
    if team == own {
        return Ok(());
    }
    let message = format!("somebody made this {kind} at this moment");
    Err(domain::Problem::conflict(message).hint("try again").into())
}

pub use http::{has_own_head, routes};
pub use state::{Limits, State, watch};
