//! `POST /v2/models/{endpoint}/infer` and `…/versions/{version}/infer`

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ContentType, HeaderName},
    post,
    web::{Data, Path, Payload},
};
use auth::{Caller, verbs};
use domain::Problem;
use protocol::v2::json::{decode, encode};

use super::{
    body,
    error::{ErrorBody, V2Error},
};
use crate::{
    State,
    admission::admit,
    identity::{ASKED_ID, inference_id},
    predict::{predict, version_number},
};

/// Room for an answer of a few dozen numbers; larger ones grow.
const FIRST_CAPACITY: usize = 1024;

/// Predict.
///
/// The answer's headers say which version made it: `x-bottega-model`, `x-bottega-model-version`,
/// `x-bottega-model-digest`; `x-bottega-inference-id` is what the answer is called.
#[utoipa::path(
    tag = "prediction",
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    request_body(content = Object, description = "Tensors, by the endpoint's schema", example = json!({
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.5]}],
    })),
    responses(
        (status = 200, description = "The outputs", body = Object, example = json!({
            "model_name": "fraud", "model_version": "3",
            "outputs": [{"name": "y", "shape": [1], "datatype": "INT64", "data": [0]}],
        })),
        (status = 400, description = "The request does not fit", body = ErrorBody),
        (status = 401, description = "No token that we know", body = ErrorBody),
        (status = 403, description = "A quota is spent, or the caller may not", body = ErrorBody),
        (status = 404, description = "No such endpoint", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 429, description = "Too many requests just now; `retry-after` and `ratelimit` say when to come back", body = ErrorBody),
        (status = 503, description = "No version is ready, or too many requests wait", body = ErrorBody),
        (status = 504, description = "The model did not answer in time", body = ErrorBody),
    ),
)]
#[post("/v2/models/{endpoint}/infer")]
pub(super) async fn infer(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, V2Error> {
    answer(&request, payload, &caller, &state, path.into_inner(), None).await
}

/// Predict with one version of the present release.
#[utoipa::path(
    tag = "prediction",
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    request_body(content = Object, description = "Tensors, by the endpoint's schema"),
    responses(
        (status = 200, description = "The outputs", body = Object),
        (status = 400, description = "The request does not fit", body = ErrorBody),
        (status = 401, description = "No token that we know", body = ErrorBody),
        (status = 403, description = "A quota is spent, or the caller may not", body = ErrorBody),
        (status = 404, description = "No such endpoint, or it does not serve that version", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 429, description = "Too many requests just now; `retry-after` and `ratelimit` say when to come back", body = ErrorBody),
        (status = 503, description = "No version is ready, or too many requests wait", body = ErrorBody),
        (status = 504, description = "The model did not answer in time", body = ErrorBody),
    ),
)]
#[post("/v2/models/{endpoint}/versions/{version}/infer")]
pub(super) async fn infer_version(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, version) = path.into_inner();
    let version = version_number(&version)?;
    answer(&request, payload, &caller, &state, endpoint, Some(version)).await
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Option<i32>,
) -> Result<HttpResponse, V2Error> {
    let permit = admit::<verbs::Invoke>(state, caller, endpoint)?;
    let body = body::read(request, payload, state.given.settings.body_limit).await?;
    let prediction = predict(state, &permit, version, body.len(), |signature| {
        let request = decode(&body, signature)?;
        if request.wants_binary() { Err(no_binary()) } else { Ok(request) }
    })
    .await?;
    let (labels, id) = (&prediction.served.labels, prediction.id.as_deref());
    let mut out = Vec::with_capacity(FIRST_CAPACITY);
    encode(&mut out, permit.resource().name(), &labels.version, id, &prediction.outputs)?;
    prediction.count(state, &permit, out.len());
    let asked = request.headers().get(ASKED_ID).and_then(|value| value.to_str().ok());
    let mut response = HttpResponse::Ok();
    for (name, value) in labels.with_id(&inference_id(asked, id)) {
        response.insert_header((HeaderName::from_static(name), value));
    }
    Ok(response.insert_header(ContentType::json()).body(out))
}

fn no_binary() -> Problem {
    Problem::invalid("parameters.binary_data_output", "outputs in binary are not given yet")
        .hint("ask for JSON (tritonclient: `InferRequestedOutput(…, binary_data=False)`), or call by gRPC")
}
