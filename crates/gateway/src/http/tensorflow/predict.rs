//! `:predict`

use actix_web::{
    HttpRequest, HttpResponse, post,
    web::{Data, Path, Payload},
};
use auth::Caller;
use domain::{Signature, capture::Protocol};
use protocol::{
    rows_example,
    tensorflow::{PredictRequest, decode, encode},
};

use crate::{
    State,
    http::{
        answer::{Exchange, send},
        v2::error::{NotPredicted, V2Error},
    },
    predict::{Version, version_number},
};

/// Predict, as TensorFlow Serving does.
///
/// `instances` are rows and answered by `predictions`, `inputs` are columns and answered by `outputs`.
/// Which version answered is in the headers, as for V2.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    request_body(content = Object, description = "Rows or columns", example = json!({"instances": [[31.0, 2400.0]]})),
    responses(
        (status = 200, description = "The outputs", body = Object, example = json!({"predictions": [0]})),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}:predict")]
pub(super) async fn predict(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, V2Error> {
    answer(&request, payload, &caller, &state, path.into_inner(), Version::Any).await
}

/// Predict with one version of the present release, as TensorFlow Serving does.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    request_body(content = Object, description = "Rows or columns", example = json!({"instances": [[31.0, 2400.0]]})),
    responses(
        (status = 200, description = "The outputs", body = Object),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}/versions/{version}:predict")]
pub(super) async fn predict_version(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, version) = path.into_inner();
    let version = Version::Number(version_number(&version)?);
    answer(&request, payload, &caller, &state, endpoint, version).await
}

/// Predict with the version of the present release that an alias of its model points to, as TensorFlow
/// Serving does with labels.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("label" = String, Path, description = "An alias of the endpoint's model", example = "champion"),
    ),
    request_body(content = Object, description = "Rows or columns", example = json!({"instances": [[31.0, 2400.0]]})),
    responses(
        (status = 200, description = "The outputs", body = Object),
        NotPredicted,
    ),
)]
#[post("/v1/models/{endpoint}/labels/{label}:predict")]
pub(super) async fn predict_label(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, label) = path.into_inner();
    answer(&request, payload, &caller, &state, endpoint, Version::Label(label)).await
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Version,
) -> Result<HttpResponse, V2Error> {
    let protocol = Protocol::TensorFlow;
    let example = rows_example;
    let exchange =
        Exchange { request, payload, caller, state, endpoint, version, protocol, example };
    let decode = |body: &[u8], signature: &Signature| {
        decode(body, signature).map(|PredictRequest { inputs, layout }| (inputs, layout))
    };
    let (response, body, _) = exchange.answer(decode, encode).await?;
    Ok(send(request, response, body).await?)
}
