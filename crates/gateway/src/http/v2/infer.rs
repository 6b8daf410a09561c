//! `POST /v2/models/{endpoint}/infer` and `…/versions/{version}/infer`

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{CONTENT_TYPE, ContentType, HeaderMap, HeaderName},
    post,
    web::{Data, Path, Payload},
};
use auth::{Caller, verbs};
use domain::{Problem, Signature, capture::Protocol};
use protocol::v2::{binary, json};

use super::error::{NotPredicted, V2Error};
use crate::{
    State,
    admission::admit,
    http::{
        answer::{FIRST_CAPACITY, JSON, labelled, send, traced},
        body,
    },
    predict::{Answered, Asked, Foreseen, Version, predict, version_number},
    refusal::with_example,
    routing::Headers,
};

/// Predict.
///
/// The answer's headers say which version made it: `x-bottega-model`, `x-bottega-model-version`,
/// `x-bottega-model-digest`; `x-bottega-inference-id` is what the answer is called.
///
/// Tensors are JSON, or bytes behind it: the header `inference-header-content-length` says how long
/// the JSON is, an input's parameter `binary_data_size` how many bytes are its; 0 means that all of the
/// body is the model's one input. The answer has the outputs in bytes for which `binary_data`, or
/// `binary_data_output` of the request, is true. `content-encoding` may be gzip, deflate or zstd, and
/// the answer's too, by `accept-encoding`.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("inference-header-content-length" = Option<u64>, Header, description = "How many bytes at the beginning of the body are JSON"),
    ),
    request_body(content = Object, description = "Tensors, by the endpoint's schema", example = json!({
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.5]}],
    })),
    responses(
        (status = 200, description = "The outputs", body = Object, example = json!({
            "model_name": "fraud", "model_version": "3",
            "outputs": [{"name": "y", "shape": [1], "datatype": "INT64", "data": [0]}],
        })),
        NotPredicted,
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
    answer(&request, payload, &caller, &state, path.into_inner(), Version::Any).await
}

/// Predict with one version of the present release.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
        ("inference-header-content-length" = Option<u64>, Header, description = "How many bytes at the beginning of the body are JSON"),
    ),
    request_body(content = Object, description = "Tensors, by the endpoint's schema"),
    responses(
        (status = 200, description = "The outputs", body = Object),
        NotPredicted,
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
    let version = Version::Number(version_number(&version)?);
    answer(&request, payload, &caller, &state, endpoint, version).await
}

#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
fn answer(
    request: &HttpRequest,
    payload: Payload,
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Version,
) -> impl Future<Output = Result<HttpResponse, V2Error>> {
    async move {
        let permit = admit::<verbs::Invoke>(state, caller, endpoint)?;
        let name = permit.resource().name();
        let json_length = json_length(request.headers())?;
        let body = body::read_for(state, name, request, payload).await?;
        let asked = Asked {
            permit: &permit,
            version,
            headers: Headers::Http(request.headers()),
            bytes_in: body.len(),
            until: None,
            protocol: Protocol::V2,
            id: body::asked_id(request.headers())?,
            traced: traced(request, state),
            priority: Foreseen::In(
                json_length.and_then(|length| body.get(..length)).unwrap_or(&body),
            ),
        };
        let decode = |signature: &Signature| {
            let read = match json_length {
                Some(length) => binary::decode(&body, length, signature),
                None => json::decode(&body, signature),
            };
            read.map_err(|problem| with_example(problem, name, || json::example(signature)))
        };
        let (response, body) = predict(state, &asked, decode, |answered| {
            let written = write(name, &answered)?;
            let size = written.1.len();
            Ok((written, size))
        })
        .await?;
        Ok(send(request, response, body).await?)
    }
}

/// How many bytes at the beginning of the body are JSON, if the caller says that others follow.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    const NAME: HeaderName = HeaderName::from_static(binary::JSON_LENGTH);
    let Some(given) = headers.get(&NAME) else { return Ok(None) };
    let length = given.to_str().ok().and_then(|length| length.trim().parse().ok());
    length.map(Some).ok_or_else(|| {
        let given: String = String::from_utf8_lossy(given.as_bytes()).chars().take(40).collect();
        let message = format!("`{given}` is no number of bytes");
        Problem::invalid(binary::JSON_LENGTH, message).hint("give the length of the JSON in bytes")
    })
}

/// An answer's headers, and its body before it is packed.
fn write(name: &str, answered: &Answered<'_>) -> Result<(HttpResponseBuilder, Vec<u8>), Problem> {
    let Answered { served, id: answer_id, request, outputs } = answered;
    let (labels, id) = (&served.labels, request.id.as_deref());
    let binary_outputs = request.binary_outputs();
    let mut body = Vec::with_capacity(FIRST_CAPACITY);
    let mut response = labelled(labels, answer_id);
    if binary_outputs.is_none() {
        json::encode(&mut body, name, &labels.version, id, outputs)?;
        response.insert_header((CONTENT_TYPE, JSON));
    } else {
        let version = &labels.version;
        let length = binary::encode(&mut body, name, version, id, outputs, &binary_outputs)?;
        response.insert_header(ContentType::octet_stream());
        response.insert_header((binary::JSON_LENGTH, length));
    }
    Ok((response, body))
}
