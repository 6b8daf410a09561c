//! The registry's operations over HTTP: decode, authorise, call one use case, encode.
//!
//! One file for each noun, with its wire types; what several share is in `path` and `wait`. Wire
//! types are made from domain values with `From`, never the other way round without a check.

mod aliases;
mod archives;
mod blobs;
mod collections;
mod contracts;
mod deleted;
mod dependents;
mod endpoint_history;
mod endpoints;
mod files;
mod history;
mod hooks;
mod lineage;
mod logs;
mod models;
mod nodes;
mod ownership;
mod path;
mod releases;
mod resolve;
mod rules;
mod serving;
mod settings;
mod signature;
mod stages;
mod trust;
mod versions;
mod wait;

use rest::BodyLimit;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

/// The longest JSON body: a manifest of 10,000 files fits.
const LONGEST_BODY: usize = 16 << 20;

/// A list that comes whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// All of them.
    items: Vec<T>,
}

/// Whether HEAD is an operation of its own at a path, where GET is none.
#[must_use]
pub fn has_own_head(path: &str) -> bool {
    path.starts_with("/api/v1/blobs/")
}

/// Registers the registry's operations, to be mounted at `/api/v1`. They need `web::Data` of
/// [`crate::State`] and [`auth::Access`].
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .app_data(BodyLimit(LONGEST_BODY))
        .configure(models::routes)
        .configure(versions::routes)
        .configure(files::routes)
        .configure(aliases::routes)
        .configure(stages::routes)
        .configure(history::routes)
        .configure(deleted::routes)
        .configure(trust::routes)
        .configure(rules::routes)
        .configure(settings::routes)
        .configure(resolve::routes)
        .configure(blobs::routes)
        .configure(archives::routes)
        .configure(endpoints::routes)
        .configure(contracts::routes)
        .configure(endpoint_history::routes)
        .configure(logs::routes)
        .configure(releases::routes)
        .configure(nodes::routes)
        .configure(ownership::routes)
        .configure(lineage::routes)
        .configure(dependents::routes)
        .configure(collections::routes);
}
