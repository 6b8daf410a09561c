//! Probes, metrics and the front door.

use std::time::Duration;

use actix_web::{HttpResponse, get, web::Data};
use auth::{Caller, verbs};
use domain::Resource;
use rest::{ApiError, Check, Health, openapi};

use super::services::Services;

/// How long a dependency may take to answer a probe.
const WITHIN: Duration = Duration::from_secs(2);

/// Whether the process runs.
#[utoipa::path(
    tag = "health",
    extensions(("x-bottega-action" = json!("none because probes carry no token"))),
    security(()),
    responses((status = 200, description = "It runs", body = Health)),
)]
#[get("/health/live")]
pub async fn live() -> Health {
    Health::of(Vec::new())
}

/// Whether the process may be sent traffic.
#[utoipa::path(
    tag = "health",
    extensions(("x-bottega-action" = json!("none because probes carry no token"))),
    security(()),
    responses(
        (status = 200, description = "Every dependency answers", body = Health),
        (status = 503, description = "One does not", body = Health),
    ),
)]
#[get("/health/ready")]
pub async fn ready(services: Data<Services>) -> Health {
    check(&services).await
}

/// How each dependency is.
#[utoipa::path(
    tag = "health",
    extensions(("x-bottega-action" = json!("view:platform"))),
    responses(
        (status = 200, description = "Every dependency answers", body = Health),
        openapi::Reads,
    ),
)]
#[get("/health")]
pub async fn report(caller: Caller, services: Data<Services>) -> Result<Health, ApiError> {
    services.access.authorize::<verbs::View>(&caller, Resource::Platform).await?;
    Ok(check(&services).await)
}

async fn check(services: &Services) -> Health {
    let database = async {
        match services.database.ping(WITHIN).await {
            Ok(()) => Check::passed("database", "answers"),
            Err(_) => Check::failed(
                "database",
                "does not answer",
                "is Postgres running? the log says more",
            ),
        }
    };
    let artifacts = async {
        match services.artifacts.ping(WITHIN).await {
            Ok(()) => Check::passed("artifacts", "answer"),
            Err(_) => Check::failed(
                "artifacts",
                "do not answer",
                "is the store running and the disk not full? the log says more",
            ),
        }
    };
    let (database, artifacts) = tokio::join!(database, artifacts);
    let mut checks = vec![database, artifacts];
    if let Some(gateway) = &services.gateway {
        checks.push(if gateway.is_ready() {
            Check::passed("gateway", "holds what is live")
        } else {
            Check::failed("gateway", "is loading what is live", "wait a moment")
        });
    }
    Health::of(checks)
}

/// Metrics in the OpenMetrics text format.
#[utoipa::path(
    tag = "health",
    extensions(("x-bottega-action" = json!("none because numbers of the process are for everybody who has an account"))),
    responses((status = 200, description = "OpenMetrics text", body = String), openapi::Reads),
)]
#[get("/metrics")]
pub async fn metrics(services: Data<Services>) -> Result<HttpResponse, ApiError> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &services.metrics)
        .map_err(|_| domain::Problem::internal())?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(kind).body(text))
}

/// The OpenAPI document, as it is sent.
pub struct Document(pub String);

/// This document.
#[utoipa::path(
    tag = "health",
    extensions(("x-bottega-action" = json!("none because the document describes no data, and is read without a token"))),
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
#[get("/openapi.json")]
pub async fn document(document: Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}

/// The front door, until the dashboard stands there.
#[get("/")]
pub async fn front() -> HttpResponse {
    let policy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", policy))
        .body(include_str!("../../../../web/index.html"))
}
