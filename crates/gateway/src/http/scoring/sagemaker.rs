//! `/endpoints/{endpoint}/invocations`: SageMaker's runtime, as boto3 calls it by `endpoint_url`.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
    post,
    web::{Data, Path, Payload},
};
use auth::Caller;
use domain::{ErrorCode, Problem, Signature, capture::Protocol};
use protocol::{
    rows_example,
    scoring::{Format, encode},
};
use rest::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use super::{check_accept, format, read, unpacked_limit};
use crate::{
    State,
    http::{
        answer::{Exchange, send},
        body::header,
        refusals::not_predicted,
    },
    predict::{Version, version_number},
    refusal::text,
};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");
const ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");
const TARGET_VARIANT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-target-variant");
/// What this runtime has no counterpart for.
const UNSUPPORTED: [&str; 6] = [
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-target-container-hostname",
    "x-amzn-sagemaker-enable-explanations",
    "x-amzn-sagemaker-inference-component",
    "x-amzn-sagemaker-session-id",
    "x-amzn-sagemaker-inputlocation",
];

/// A refusal's body, as AWS's clients read it; the header `x-amzn-errortype` says of which kind.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ErrorBody {
    /// What is wrong, where, and what to do about it.
    #[schema(examples("there is no endpoint `fraud`"))]
    message: String,
}

not_predicted!(ErrorBody);

/// A [`Problem`] in this surface's shape.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct RuntimeError(Problem);

impl<P: Into<Problem>> From<P> for RuntimeError {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl ResponseError for RuntimeError {
    fn status_code(&self) -> StatusCode {
        rest::status(self.0.code)
    }

    fn error_response(&self) -> HttpResponse {
        refusal(self.0.clone())
    }
}

/// The answer to a refused request on this surface.
pub(in crate::http) fn refusal(problem: Problem) -> HttpResponse {
    let kind = match problem.code {
        ErrorCode::Unauthenticated => "UnrecognizedClientException",
        ErrorCode::Forbidden | ErrorCode::QuotaExceeded => "AccessDeniedException",
        ErrorCode::RateLimited => "ThrottlingException",
        ErrorCode::Unavailable | ErrorCode::Timeout => "ServiceUnavailable",
        ErrorCode::ModelFailed => "ModelError",
        ErrorCode::Internal => "InternalFailure",
        ErrorCode::NotFound
        | ErrorCode::Invalid
        | ErrorCode::TooLarge
        | ErrorCode::Conflict
        | ErrorCode::GateRefused => "ValidationError",
    };
    let body = ErrorBody { message: text(&problem) };
    let mut answer = ApiError(problem).error_response();
    answer.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(kind));
    answer.set_body(BoxBody::new(serde_json::to_string(&body).unwrap_or_default()))
}

/// Predict, as SageMaker's runtime does.
///
/// The body is as for MLflow's scoring server. `x-amzn-sagemaker-target-variant` insists on a version
/// of the present release by its number, `x-amzn-sagemaker-inference-id` names the answer,
/// `x-amzn-sagemaker-custom-attributes` comes back. Several models, containers or components behind
/// one endpoint, explanations and sessions are not there: their headers are refused.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("x-amzn-sagemaker-target-variant" = Option<String>, Header, description = "A version of the present release", example = "3"),
        ("x-amzn-sagemaker-inference-id" = Option<String>, Header, description = "What to call the answer"),
        ("x-amzn-sagemaker-custom-attributes" = Option<String>, Header, description = "Comes back with the answer"),
    ),
    request_body(content = Object, description = "Rows or tensors", example = json!({
        "instances": [[31.0, 2400.0]],
    })),
    responses(
        (status = 200, description = "The outputs; `x-amzn-invoked-production-variant` is the version's number", body = Object, example = json!({"predictions": {"label": [0]}})),
        NotPredicted,
    ),
)]
#[post("/endpoints/{endpoint}/invocations")]
pub(super) async fn invocations(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, RuntimeError> {
    let headers = request.headers();
    let format = format(headers).map_err(|found| {
        let message = format!("the content type is `{found}`: expected {}", Format::NAMES);
        Problem::invalid("content-type", message)
    })?;
    check_accept(headers)?;
    let version = check_targets(headers)?;
    let endpoint = path.into_inner();
    let limit = unpacked_limit(format, &state, &endpoint);
    let exchange = Exchange {
        request: &request,
        payload,
        caller: &caller,
        state: &state,
        endpoint,
        version,
        protocol: Protocol::SageMaker,
        example: rows_example,
    };
    let decode = |body: &[u8], signature: &Signature| read(format, body, signature, limit);
    let (mut response, body, number) = exchange.answer(decode, encode).await?;
    response.insert_header((VARIANT, number.to_string()));
    if let Some(attributes) = headers.get(&ATTRIBUTES) {
        response.insert_header((ATTRIBUTES, attributes.clone()));
    }
    Ok(send(&request, response, body).await?)
}

/// The version that the caller insists on.
fn check_targets(headers: &HeaderMap) -> Result<Version, Problem> {
    if let Some(name) = UNSUPPORTED.into_iter().find(|name| headers.contains_key(*name)) {
        let message = format!("`{name}` is not supported: an endpoint has one model");
        return Err(Problem::invalid(name, message).hint("leave it out"));
    }
    header(headers, &TARGET_VARIANT)?
        .map_or(Ok(Version::Any), |variant| version_number(variant).map(Version::Number))
}
