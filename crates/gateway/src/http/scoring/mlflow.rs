//! `/serve/{endpoint}/…`: MLflow's scoring server, one for each endpoint.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    get,
    http::{StatusCode, header::ContentType},
    post,
    web::{Data, Path, Payload},
};
use auth::{Caller, verbs};
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
    admission::admit,
    http::{
        answer::{Exchange, send},
        refusals::{not_predicted, not_shown},
    },
    predict::{self, Version},
    refusal::text,
};

/// The MLflow that this surface is held to.
const VERSION: &str = "3.17.2";

/// A refusal's body, as MLflow's clients read it.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ErrorBody {
    /// The kind of refusal.
    #[schema(examples("BAD_REQUEST"))]
    error_code: &'static str,
    /// What is wrong, where, and what to do about it.
    #[schema(examples("inputs[0][1]: invalid type: string \"x\", expected FP32"))]
    message: String,
}

not_predicted!(ErrorBody);
not_shown!(ErrorBody);

/// A [`Problem`] in this surface's shape.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct ScoringError(Problem);

impl<P: Into<Problem>> From<P> for ScoringError {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl ResponseError for ScoringError {
    fn status_code(&self) -> StatusCode {
        rest::status(self.0.code)
    }

    fn error_response(&self) -> HttpResponse {
        refusal(self.0.clone())
    }
}

/// The answer to a refused request on this surface.
pub(in crate::http) fn refusal(problem: Problem) -> HttpResponse {
    let error_code = match problem.code {
        ErrorCode::Unauthenticated => "UNAUTHENTICATED",
        ErrorCode::Forbidden | ErrorCode::QuotaExceeded => "PERMISSION_DENIED",
        ErrorCode::NotFound => "RESOURCE_DOES_NOT_EXIST",
        ErrorCode::RateLimited => "REQUEST_LIMIT_EXCEEDED",
        ErrorCode::Unavailable => "TEMPORARILY_UNAVAILABLE",
        ErrorCode::Internal | ErrorCode::ModelFailed => "INTERNAL_ERROR",
        ErrorCode::Timeout => "DEADLINE_EXCEEDED",
        ErrorCode::Invalid | ErrorCode::TooLarge | ErrorCode::Conflict | ErrorCode::GateRefused => {
            "BAD_REQUEST"
        }
    };
    let body = ErrorBody { error_code, message: text(&problem) };
    let answer = ApiError(problem).error_response();
    answer.set_body(BoxBody::new(serde_json::to_string(&body).unwrap_or_default()))
}

/// Predict, as MLflow's scoring server does.
///
/// The body is JSON with one of `inputs`, `instances`, `dataframe_split` and `dataframe_records`, or
/// CSV with a header, or Parquet (`application/vnd.apache.parquet`). Data frames are answered by a list of objects, the others by an object of
/// tensors. Which version answered is in the headers, as for V2.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("invoke:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    request_body(content = Object, description = "Rows or tensors", example = json!({
        "dataframe_split": {"columns": ["age", "income"], "data": [[31.0, 2400.0]]},
    })),
    responses(
        (status = 200, description = "The outputs", body = Object, example = json!({"predictions": [{"label": 0}]})),
        (status = 415, description = "The body is neither JSON, CSV nor Parquet", body = String, content_type = "text/plain"),
        NotPredicted,
    ),
)]
#[post("/serve/{endpoint}/invocations")]
pub(super) async fn invocations(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, ScoringError> {
    let format = match format(request.headers()) {
        Ok(format) => format,
        Err(found) => {
            let body = format!("expected a content type of {}, not `{found}`", Format::NAMES);
            return Ok(HttpResponse::UnsupportedMediaType()
                .insert_header(ContentType::plaintext())
                .body(body));
        }
    };
    check_accept(request.headers())?;
    let endpoint = path.into_inner();
    let limit = unpacked_limit(format, &state, &endpoint);
    let exchange = Exchange {
        request: &request,
        payload,
        caller: &caller,
        state: &state,
        endpoint,
        version: Version::Any,
        protocol: Protocol::MlFlow,
        example: rows_example,
    };
    let decode = |body: &[u8], signature: &Signature| read(format, body, signature, limit);
    let (response, body, _) = exchange.answer(decode, encode).await?;
    Ok(send(&request, response, body).await?)
}

/// Tell whether an endpoint answers: 404 until it does, as MLflow's server has it.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "It does: an empty line", body = String, content_type = "application/json"),
        NotShown,
    ),
)]
#[get("/serve/{endpoint}/ping")]
pub(super) async fn ping(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, ScoringError> {
    ready(&state, &caller, path.into_inner())
}

/// Tell whether an endpoint answers, by the other name.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "It does: an empty line", body = String, content_type = "application/json"),
        NotShown,
    ),
)]
#[get("/serve/{endpoint}/health")]
pub(super) async fn health(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, ScoringError> {
    ready(&state, &caller, path.into_inner())
}

fn ready(state: &State, caller: &Caller, endpoint: String) -> Result<HttpResponse, ScoringError> {
    let permit = admit::<verbs::View>(state, caller, endpoint)?;
    match predict::ready(state, &permit, None) {
        Ok(()) => Ok(HttpResponse::Ok().insert_header(ContentType::json()).body("\n")),
        // As MLflow's server answers until it has loaded the model.
        Err(Problem { message, hint, .. }) => {
            let problem = Problem::new(ErrorCode::NotFound, message);
            Err(match hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
            .into())
        }
    }
}

/// Tell which MLflow this surface is held to.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "MLflow's version", body = String, content_type = "application/json"),
        NotShown,
    ),
)]
#[get("/serve/{endpoint}/version")]
pub(super) async fn version(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, ScoringError> {
    let permit = admit::<verbs::View>(&state, &caller, path.into_inner())?;
    crate::predict::route(&state, permit.resource().name())?;
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).body(VERSION))
}
