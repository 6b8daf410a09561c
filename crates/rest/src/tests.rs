//! The parts together, as a service uses them.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

use actix_web::body::{BoxBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header::HeaderMap};
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::{App, Error, HttpMessage as _, HttpRequest, HttpResponse, get, post, web};
use domain::{Actor, ErrorCode, Problem};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_actix_web::{AppExt as _, scope};

use crate::metrics::HttpMetrics;
use crate::openapi::Refusals;
use crate::{
    ApiError, Json, PageBody, PageQuery, Path, Query, RequestContext, fallback, openapi, request_id,
};

#[derive(OpenApi)]
#[openapi(modifiers(&Refusals))]
struct Document;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its decoding is tested")]
struct ThingPath {
    name: String,
    part: u32,
}

#[utoipa::path(params(PageQuery), responses((status = 200, body = PageBody<Thing>), openapi::Reads))]
#[get("/things")]
async fn list(
    Query(page): Query<PageQuery>,
    request: HttpRequest,
) -> Result<Json<PageBody<Thing>>, ApiError> {
    request.extensions_mut().insert(Actor::user("ana"));
    page.bounds()?;
    let name = request_id().to_string();
    Ok(Json(PageBody { items: vec![Thing { name }], next_cursor: None }))
}

#[utoipa::path(responses((status = 201, body = Thing), openapi::Writes))]
#[post("/things")]
async fn create(Json(thing): Json<Thing>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Created().json(thing))
}

#[utoipa::path(params(ThingPath), responses((status = 200, body = Thing), openapi::Reads))]
#[get("/things/{name}/parts/{part:.*}")]
async fn part(Path(path): Path<ThingPath>) -> Result<Json<Thing>, ApiError> {
    Err(Problem::not_found("part", path.part).into())
}

/// Refuses everything, as a middleware does: with an error instead of an answer.
async fn guard(_: ServiceRequest, _: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    Err(ApiError(Problem::new(ErrorCode::Unauthenticated, "who are you?")).into())
}

async fn broken() -> Result<HttpResponse, ApiError> {
    tracing::error!("the cause");
    Err(Problem::internal().into())
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Asks a service that has all that this crate gives.
async fn ask(registry: &mut Registry, request: TestRequest) -> Answer {
    let (app, document) = App::new()
        .into_utoipa_app()
        .openapi(Document::openapi())
        .service(scope("/api/v1").service(list).service(create).service(part))
        .split_for_parts();
    let written = document.to_json().unwrap();
    let app = app
        .app_data(fallback::AllowedMethods::of(&document))
        .route("/v2/models/x/infer", web::post().to(HttpResponse::Ok))
        .route("/v2/models/busy/infer", web::post().to(HttpResponse::ServiceUnavailable))
        .route("/health/ready", web::get().to(HttpResponse::ServiceUnavailable))
        .route("/broken", web::get().to(broken))
        .route("/document", web::get().to(move || std::future::ready(written.clone())))
        .service(
            web::scope("/guarded").wrap(from_fn(guard)).route("", web::get().to(HttpResponse::Ok)),
        )
        .default_service(web::to(fallback::answer))
        .wrap(RequestContext::new(HttpMetrics::register(registry)).naming(|given| given.get()));
    let service = init_service(app).await;
    let answer = match try_call_service(&service, request.to_request()).await {
        Ok(answer) => answer.into_parts().1.map_into_boxed_body(),
        Err(error) => error.error_response(),
    };
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = to_bytes(answer.into_body()).await.unwrap();
    Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
}

async fn fetch(uri: &str) -> Answer {
    ask(&mut Registry::default(), TestRequest::with_uri(uri)).await
}

#[actix_web::test]
async fn the_callers_request_id_is_on_the_answer_and_in_the_body() {
    for (uri, status) in [
        ("/api/v1/things", 200),
        ("/api/v1/things?limit=0", 400),
        ("/api/v1/nothing", 404),
        ("/guarded", 401),
        ("/broken", 500),
    ] {
        let request = TestRequest::with_uri(uri).insert_header(("x-request-id", "mine-1"));
        let answer = ask(&mut Registry::default(), request).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (status, Some("mine-1")));
        let in_body = answer.body.pointer("/error/request_id");
        let in_body = in_body.or(answer.body.pointer("/items/0/name"));
        assert_eq!(in_body, Some(&json!("mine-1")), "{uri}");
    }
}

#[actix_web::test]
async fn a_request_without_a_sound_id_gets_a_fresh_one() {
    for header in ["", "a b", &"x".repeat(65)] {
        let request = TestRequest::with_uri("/broken").insert_header(("x-request-id", header));
        let answer = ask(&mut Registry::default(), request).await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id.len(), 32);
        assert_eq!(answer.body["error"]["request_id"], id);
    }
}

#[actix_web::test]
async fn an_unknown_path_is_answered_in_our_shape() {
    let answer = fetch("/api/v1/thingz/%C3%A9?a=b").await;
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.body,
        json!({"error": {
            "code": "not_found", "message": "there is no path `/api/v1/thingz/%C3%A9`",
            "hint": "`/docs` lists the paths there are",
            "request_id": answer.header("x-request-id"),
        }})
    );
}

#[actix_web::test]
async fn a_wrong_method_is_answered_with_the_right_ones() {
    for (uri, allow) in [
        ("/api/v1/things", Some("GET, HEAD, POST")),
        ("/api/v1/things/a/parts/1", Some("GET, HEAD")),
    ] {
        let answer = ask(&mut Registry::default(), TestRequest::put().uri(uri)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, allow));
        assert_eq!(answer.body["error"]["code"], "invalid");
        assert_eq!(answer.body["error"]["message"], format!("`{uri}` has no method PUT"));
    }
    let answer = ask(&mut Registry::default(), TestRequest::put().uri("/api/v1/things")).await;
    assert_eq!(answer.body["error"]["hint"], "use GET or POST");
}

#[actix_web::test]
async fn head_is_answered_where_get_is() {
    for (uri, status) in [("/api/v1/things", 200), ("/health/ready", 503), ("/api/v1/thingz", 404)]
    {
        let request = TestRequest::default().method(Method::HEAD).uri(uri);
        assert_eq!(ask(&mut Registry::default(), request).await.status, status, "{uri}");
    }
    let request = TestRequest::default().method(Method::HEAD).uri("/v2/models/x/infer");
    assert_eq!(ask(&mut Registry::default(), request).await.status, 405);
}

#[actix_web::test]
async fn a_handlers_refusal_keeps_its_field() {
    let request = TestRequest::post()
        .uri("/api/v1/things")
        .insert_header(("content-type", "application/json"))
        .set_payload(r#"{"name":"a","colour":"red"}"#);
    let answer = ask(&mut Registry::default(), request).await;
    assert_eq!((answer.status, &answer.body["error"]["field"]), (400, &json!("colour")));
    let answer = fetch("/api/v1/things/a%20b/parts/x").await;
    assert_eq!((answer.status, &answer.body["error"]["field"]), (400, &json!("part")));
}

#[actix_web::test]
async fn answers_are_counted_by_the_routes_pattern() {
    let mut registry = Registry::default();
    ask(&mut registry, TestRequest::with_uri("/api/v1/things/secret/parts/1")).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let route = "/api/v1/things/{name}/parts/{part:.*}";
    let line =
        format!(r#"bottega_http_requests_total{{method="GET",route="{route}",status="4xx"}} 1"#);
    assert!(text.contains(&line), "{text}");
    assert!(!text.contains("secret"));
}

#[actix_web::test]
async fn an_operations_refusals_are_documented_once() {
    let document = fetch("/document").await.body;
    let responses = &document["paths"]["/api/v1/things"]["post"]["responses"];
    let listed: Vec<_> = responses.as_object().unwrap().keys().collect();
    assert_eq!(listed, ["201", "400", "401", "403", "404", "409", "413", "429", "500", "503"]);
    assert_eq!(responses["403"]["$ref"], "#/components/responses/Forbidden");
    let forbidden = &document["components"]["responses"]["Forbidden"];
    let content = &forbidden["content"]["application/json"];
    assert_eq!(content["schema"]["$ref"], "#/components/schemas/ErrorBody");
    let examples: Vec<_> = content["examples"].as_object().unwrap().keys().collect();
    assert_eq!(examples, ["forbidden", "gate_refused", "quota_exceeded"]);
    assert_eq!(content["examples"]["forbidden"]["value"]["error"]["code"], "forbidden");
    let unauthenticated = &document["components"]["responses"]["Unauthorized"];
    assert!(unauthenticated["headers"].get("www-authenticate").is_some());
    for schema in ["ErrorBody", "ErrorDetail", "PageBody_Thing", "Thing"] {
        assert!(document["components"]["schemas"].get(schema).is_some(), "{schema}");
    }
    let codes = &document["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"];
    assert_eq!(codes.as_array().unwrap().len(), ErrorCode::ALL.len());
    let written = document.to_string();
    let references = written.split(r##""$ref":"#"##).skip(1).filter_map(|it| it.split('"').next());
    let dangling: Vec<_> = references.filter(|it| document.pointer(it).is_none()).collect();
    assert_eq!(dangling, [""; 0]);
    let parameters = &document["paths"]["/api/v1/things"]["get"]["parameters"];
    assert_eq!((&parameters[1]["name"], &parameters[1]["in"]), (&json!("limit"), &json!("query")));
    assert_eq!(parameters[1]["schema"]["maximum"], 1000);
    let parameters = &document["paths"]["/api/v1/things/{name}/parts/{part}"]["get"]["parameters"];
    assert_eq!((&parameters[1]["name"], &parameters[1]["in"]), (&json!("part"), &json!("path")));
}

/// All that is logged, of all tests; one logger for the process, as in the real thing.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static LOGGER: Once = Once::new();

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged while a request is answered, line by line.
async fn log_of(request: TestRequest) -> Vec<Value> {
    LOGGER.call_once(|| {
        tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(|| Log)
            .init();
    });
    let id = domain::RequestId::new();
    ask(&mut Registry::default(), request.insert_header(("x-request-id", id.as_str()))).await;
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(log)
        .unwrap()
        .lines()
        .filter(|line| line.contains(id.as_str()))
        .map(|line| serde_json::from_str(&line.replace(id.as_str(), "ID")).unwrap())
        .collect()
}

#[actix_web::test]
async fn each_request_has_one_line_in_the_log() {
    let request = TestRequest::with_uri("/api/v1/things?limit=5")
        .insert_header(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    let lines = log_of(request).await;
    assert_eq!(lines.len(), 1);
    let mut fields = lines[0]["fields"].clone();
    assert!(fields["duration_ms"].as_f64().is_some_and(|it| it > 0.0));
    fields["duration_ms"] = json!(0);
    assert_eq!(
        fields,
        json!({
            "message": "answered", "method": "GET", "route": "/api/v1/things", "status": 200,
            "duration_ms": 0, "request_id": "ID", "actor": "user:ana",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        })
    );
}

#[actix_web::test]
async fn a_lines_level_follows_what_was_asked_and_answered() {
    for (request, level, route) in [
        (TestRequest::with_uri("/api/v1/things"), "INFO", "/api/v1/things"),
        (TestRequest::with_uri("/api/v1/nothing"), "INFO", "unmatched"),
        (TestRequest::with_uri("/broken"), "ERROR", "/broken"),
        (TestRequest::with_uri("/guarded"), "INFO", "unmatched"),
        (TestRequest::post().uri("/v2/models/x/infer"), "DEBUG", "/v2/models/x/infer"),
        (TestRequest::post().uri("/v2/models/busy/infer"), "DEBUG", "/v2/models/busy/infer"),
        (TestRequest::with_uri("/v2/models"), "INFO", "unmatched"),
        (TestRequest::with_uri("/health/ready"), "INFO", "/health/ready"),
    ] {
        let log = log_of(request).await;
        let line = log.last().unwrap();
        assert_eq!((&line["level"], &line["fields"]["route"]), (&json!(level), &json!(route)));
    }
}

#[actix_web::test]
async fn what_is_logged_on_the_way_stands_under_the_requests_id() {
    let log = log_of(TestRequest::with_uri("/broken")).await;
    let messages: Vec<_> = log.iter().map(|line| &line["fields"]["message"]).collect();
    assert_eq!(messages, ["the cause", "answered"]);
    assert_eq!(log[0]["span"], json!({"name": "request", "request_id": "ID"}));
    assert_eq!(log[1]["span"], Value::Null);
}
