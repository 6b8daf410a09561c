//! Webhooks over HTTP: decode, authorise, call one use case, encode.

mod deliveries;
mod webhooks;

use domain::{DeliveryId, WebhookId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

/// Registers the operations on webhooks, to be mounted at `/api/v1`. They need `web::Data` of
/// [`crate::State`] and [`auth::Access`].
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.configure(webhooks::routes).configure(deliveries::routes);
}

/// A webhook.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct WebhookPath {
    /// The webhook's id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    webhook: WebhookId,
}

/// A delivery.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct DeliveryPath {
    /// The webhook's id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    webhook: WebhookId,
    /// The delivery's id, as the header `X-MLflow-Delivery-Id` has it.
    #[param(value_type = String, example = "5c3f9a51-3f0e-4b63-9a70-0a3f6a2c9d11")]
    delivery: DeliveryId,
}
