//! `:classify` and `:regress`

use actix_web::{
    HttpRequest, HttpResponse, post,
    web::{Data, Path, Payload},
};
use auth::Caller;
use domain::{Signature, capture::Protocol};
use protocol::{
    examples_example,
    tensorflow::{Task, decode_examples, encode_results},
};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    State,
    http::{
        answer::{Exchange, send},
        v2::error::{NotPredicted, V2Error},
    },
    predict::{Version, version_number},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(classify).service(classify_version).service(classify_label);
    config.service(regress).service(regress_version).service(regress_label);
}

/// Tell classes with their scores, as TensorFlow Serving does.
///
/// `examples` are objects of features, which are the model's inputs; what `context` has is every example's.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    request_body(content = Object, description = "Examples", example = json!({"examples": [{"age": 31.0, "income": 2400.0}]})),
    responses(
        (status = 200, description = "A result for each example", body = Object, example = json!({"results": [[["0", 0.1], ["1", 0.9]]]})),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}:classify")]
pub(super) async fn classify(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, V2Error> {
    let endpoint = path.into_inner();
    answer(Task::Classify, &request, payload, &caller, &state, endpoint, Version::Any).await
}

/// Tell classes with their scores by one version of the present release, as TensorFlow Serving does.
///
/// `examples` are objects of features, which are the model's inputs; what `context` has is every example's.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    request_body(content = Object, description = "Examples", example = json!({"examples": [{"age": 31.0, "income": 2400.0}]})),
    responses(
        (status = 200, description = "A result for each example", body = Object, example = json!({"results": [[["0", 0.1], ["1", 0.9]]]})),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}/versions/{version}:classify")]
pub(super) async fn classify_version(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, version) = path.into_inner();
    let version = Version::Number(version_number(&version)?);
    answer(Task::Classify, &request, payload, &caller, &state, endpoint, version).await
}

/// Tell classes with their scores by the version of the present release that an alias of its model points to, as TensorFlow Serving does.
///
/// `examples` are objects of features, which are the model's inputs; what `context` has is every example's.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("label" = String, Path, description = "An alias of the endpoint's model", example = "champion"),
    ),
    request_body(content = Object, description = "Examples", example = json!({"examples": [{"age": 31.0, "income": 2400.0}]})),
    responses(
        (status = 200, description = "A result for each example", body = Object, example = json!({"results": [[["0", 0.1], ["1", 0.9]]]})),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}/labels/{label}:classify")]
pub(super) async fn classify_label(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, label) = path.into_inner();
    let version = Version::Label(label);
    answer(Task::Classify, &request, payload, &caller, &state, endpoint, version).await
}

/// Tell a value for each example, as TensorFlow Serving does.
///
/// `examples` are objects of features, which are the model's inputs; what `context` has is every example's.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    request_body(content = Object, description = "Examples", example = json!({"examples": [{"age": 31.0, "income": 2400.0}]})),
    responses(
        (status = 200, description = "A result for each example", body = Object, example = json!({"results": [0.7]})),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}:regress")]
pub(super) async fn regress(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, V2Error> {
    let endpoint = path.into_inner();
    answer(Task::Regress, &request, payload, &caller, &state, endpoint, Version::Any).await
}

/// Tell a value for each example by one version of the present release, as TensorFlow Serving does.
///
/// `examples` are objects of features, which are the model's inputs; what `context` has is every example's.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    request_body(content = Object, description = "Examples", example = json!({"examples": [{"age": 31.0, "income": 2400.0}]})),
    responses(
        (status = 200, description = "A result for each example", body = Object, example = json!({"results": [0.7]})),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}/versions/{version}:regress")]
pub(super) async fn regress_version(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, version) = path.into_inner();
    let version = Version::Number(version_number(&version)?);
    answer(Task::Regress, &request, payload, &caller, &state, endpoint, version).await
}

/// Tell a value for each example by the version of the present release that an alias of its model points to, as TensorFlow Serving does.
///
/// `examples` are objects of features, which are the model's inputs; what `context` has is every example's.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("label" = String, Path, description = "An alias of the endpoint's model", example = "champion"),
    ),
    request_body(content = Object, description = "Examples", example = json!({"examples": [{"age": 31.0, "income": 2400.0}]})),
    responses(
        (status = 200, description = "A result for each example", body = Object, example = json!({"results": [0.7]})),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}/labels/{label}:regress")]
pub(super) async fn regress_label(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, label) = path.into_inner();
    let version = Version::Label(label);
    answer(Task::Regress, &request, payload, &caller, &state, endpoint, version).await
}

async fn answer(
    task: Task,
    request: &HttpRequest,
    payload: Payload,
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Version,
) -> Result<HttpResponse, V2Error> {
    let protocol = Protocol::TensorFlow;
    let example = examples_example;
    let exchange =
        Exchange { request, payload, caller, state, endpoint, version, protocol, example };
    let decode = |body: &[u8], signature: &Signature| {
        decode_examples(task, body, signature).map(|inputs| (inputs, task))
    };
    let (response, body, _) = exchange.answer(decode, encode_results).await?;
    Ok(send(request, response, body).await?)
}
