//! `/webhooks`

use actix_web::{HttpResponse, delete, get, patch, post, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{Problem, Resource};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::WebhookPath;
use crate::{State, events::Event, webhooks};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list)
        .service(create)
        .service(show)
        .service(update)
        .service(delete)
        .service(test);
}

/// A webhook: who is told of what happens. Its secret is never shown.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "name": "ci", "description": "Starts the evaluation",
    "url": "https://ci.example.com/hooks/bottega", "status": "ACTIVE", "signed": true,
    "events": ["model_version.created", "release.completed"], "owner": "user:ana",
    "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
}))]
pub struct Webhook {
    id: String,
    name: String,
    description: String,
    /// Where deliveries go.
    url: String,
    /// `ACTIVE` or `DISABLED`.
    status: &'static str,
    /// Whether deliveries carry a signature.
    signed: bool,
    /// What it hears of.
    events: Vec<String>,
    owner: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<store::webhooks::Webhook> for Webhook {
    fn from(webhook: store::webhooks::Webhook) -> Self {
        let events = webhook.events.iter();
        Self {
            id: webhook.id.to_string(),
            name: webhook.name,
            description: webhook.description.unwrap_or_default(),
            url: webhook.url,
            status: if webhook.active { "ACTIVE" } else { "DISABLED" },
            signed: webhook.secret.is_some(),
            events: events.map(|(entity, action)| format!("{entity}.{action}")).collect(),
            owner: webhook.owner,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// Whether a webhook is told anything.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    /// It is.
    Active,
    /// It is not: what happens meanwhile is never told to it.
    Disabled,
}

/// What a new webhook is made of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "ci", "url": "https://ci.example.com/hooks/bottega", "secret": "a long random text",
    "events": ["model_version.created", "release.completed"],
}))]
struct NewWebhook {
    /// 1 to 63 letters, digits, `.`, `_` and `-`; need not be unique.
    name: String,
    description: Option<String>,
    /// An https URL to a public address.
    url: String,
    /// What deliveries are signed with; without it they are not.
    #[schema(value_type = Option<String>, write_only)]
    secret: Option<SecretString>,
    /// As `model_version.created`; at least one.
    events: Vec<String>,
    status: Option<Status>,
}

/// What shall be different about a webhook; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "DISABLED"}))]
struct WebhookEdit {
    name: Option<String>,
    description: Option<String>,
    url: Option<String>,
    /// Empty: deliveries are not signed any more.
    #[schema(value_type = Option<String>, write_only)]
    secret: Option<SecretString>,
    /// All that it hears of.
    events: Option<Vec<String>>,
    status: Option<Status>,
}

fn events(names: &[String]) -> Result<Vec<Event>, Problem> {
    names.iter().map(|name| Event::parse(name)).collect()
}

/// List webhooks, newest first.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "list_webhooks",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(PageQuery),
    responses((status = 200, description = "A page of webhooks", body = PageBody<Webhook>), openapi::Reads),
)]
#[get("/webhooks")]
async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Webhook>>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let (cursor, limit) = page.bounds()?;
    let page = webhooks::list(&state, &permit, false, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

/// Make a webhook. It is told of what happens from now on, at least once, and in order for each model
/// and each endpoint. Deliveries carry MLflow's headers and signature.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "create_webhook",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 201, description = "The webhook", body = Webhook), openapi::Writes),
)]
#[post("/webhooks")]
async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Json(new): Json<NewWebhook>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let new = webhooks::NewWebhook {
        name: new.name,
        description: new.description,
        url: new.url,
        secret: new.secret,
        events: events(&new.events)?,
        active: new.status != Some(Status::Disabled),
    };
    let webhook = webhooks::create(&state, &permit, new).await?;
    Ok(HttpResponse::Created().json(Webhook::from(webhook)))
}

/// Show a webhook.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "show_webhook",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(WebhookPath),
    responses((status = 200, description = "The webhook", body = Webhook), openapi::Reads),
)]
#[get("/webhooks/{webhook}")]
async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(WebhookPath { webhook }): Path<WebhookPath>,
) -> Result<Json<Webhook>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    Ok(Json(webhooks::get(&state, &permit, webhook).await?.into()))
}

/// Change a webhook. What waits for it goes to its new URL, signed with its new secret.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "update_webhook",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(WebhookPath),
    responses((status = 200, description = "The webhook", body = Webhook), openapi::Writes),
)]
#[patch("/webhooks/{webhook}")]
async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(WebhookPath { webhook }): Path<WebhookPath>,
    Json(edit): Json<WebhookEdit>,
) -> Result<Json<Webhook>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let edit = webhooks::Edit {
        name: edit.name,
        description: edit.description,
        url: edit.url,
        secret: edit.secret,
        events: edit.events.as_deref().map(events).transpose()?,
        active: edit.status.map(|status| status == Status::Active),
    };
    Ok(Json(webhooks::update(&state, &permit, webhook, edit).await?.into()))
}

/// Delete a webhook with its deliveries.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "delete_webhook",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(WebhookPath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/webhooks/{webhook}")]
async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(WebhookPath { webhook }): Path<WebhookPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    webhooks::delete(&state, &permit, webhook).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What is sent as a test.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"event": "model_version.created"}))]
struct Test {
    /// An example of which event; the webhook's first unless given.
    event: Option<String>,
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"success": true, "status": 200, "body": "ok", "error": null}))]
struct Tested {
    /// Whether the receiver took it.
    success: bool,
    /// The status that it answered.
    #[schema(required)]
    status: Option<u16>,
    /// The beginning of what it answered.
    #[schema(required)]
    body: Option<String>,
    /// Why there was no answer.
    #[schema(required)]
    error: Option<String>,
}

/// Send a webhook an example at once. Nothing is kept of it.
#[utoipa::path(
    tag = "webhooks",
    operation_id = "test_webhook",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(WebhookPath),
    responses((status = 200, description = "What came of it", body = Tested), openapi::Writes),
)]
#[post("/webhooks/{webhook}/test")]
async fn test(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(WebhookPath { webhook }): Path<WebhookPath>,
    Json(test): Json<Test>,
) -> Result<Json<Tested>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let event = test.event.as_deref().map(Event::parse).transpose()?;
    let tested = webhooks::test(&state, &permit, webhook, event).await?;
    let webhooks::Tested { success, status, body, error } = tested;
    Ok(Json(Tested { success, status, body, error }))
}
