//! The Open Inference Protocol V2 over HTTP.

pub(super) mod error;
mod health;
mod infer;
mod metadata;
mod repository;
mod statistics;
mod unsupported;

use utoipa_actix_web::service_config::ServiceConfig;

pub(super) use error::refusal;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        // Before the routes of one endpoint, which would take it for the endpoint `stats`.
        .service(statistics::all)
        .service(infer::infer)
        .service(infer::infer_version)
        .service(metadata::server_metadata)
        .service(health::server_live)
        .service(health::server_ready)
        .service(metadata::model_metadata)
        .service(metadata::model_version_metadata)
        .service(health::model_ready)
        .service(health::model_version_ready)
        .service(metadata::model_config)
        .service(metadata::model_version_config)
        .service(statistics::model)
        .service(statistics::model_version)
        .service(repository::index)
        .service(repository::load)
        .service(repository::unload)
        .configure(unsupported::routes);
}
