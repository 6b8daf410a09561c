//! MLflow's REST API, as its unmodified clients speak it.
//!
//! - [`refusal`]: errors in MLflow's shape, `{"error_code", "message"}`.
//! - [`request`]: arguments, from a query string or a JSON body, as lenient as protobuf's JSON.
//! - One module for each part of the protocol: `experiments`, `runs`, `logging` and so on. A
//!   handler decodes, authorises, calls one use case and encodes. It holds no rules.
//! - [`routes`] puts them under `/api` and, for MLflow's own pages, `/ajax-api`.
//!
//! - [`import`]: our own routes for what comes from another MLflow server.
//!
//! Not here: use cases (`tracking`, `registry`, `notify`), the rest of our own API (`registry::http`).

mod artifacts;
mod direct;
mod document;
mod encode;
mod experiments;
pub mod import;
mod logged_models;
mod logging;
pub mod models;
mod permissions;
pub mod refusal;
pub mod request;
mod roles;
mod runs;
mod search;
mod server;
mod unsupported;
mod users;
mod webhooks;
mod workspace;

use actix_web::{
    middleware::from_fn,
    web::{ServiceConfig, scope, to},
};

pub use document::describe;

/// The MLflow release that this surface is compatible with: what `/version` answers.
pub const VERSION: &str = "3.17.2";

/// Registers MLflow's paths. They need `web::Data` of [`tracking::State`], [`registry::State`],
/// [`notify::State`], [`auth::Access`], [`auth::Authenticator`] and [`store::Database`].
pub fn routes(config: &mut ServiceConfig) {
    for surface in ["/api", "/ajax-api"] {
        let under = |path: &str, parts: fn(&mut ServiceConfig)| {
            scope(&format!("{surface}/{path}"))
                .configure(parts)
                .default_service(to(unsupported::answer))
                .wrap(from_fn(workspace::check))
        };
        config
            .service(under("2.0/mlflow", second))
            .service(under("2.0/mlflow-artifacts", proxy))
            .service(under("3.0/mlflow", third));
    }
}

/// Registers the few paths that MLflow has at its root: probes, its version, files for its pages.
pub fn root(config: &mut ServiceConfig) {
    config
        .configure(server::root)
        .configure(artifacts::root)
        .configure(models::files::root)
        .route("/graphql", to(unsupported::answer));
}

/// `/api/2.0/mlflow`: tracking, the registry, webhooks, users.
fn second(config: &mut ServiceConfig) {
    config
        .configure(experiments::routes)
        .configure(runs::routes)
        .configure(logging::routes)
        .configure(artifacts::routes)
        .configure(search::routes)
        .configure(logged_models::routes)
        .configure(models::routes)
        .configure(webhooks::routes)
        .configure(users::routes)
        .configure(permissions::second::routes);
}

/// `/api/2.0/mlflow-artifacts`: files through this server.
fn proxy(config: &mut ServiceConfig) {
    // The files of versions first: their paths are under those of all files.
    config.configure(models::files::proxy).configure(artifacts::proxy).configure(direct::proxy);
}

/// `/api/3.0/mlflow`: what came with MLflow 3: roles, and permissions of any kind.
fn third(config: &mut ServiceConfig) {
    config.configure(server::routes).configure(permissions::third::routes).configure(roles::routes);
}
