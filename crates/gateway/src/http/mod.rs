//! HTTP.

mod body;
mod encoding;
mod schema;
pub mod v2;

use utoipa_actix_web::service_config::ServiceConfig;

/// Registers the prediction protocols, to be mounted at `/`. They need `web::Data` of
/// [`State`](crate::State).
pub fn routes(config: &mut ServiceConfig<'_>) {
    v2::routes(config);
}

/// Registers what belongs to our own API, to be mounted at `/api/v1`.
pub fn api_routes(config: &mut ServiceConfig<'_>) {
    config.service(schema::endpoint_schema);
}
