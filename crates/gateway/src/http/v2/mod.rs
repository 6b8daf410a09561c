//! The Open Inference Protocol V2 over HTTP.

mod body;
mod error;
mod health;
mod infer;
mod metadata;

use utoipa_actix_web::service_config::ServiceConfig;

pub use error::refusal;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(infer::infer)
        .service(infer::infer_version)
        .service(metadata::server_metadata)
        .service(health::server_live)
        .service(health::server_ready)
        .service(metadata::model_metadata)
        .service(metadata::model_version_metadata)
        .service(health::model_ready)
        .service(health::model_version_ready);
}
