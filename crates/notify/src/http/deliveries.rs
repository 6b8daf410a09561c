//! `/webhooks/{webhook}/deliveries`

use actix_web::{get, post, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::Resource;
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{DeliveryPath, WebhookPath};
use crate::{State, deliveries};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(replay_all).service(replay);
}

/// One telling of one event to one webhook.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "5c3f9a51-3f0e-4b63-9a70-0a3f6a2c9d11", "event": "model_version_alias.created", "resource": "model:fraud",
    "state": "pending", "attempts": 2, "next_try_at": "2026-01-02T03:05:05Z", "last_status": 503,
    "last_error": "the receiver answered 503", "created_at": "2026-01-02T03:04:05Z", "finished_at": null,
    "body": {
        "entity": "model_version_alias", "action": "created", "timestamp": "2026-01-02T03:04:05.000000+00:00",
        "data": {"name": "fraud", "alias": "champion", "version": "3"},
    },
}))]
pub struct Delivery {
    /// The same at every try; the header `X-MLflow-Delivery-Id`.
    id: String,
    /// As `model_version.created`.
    event: String,
    /// What it is about; the order within it is kept.
    resource: String,
    /// `pending`, `delivered` or `dead`.
    state: String,
    /// How often it was tried.
    attempts: i32,
    /// When it is tried again; null where it is not.
    #[schema(required)]
    next_try_at: Option<DateTime<Utc>>,
    /// What the receiver last answered.
    #[schema(required)]
    last_status: Option<i32>,
    /// What was last wrong.
    #[schema(required)]
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    #[schema(required)]
    finished_at: Option<DateTime<Utc>>,
    /// What is sent.
    body: Value,
}

impl From<store::webhooks::deliveries::Delivery> for Delivery {
    fn from(delivery: store::webhooks::deliveries::Delivery) -> Self {
        let is_pending = delivery.finished_at.is_none();
        Self {
            id: delivery.id.to_string(),
            event: format!("{}.{}", delivery.entity, delivery.action),
            resource: delivery.resource,
            state: delivery.state,
            attempts: delivery.attempts,
            next_try_at: is_pending.then_some(delivery.next_try_at),
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            created_at: delivery.created_at,
            finished_at: delivery.finished_at,
            body: delivery.body,
        }
    }
}

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only those in this state: `pending`, `delivered` or `dead`.
    #[param(example = "dead")]
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// List a webhook's deliveries, newest first. Ended ones are kept for 30 days.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "list_deliveries",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(WebhookPath, Filter),
    responses((status = 200, description = "A page of deliveries", body = PageBody<Delivery>), openapi::Reads),
)]
#[get("/webhooks/{webhook}/deliveries")]
async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(WebhookPath { webhook }): Path<WebhookPath>,
    Query(filter): Query<Filter>,
) -> Result<Json<PageBody<Delivery>>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let Filter { state: only, cursor, limit } = filter;
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let page =
        deliveries::list(&state, &permit, webhook, only.as_deref(), cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

/// How many deliveries are tried again.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"replayed": 3}))]
struct Replayed {
    replayed: u64,
}

/// Try all dead deliveries of a webhook again.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "replay_deliveries",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(WebhookPath),
    responses((status = 200, description = "How many", body = Replayed), openapi::Writes),
)]
#[post("/webhooks/{webhook}/replay")]
async fn replay_all(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(WebhookPath { webhook }): Path<WebhookPath>,
) -> Result<Json<Replayed>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let replayed = deliveries::replay(&state, &permit, webhook, None).await?;
    Ok(Json(Replayed { replayed }))
}

/// Try one dead delivery again.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "replay_delivery",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(DeliveryPath),
    responses((status = 200, description = "How many: one", body = Replayed), openapi::Writes),
)]
#[post("/webhooks/{webhook}/deliveries/{delivery}/replay")]
async fn replay(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(DeliveryPath { webhook, delivery }): Path<DeliveryPath>,
) -> Result<Json<Replayed>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let replayed = deliveries::replay(&state, &permit, webhook, Some(delivery)).await?;
    Ok(Json(Replayed { replayed }))
}
