//! What is captured, over HTTP: decode, authorise, call one use case, encode.

mod captured;
mod inferences;
mod settings;

use domain::{EndpointRef, Resource};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

/// Registers the operations on what is captured, to be mounted at `/api/v1`. They need `web::Data` of
/// [`crate::State`] and [`auth::Access`].
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.configure(settings::routes).configure(captured::routes).configure(inferences::routes);
}

/// An endpoint.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct EndpointPath {
    /// The endpoint's name: `NAME` in production, `NAME.ENV` elsewhere.
    #[param(value_type = String, example = "fraud")]
    endpoint: EndpointRef,
}

fn resource(endpoint: &EndpointRef) -> Resource {
    Resource::Endpoint(endpoint.to_string())
}
