//! One HTTP application of whatever the roles serve.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::Server,
    http::Method,
    web::{self, Data},
};
use auth::http::{Gate, Guard};
use domain::Problem;
use rest::{
    ApiError, InFlight, Patience, RequestContext, fallback,
    openapi::{Actions, Refusals},
};
use utoipa::{Modify as _, OpenApi};
use utoipa_actix_web::{AppExt as _, scope};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{health, services::Services};
use crate::{output::Failure, settings::Settings};

/// The document's own parts; its paths come from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bottega",
        description = "Models from trained to answering in production, watched and governed.\n\nEvery operation needs `Authorization: Bearer TOKEN`, Basic with user and password (or any user name and a token), or the cookie of a session with its `x-csrf-token`, but for health, logging in, this document and `/docs`. Every answer carries `x-request-id`.\n\n`x-bottega-action` of an operation says which actions on which things its caller must have been granted, in the order in which they are asked.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    modifiers(&Refusals, &Security),
    security(("token" = []), ("password" = []), ("session" = [])),
)]
struct Document;

/// How callers authenticate.
struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{
            ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme,
        };
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", bearer);
        let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        components.add_security_scheme("password", basic);
        let cookie = ApiKey::Cookie(ApiKeyValue::new("bottega_session"));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// Starts serving on a listener.
pub fn start(
    services: &Services,
    settings: &Settings,
    listener: TcpListener,
    in_flight: InFlight,
) -> Result<Server, Failure> {
    let services = services.clone();
    let patience = Patience(settings.client_timeout);
    let metrics_open = settings.metrics_open;
    let authenticator = Arc::clone(&services.authenticator);
    let is_open = if metrics_open { is_open_with_metrics } else { is_open };
    let proxies = settings.trusted_proxies.as_deref().map(str::parse).transpose()?;
    let gate = Gate::new(authenticator, is_open, refusal).trusting(proxies.unwrap_or_default());
    let mut gate = gate.limited(Arc::clone(&services.limiter));
    if let Some(gateway) = &services.gateway {
        gate = gate.handing_on(Arc::new(gateway::Forwarder::new(gateway.clone())));
        gate = gate.taking_signed(settings.max_body_bytes).telling(gateway::limited);
    }
    let guard = Guard::new(gate);
    let document = document(&services);
    let methods = fallback::AllowedMethods::of(&document);
    let document = Data::new(health::Document(
        serde_json::to_string(&document).map_err(|_| Problem::internal())?,
    ));
    let server = HttpServer::new(move || {
        App::new()
            .into_utoipa_app()
            .app_data(patience)
            .app_data(document.clone())
            .app_data(methods.clone())
            .configure(|config| routes(config, &services))
            .into_app()
            .configure(|config| mlflow_routes(config, &services))
            .service(web::redirect("/docs", "/docs/"))
            .service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/api/v1/openapi.json")))
            .service(health::front)
            .default_service(web::to(unmatched))
            .wrap(guard.clone())
            .wrap(
                RequestContext::new(services.http_metrics.clone())
                    .counting(in_flight.clone())
                    .naming(auth::http::actor)
                    .keeping_head(registry::has_own_head),
            )
    });
    let server = server
        .workers(settings.http_workers)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(settings.client_timeout)
        .max_connections(settings.max_connections.div_ceil(settings.http_workers))
        .shutdown_timeout(settings.drain_timeout.as_secs() + 1)
        .disable_signals()
        // HTTP/1.1, or HTTP/2 for whoever begins with its preface.
        .listen_auto_h2c(listener)
        .map_err(Failure::io)?;
    Ok(server.run())
}

/// The whole document, read off the routes themselves.
fn document(services: &Services) -> utoipa::openapi::OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .configure(|config| routes(config, services))
        .split_for_parts();
    // Collecting the routes replaced the components that the modifiers had put in.
    Refusals.modify(&mut document);
    Security.modify(&mut document);
    if services.tracking.is_some() {
        mlflow::describe(&mut document);
    }
    Actions.modify(&mut document);
    document
}

fn routes(config: &mut utoipa_actix_web::service_config::ServiceConfig<'_>, services: &Services) {
    config.app_data(Data::new(services.access.clone()));
    config.app_data(Data::from(Arc::clone(&services.authenticator)));
    config.app_data(Data::new(services.database.clone()));
    config.app_data(Data::new(services.trail.clone()));
    config.app_data(Data::from(Arc::clone(&services.signer)));
    config.app_data(Data::new(services.archivist.clone()));
    config.app_data(Data::new(services.secrets.clone()));
    config.app_data(Data::new(services.jwts.clone()));
    config.app_data(Data::from(Arc::clone(&services.oidc)));
    config.app_data(Data::new(services.clone()));
    config.service(health::live).service(health::ready).service(health::metrics);
    if let Some(gateway) = &services.gateway {
        config.app_data(Data::new(gateway.clone()));
        config.configure(gateway::routes);
    }
    if let Some(tracking) = &services.tracking {
        config.app_data(Data::from(Arc::clone(tracking)));
    }
    let mut api = scope("/api/v1");
    if let Some(registry) = &services.registry {
        config.app_data(Data::from(Arc::clone(registry)));
        config.configure(auth::http::well_known);
        config.app_data(Data::from(Arc::clone(&services.remote)));
        api = api.configure(registry::routes).configure(auth::http::routes);
        api = api.configure(remote::http::routes);
        if services.gateway.is_some() {
            api = api.configure(gateway::api_routes);
        }
    }
    if let Some(notify) = &services.notify {
        config.app_data(Data::from(Arc::clone(notify)));
        api = api.configure(notify::routes);
    }
    if let Some(monitor) = &services.monitor {
        config.app_data(Data::from(Arc::clone(monitor)));
        api = api.configure(monitor::routes);
    }
    if services.tracking.is_some() {
        api = api.configure(mlflow::import::routes);
    }
    config.service(api.service(health::report).service(health::document));
}

/// MLflow's API, where this process is a registry.
fn mlflow_routes(config: &mut web::ServiceConfig, services: &Services) {
    if services.tracking.is_some() {
        config.configure(mlflow::root).configure(mlflow::routes);
    }
}

/// What answers without a token.
fn is_open(method: &Method, path: &str) -> bool {
    let is_read = method == Method::GET || method == Method::HEAD;
    (method == Method::POST && path == "/api/v1/sessions")
        || auth::http::OPEN.iter().any(|(open, at)| method.as_str() == *open && path == *at)
        || is_read
            && (matches!(
                path,
                "/" | "/health"
                    | "/version"
                    | "/health/live"
                    | "/health/ready"
                    | "/docs"
                    | "/api/v1/openapi.json"
                    | "/.well-known/jwks.json"
            ) || matches!(path, "/v2/health/live" | "/v2/health/ready")
                || path.starts_with("/docs/"))
}

fn is_open_with_metrics(method: &Method, path: &str) -> bool {
    is_open(method, path) || (method == Method::GET && path == "/metrics")
}

/// What no route takes.
async fn unmatched(request: HttpRequest) -> HttpResponse {
    fallback::answer_as(&request, refusal)
}

/// Where MLflow's clients call.
const MLFLOW: [&str; 3] = ["/api/2.0/", "/api/3.0/", "/ajax-api/"];

/// A refusal in the shape of the surface that the path belongs to.
fn refusal(path: &str, problem: Problem) -> HttpResponse {
    gateway::refusal(path, problem).unwrap_or_else(|problem| {
        if MLFLOW.iter().any(|prefix| path.starts_with(prefix)) {
            mlflow::refusal::answer(problem)
        } else {
            actix_web::ResponseError::error_response(&ApiError(problem))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_paths_are_open_and_only_for_reading() {
        for path in
            ["/", "/health/live", "/docs/index.css", "/api/v1/openapi.json", "/v2/health/ready"]
        {
            assert!(is_open(&Method::GET, path), "{path}");
            assert!(!is_open(&Method::POST, path), "{path}");
        }
        for path in [
            "/metrics",
            "/api/v1/models",
            "/v2",
            "/v2/models/x",
            "/nowhere",
            "/docsx",
            "/health/live/x",
        ] {
            assert!(!is_open(&Method::GET, path), "{path}");
        }
        assert!(is_open_with_metrics(&Method::GET, "/metrics"));
        assert!(is_open(&Method::POST, "/api/v1/sessions"));
        assert!(!is_open(&Method::GET, "/api/v1/sessions"));
        assert!(is_open(&Method::GET, "/api/v1/auth/oidc/callback"));
        assert!(is_open(&Method::POST, "/api/v1/auth/oidc/token"));
        assert!(!is_open(&Method::POST, "/api/v1/auth/oidc/login"));
        assert!(!is_open(&Method::GET, "/api/v1/oidc"));
    }
}
