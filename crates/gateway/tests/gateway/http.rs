//! The Open Inference Protocol over HTTP.

use std::time::Duration;

use actix_http::Request;
use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header},
    test::{self, TestRequest},
    web::Data,
};
use auth::http::{Gate, Guard};
use domain::Digest;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gateway::{Settings, State};
use inference::ReplicaOptions;
use serde_json::{Value, json};
use utoipa_actix_web::{AppExt as _, scope};

use crate::seed::{Node, TOKEN, World, model, until};

/// An answer, with its body read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: header::HeaderMap,
    /// Null if it is no JSON.
    pub(crate) body: Value,
    pub(crate) bytes: bytes::Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn error(&self) -> &str {
        assert_eq!(self.body.as_object().unwrap().len(), 1, "nothing but the error");
        self.body["error"].as_str().unwrap()
    }
}

async fn app(
    world: &World,
    state: &State,
) -> impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = Error> {
    let is_open = |_: &Method, path: &str| path.starts_with("/v2/health/");
    let refusal = |path: &str, problem| gateway::refusal(path, problem).unwrap();
    let gate = Gate::new(world.authenticator.clone(), is_open, refusal);
    let (app, _) = App::new()
        .into_utoipa_app()
        .app_data(Data::new(state.clone()))
        .configure(gateway::routes)
        .service(scope("/api/v1").configure(gateway::api_routes))
        .split_for_parts();
    test::init_service(app.wrap(Guard::new(gate))).await
}

/// Sends a request with the token.
pub(crate) async fn send(world: &World, state: &State, request: TestRequest) -> Answer {
    let request = request.insert_header((header::AUTHORIZATION, format!("Bearer {TOKEN}")));
    send_as_is(world, state, request).await
}

pub(crate) async fn send_as_is(world: &World, state: &State, request: TestRequest) -> Answer {
    let app = app(world, state).await;
    let answer = test::call_service(&app, request.to_request()).await;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = test::read_body(answer).await;
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Answer { status, headers, body, bytes }
}

pub(crate) fn infer(body: impl Into<bytes::Bytes>) -> TestRequest {
    TestRequest::post().uri("/v2/models/fraud/infer").set_payload(body.into())
}

/// A request that keeps `slow.onnx` busy until its time is over.
fn endless() -> TestRequest {
    let iterations = json!({
        "inputs": [{"name": "iterations", "shape": [1], "datatype": "INT64", "data": [i64::MAX]}],
    });
    infer(iterations.to_string())
}

/// The answer to the first of many such requests at once who hears anything: one of those who are
/// refused, as the others' time is not over.
pub(crate) async fn first_of_a_crowd(world: &World, node: &Node) -> Answer {
    let mut answers: FuturesUnordered<_> =
        (0..8).map(|_| send(world, &node.state, endless())).collect();
    answers.next().await.unwrap()
}

/// A node that serves one version as `fraud`.
pub(crate) async fn serving(file: &str, settings: Settings) -> (World, Node) {
    let world = World::new().await;
    let deployer = world.deployer().await;
    let version = world.version(file).await;
    world.deploy("fraud", &version).await;
    let node = world.node_with("a", settings, world.test.url()).await;
    let answers = async || {
        let ready = TestRequest::get().uri("/v2/models/fraud/ready");
        send(&world, &node.state, ready).await.status == StatusCode::OK
    };
    until("the endpoint", answers).await;
    drop(deployer);
    (world, node)
}

#[actix_web::test]
async fn a_real_model_answers_as_it_did_in_training() {
    let (world, node) = serving("breast_cancer.onnx", Settings::default()).await;
    let answer = send(&world, &node.state, infer(model("breast_cancer.example.json"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let expected: Value = serde_json::from_slice(&model("breast_cancer.expected.json")).unwrap();
    assert_eq!(answer.body["model_name"], "fraud");
    assert_eq!(answer.body["model_version"], "1");
    let outputs = answer.body["outputs"].as_array().unwrap();
    for (output, expected) in outputs.iter().zip(expected["outputs"].as_array().unwrap()) {
        for field in ["name", "shape", "datatype"] {
            assert_eq!(output[field], expected[field]);
        }
        let numbers = |tensor: &Value| -> Vec<f64> {
            tensor["data"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
        };
        let (numbers, expected) = (numbers(output), numbers(expected));
        assert_eq!(numbers.len(), expected.len());
        let near = numbers.iter().zip(&expected).all(|(one, other)| (one - other).abs() < 1e-4);
        assert!(near, "{numbers:?} is not {expected:?}");
    }
    assert_eq!(answer.header("x-bottega-model"), "fraud");
    assert_eq!(answer.header("x-bottega-model-version"), "1");
    assert!(answer.header("x-bottega-model-digest").parse::<Digest>().is_ok());
    assert_eq!(answer.header("x-bottega-inference-id").len(), 32);
    assert_eq!(answer.header("content-type"), "application/json");

    let label = r#","outputs":[{"name":"label"}]}"#;
    let body = String::from_utf8(model("breast_cancer.example.json")).unwrap();
    let body = body.trim_end().strip_suffix('}').unwrap().to_owned() + label;
    let answer = send(&world, &node.state, infer(body)).await;
    let outputs = answer.body["outputs"].as_array().unwrap();
    assert_eq!(outputs.iter().map(|it| &it["name"]).collect::<Vec<_>>(), ["label"]);
}

fn row(id: &str) -> Value {
    let mut body = json!({
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, -1.5]}],
    });
    if !id.is_empty() {
        body["id"] = json!(id);
    }
    body
}

#[actix_web::test]
async fn an_answer_is_called_by_the_callers_name_for_it() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let long = "x".repeat(65);
    for (id, header, called) in [
        ("a", None, Some("a")),
        ("a", Some("b"), Some("b")),
        ("a", Some("two words"), Some("two words")),
        (long.as_str(), None, None),
    ] {
        let mut request = infer(row(id).to_string());
        if let Some(header) = header {
            request = request.insert_header(("X-Amzn-SageMaker-Inference-Id", header));
        }
        let answer = send(&world, &node.state, request).await;
        assert_eq!(answer.body["id"], id, "V2's id comes back whatever it is");
        match called {
            Some(called) => assert_eq!(answer.header("x-bottega-inference-id"), called),
            None => assert_eq!(answer.header("x-bottega-inference-id").len(), 32),
        }
    }
    let answer = send(&world, &node.state, infer(row("").to_string())).await;
    assert!(answer.body.get("id").is_none());
    let asked = infer(row("a").to_string()).insert_header(("X-Amzn-SageMaker-Inference-Id", long));
    let refused = send(&world, &node.state, asked).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body["error"].as_str().unwrap().contains("inference-id"), "{}", refused.body);
}

#[actix_web::test]
async fn only_versions_of_the_present_release_can_be_asked_for() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    world.version("identity/fp32.onnx").await;
    let body = row("").to_string();
    for (path, status, error) in [
        ("fraud/versions/1/infer", 200, ""),
        (
            "fraud/versions/2/infer",
            404,
            "there is no version `2` — endpoint `fraud` serves version 1 now",
        ),
        ("fraud/versions/x/infer", 404, "there is no version `x` — versions are numbers, like 3"),
        (
            "nothing/infer",
            404,
            "there is no endpoint `nothing` — `bottega endpoints list` shows those that there are",
        ),
    ] {
        let request =
            TestRequest::post().uri(&format!("/v2/models/{path}")).set_payload(body.clone());
        let answer = send(&world, &node.state, request).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        if status == 404 {
            assert_eq!(answer.error(), error);
        }
    }
}

#[actix_web::test]
async fn what_does_not_fit_is_refused_in_this_surfaces_shape() {
    let settings = Settings { body_limit: 1000, ..Settings::default() };
    let (world, node) = serving("identity/fp32.onnx", settings).await;
    let good = row("").to_string();
    let text = good.replace("0.5", "\"half\"");
    let mine = good.replace("\"inputs\"", "\"parameters\":{\"mine\":true},\"inputs\"");
    let large = format!("{good}{}", " ".repeat(1000));
    for (request, status, error) in [
        (infer(""), 400, ""),
        (infer("{"), 400, ""),
        (infer(good.replace("FP32", "FP64")), 400, "datatype"),
        (infer(text), 400, "inputs[0].data[0]"),
        (infer(mine), 400, "parameters.mine"),
        (infer(good.clone()).insert_header(("inference-header-content-length", "9")), 400, "JSON"),
        (infer(good.clone()).insert_header(("inference-header-content-length", "-9")), 400, "`-9`"),
        (infer(good.clone()).insert_header(("content-encoding", "gzip")), 400, "content-encoding"),
        (infer(large), 413, "the body is larger than 1000 bytes — send fewer rows at a time"),
        (infer("").insert_header(("content-length", "1001")), 413, "1000 bytes"),
    ] {
        let answer = send(&world, &node.state, request).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        assert!(answer.error().contains(error), "{}", answer.body);
    }
    let answer = send_as_is(&world, &node.state, infer(good)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.error().contains("Authorization: Bearer"), "{}", answer.body);
    assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
}

#[actix_web::test]
async fn a_run_that_takes_too_long_ends_at_its_deadline() {
    let settings = Settings { deadline: Duration::from_millis(300), ..Settings::default() };
    let (world, node) = serving("slow.onnx", settings).await;
    let answer = send(&world, &node.state, endless()).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(answer.error().starts_with("the model did not answer in time"));
    let short = json!({
        "inputs": [{"name": "iterations", "shape": [1], "datatype": "INT64", "data": [3]}],
    });
    let answer = send(&world, &node.state, infer(short.to_string())).await;
    assert_eq!(answer.body["outputs"][0]["data"], json!([3.0]));
}

#[actix_web::test]
async fn when_too_many_wait_the_next_is_refused_at_once() {
    let replica = ReplicaOptions { threads: Some(1), queue: 1, ..ReplicaOptions::default() };
    let deadline = Duration::from_secs(10);
    let (world, node) =
        serving("slow.onnx", Settings { deadline, replica, ..Settings::default() }).await;
    let refused = first_of_a_crowd(&world, &node).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    assert!(refused.error().starts_with("too many requests wait for this model on this node"));
    assert_eq!(refused.header("retry-after"), "1");
}

#[actix_web::test]
async fn every_operation_is_in_the_document() {
    let (_, document) = App::new()
        .into_utoipa_app()
        .configure(gateway::routes)
        .service(scope("/api/v1").configure(gateway::api_routes))
        .split_for_parts();
    let paths: Vec<_> = document.paths.paths.keys().map(String::as_str).collect();
    let expected = [
        "/api/v1/endpoints/{endpoint}/schema",
        "/endpoints/{endpoint}/invocations",
        "/serve/{endpoint}/health",
        "/serve/{endpoint}/invocations",
        "/serve/{endpoint}/ping",
        "/serve/{endpoint}/version",
        "/v1/models/{endpoint}",
        "/v1/models/{endpoint}/labels/{label}",
        "/v1/models/{endpoint}/labels/{label}/metadata",
        "/v1/models/{endpoint}/labels/{label}:classify",
        "/v1/models/{endpoint}/labels/{label}:predict",
        "/v1/models/{endpoint}/labels/{label}:regress",
        "/v1/models/{endpoint}/metadata",
        "/v1/models/{endpoint}/versions/{version}",
        "/v1/models/{endpoint}/versions/{version}/metadata",
        "/v1/models/{endpoint}/versions/{version}:classify",
        "/v1/models/{endpoint}/versions/{version}:predict",
        "/v1/models/{endpoint}/versions/{version}:regress",
        "/v1/models/{endpoint}:classify",
        "/v1/models/{endpoint}:predict",
        "/v1/models/{endpoint}:regress",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/stats",
        "/v2/models/{endpoint}",
        "/v2/models/{endpoint}/config",
        "/v2/models/{endpoint}/infer",
        "/v2/models/{endpoint}/ready",
        "/v2/models/{endpoint}/stats",
        "/v2/models/{endpoint}/versions/{version}",
        "/v2/models/{endpoint}/versions/{version}/config",
        "/v2/models/{endpoint}/versions/{version}/infer",
        "/v2/models/{endpoint}/versions/{version}/ready",
        "/v2/models/{endpoint}/versions/{version}/stats",
        "/v2/repository/index",
        "/v2/repository/models/{endpoint}/load",
        "/v2/repository/models/{endpoint}/unload",
    ];
    assert_eq!(paths, expected);
}

#[actix_web::test]
async fn an_endpoint_without_a_ready_version_says_so() {
    let world = World::new().await;
    let version = world.version("identity/fp32.onnx").await;
    world.deploy("fraud", &version).await;
    let node = world.node("a").await;
    until("readiness", async || node.state.is_ready()).await;
    let answer = send(&world, &node.state, infer(row("").to_string())).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.error().starts_with("endpoint `fraud` has no version ready on this node"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[actix_web::test]
async fn server_and_endpoint_describe_themselves() {
    let (world, node) = serving("breast_cancer.onnx", Settings::default()).await;
    let get = async |path: &str| send(&world, &node.state, TestRequest::get().uri(path)).await.body;
    assert_eq!(get("/v2").await["name"], "bottega");
    let described = json!({
        "name": "fraud", "versions": ["1"], "platform": "onnxruntime_onnx",
        "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 30]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        ],
    });
    assert_eq!(get("/v2/models/fraud").await, described);
    assert_eq!(get("/v2/models/fraud/versions/1").await, described);
    assert_eq!(get("/v2/models/fraud/ready").await, json!({"name": "fraud", "ready": true}));
    let schema = get("/api/v1/endpoints/fraud/schema").await;
    assert_eq!(schema["signature"]["inputs"][0]["name"], "features");
    assert_eq!(schema["example"]["inputs"][0]["shape"], json!([1, 30]));
    assert_eq!(schema["json_schema"]["type"], "object");
    let absent = get("/api/v1/endpoints/nothing/schema").await;
    assert_eq!(absent["error"]["code"], "not_found");
}

#[actix_web::test]
async fn the_authors_example_is_shown_if_there_is_one() {
    let world = World::new().await;
    let _deployer = world.deployer().await;
    let version = world.version_with("identity/fp32.onnx", Some(row("mine"))).await;
    world.deploy("fraud", &version).await;
    let node = world.node("a").await;
    let show = async || {
        send(&world, &node.state, TestRequest::get().uri("/api/v1/endpoints/fraud/schema")).await
    };
    until("the endpoint", async || show().await.status == StatusCode::OK).await;
    assert_eq!(show().await.body["example"], row("mine"));
}

#[actix_web::test]
async fn health_needs_no_token_and_readiness_waits_for_the_first_look() {
    let world = World::new().await;
    let node = world.node("a").await;
    let get =
        async |path: &str| send_as_is(&world, &node.state, TestRequest::get().uri(path)).await;
    assert_eq!(get("/v2/health/live").await.body, json!({"live": true}));
    until("readiness", async || get("/v2/health/ready").await.status == StatusCode::OK).await;
    let state = node.state.clone();
    node.stop().await;
    let answer = send_as_is(&world, &state, TestRequest::get().uri("/v2/health/ready")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body, json!({"ready": false}));
}

#[actix_web::test]
async fn each_prediction_is_counted_once_by_how_it_ended() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    for body in [row("").to_string(), row("").to_string(), "{}".to_owned()] {
        send(&world, &node.state, infer(body)).await;
    }
    let rows = json!({"instances": [[0.5, -1.5]]});
    let scoring = TestRequest::post().uri("/serve/fraud/invocations").set_json(&rows);
    assert_eq!(send(&world, &node.state, scoring).await.status, StatusCode::OK);
    // Whatever callers make up.
    for path in [
        "/v2/models/nothing/infer",
        "/v2/models/fraud/versions/4711/infer",
        "/v2/models/fraud/versions/madeup/infer",
        "/v1/models/fraud/labels/madeup:predict",
        "/serve/nothing/invocations",
        "/endpoints/nothing/invocations",
    ] {
        let request = TestRequest::post().uri(path).set_json(&rows);
        assert_eq!(
            send(&world, &node.state, request).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &node.registry).unwrap();
    for line in [
        r#"model="fraud",version="1",protocol="v2",code="ok"} 2"#,
        r#"model="fraud",version="1",protocol="v2",code="invalid"} 1"#,
        r#"model="fraud",version="1",protocol="mlflow",code="ok"} 1"#,
        r#"model="",version="",protocol="v2",code="not_found"} 1"#,
        r#"model="",version="",protocol="tensorflow",code="not_found"} 1"#,
    ] {
        let line = format!(r#"bottega_inference_requests_total{{endpoint="fraud",{line}"#);
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let counted = text.lines().filter(|line| line.starts_with("bottega_inference_requests_total"));
    assert_eq!(counted.count(), 5, "{text}");
    assert!(text.contains("bottega_inference_duration_seconds_count{endpoint=\"fraud\"} 6\n"));
    assert!(["nothing", "4711", "madeup"].iter().all(|name| !text.contains(name)), "{text}");
}
