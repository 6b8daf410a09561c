//! The error body, and the one table of codes and statuses.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use domain::{
    ErrorCode, Problem, Signature, contract,
    promotion::Outcome,
    quota::{Pace, Spent},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::request_id;

/// What a refusal looks like on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// The kind of refusal, for programs.
    #[schema(schema_with = codes)]
    pub code: ErrorCode,
    /// What is wrong and what was expected, for people.
    #[schema(examples("`3`: expected a text"))]
    pub message: String,
    /// The field, parameter, tensor or file that is wrong, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("tags.team"))]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What each promotion rule found, where they refuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(inline)]
    pub rules: Vec<RuleOutcome>,
    /// How a version does not fit an endpoint's contract, where that refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub contract: Option<Box<Misfit>>,
    /// The quota that refuses, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub quota: Option<Box<SpentQuota>>,
    /// Finds the request in the log; the answer's `x-request-id` says the same.
    #[schema(examples("0199f0a25f0c7d2f9d2f4ad1a3a0b7c1"))]
    pub request_id: String,
}

/// What a promotion rule found of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleOutcome {
    /// The rule, as its author wrote it.
    #[schema(examples("accuracy >= 0.9"))]
    pub rule: String,
    /// The version's value; null where it has none.
    #[schema(required, examples("0.87"))]
    pub value: Option<String>,
    /// What it had to be.
    #[schema(examples(">= 0.9"))]
    pub required: String,
    /// Whether it is.
    pub ok: bool,
}

impl From<Outcome> for RuleOutcome {
    fn from(Outcome { rule, value, required, ok }: Outcome) -> Self {
        Self { rule, value, required, ok }
    }
}

/// A version beside the contract that it does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Misfit {
    /// The contract.
    #[schema(inline)]
    pub expected: Expected,
    /// The version.
    #[schema(inline)]
    pub got: Got,
    /// Both, side by side: what fits as well.
    #[schema(inline)]
    pub lines: Vec<MisfitLine>,
}

/// What an endpoint expects of each version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Expected {
    /// The models whose versions it serves; empty: any.
    #[schema(examples(json!(["sentiment"])))]
    pub models: Vec<String>,
    /// What goes in and comes out.
    #[schema(value_type = Object)]
    pub signature: Signature,
}

/// The version that was to be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Got {
    /// Its model.
    #[schema(examples("language"))]
    pub model: String,
    /// Its number.
    #[schema(examples(4))]
    pub version: i32,
    /// What goes in and comes out; null where nobody knows.
    #[schema(required, value_type = Option<Object>)]
    pub signature: Option<Signature>,
}

/// One thing as the contract has it and as the version has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MisfitLine {
    /// `model`, or the input, output or size that it is about.
    #[schema(examples("output `probabilities`"))]
    pub what: String,
    /// In the contract.
    #[schema(required, examples("FP32 [n, 2]"))]
    pub expected: Option<String>,
    /// In the version.
    #[schema(required, examples("FP32 [n, 3]"))]
    pub got: Option<String>,
    /// Whether they fit.
    pub ok: bool,
}

impl From<contract::Mismatch> for Misfit {
    fn from(mismatch: contract::Mismatch) -> Self {
        let contract::Mismatch { expected, got, lines } = mismatch;
        let line =
            |contract::Line { what, expected, got, ok }| MisfitLine { what, expected, got, ok };
        Self {
            expected: Expected { models: expected.models, signature: expected.signature },
            got: Got { model: got.model, version: got.version, signature: got.signature },
            lines: lines.into_iter().map(line).collect(),
        }
    }
}

/// A quota that has no more to give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpentQuota {
    /// Whose it is.
    #[schema(examples("team:fraud"))]
    pub subject: String,
    /// Which it is.
    #[schema(examples("predictions_per_month"))]
    pub name: String,
    /// How much it allows.
    #[schema(examples(100_000))]
    pub limit: u64,
    /// How much of that is used.
    #[schema(examples(100_000))]
    pub used: u64,
    /// When the count begins anew; null for what counts as long as it is there.
    #[schema(required, examples("2026-12-01T00:00:00Z"))]
    pub resets_at: Option<String>,
    /// For a rate: in how many seconds to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl From<Spent> for SpentQuota {
    fn from(Spent { subject, quota, limit, used, resets_at, pace }: Spent) -> Self {
        let resets_at = resets_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        let retry_after = pace.map(Pace::seconds);
        Self { subject, name: quota.to_string(), limit, used, resets_at, retry_after }
    }
}

/// The headers of a refusal by a quota, whatever the surface: which one it is, and for a rate, how
/// fast a subject may be and when to try again: `Retry-After`, and those of the IETF's draft on
/// rate limits in both of its forms.
#[must_use]
pub fn quota_headers(spent: &Spent) -> Vec<(header::HeaderName, String)> {
    let name = header::HeaderName::from_static;
    let quota = (name("x-bottega-quota"), spent.quota.to_string());
    let Some(pace) = spent.pace else { return vec![quota] };
    let (limit, seconds) = (spent.limit, pace.seconds());
    vec![
        quota,
        (header::RETRY_AFTER, seconds.to_string()),
        (name("ratelimit-limit"), limit.to_string()),
        (name("ratelimit-remaining"), "0".to_owned()),
        (name("ratelimit-reset"), seconds.to_string()),
        (name("ratelimit-policy"), format!("\"requests\";q={limit};w=1;burst={}", pace.burst)),
        (name("ratelimit"), format!("\"requests\";r=0;t={seconds}")),
    ]
}

fn codes() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(ErrorCode::ALL.iter().map(|code| code.as_str())))
        .build()
}

impl ErrorBody {
    /// The body for a problem.
    pub fn new(problem: &Problem, request_id: impl Into<String>) -> Self {
        let contract = problem.contract().cloned().map(|mismatch| Box::new(mismatch.into()));
        let quota = problem.spent().cloned().map(|spent| Box::new(spent.into()));
        let Problem { code, message, field, hint, rules, .. } = problem.clone();
        let rules = rules.into_iter().map(Into::into).collect();
        let request_id = request_id.into();
        let error = ErrorDetail { code, message, field, hint, rules, contract, quota, request_id };
        Self { error }
    }
}

/// The HTTP status of each code: the one table.
///
/// Two refusals of the HTTP layer itself have a status of their own; see [`crate::fallback`].
#[must_use]
pub const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::GateRefused | ErrorCode::QuotaExceeded => {
            StatusCode::FORBIDDEN
        }
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::Invalid => StatusCode::BAD_REQUEST,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::ModelFailed => StatusCode::BAD_GATEWAY,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The header that an answer with this code needs besides its body.
///
/// The challenge names Bearer although Basic works as well: a browser that is offered Basic shows
/// its own login window over the dashboard. MLflow's surface offers Basic, as MLflow does.
pub(crate) const fn header_of(code: ErrorCode) -> Option<(header::HeaderName, &'static str)> {
    match code {
        ErrorCode::Unauthenticated => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"bottega\"")),
        ErrorCode::RateLimited | ErrorCode::Unavailable => Some((header::RETRY_AFTER, "1")),
        ErrorCode::Forbidden
        | ErrorCode::GateRefused
        | ErrorCode::QuotaExceeded
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::Invalid
        | ErrorCode::TooLarge
        | ErrorCode::Timeout
        | ErrorCode::ModelFailed
        | ErrorCode::Internal => None,
    }
}

/// A [`Problem`] as the answer to a request.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ApiError(pub Problem);

impl<P: Into<Problem>> From<P> for ApiError {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        status(self.0.code)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(header) = header_of(self.0.code) {
            response.insert_header(header);
        }
        if let Some(seconds) = self.0.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.get()));
        }
        let mut response = response.json(ErrorBody::new(&self.0, request_id().as_str()));
        if let Some(spent) = self.0.spent() {
            tell_spent(&mut response, spent);
        }
        response
    }
}

/// Says in headers which quota refused, whatever the surface; the guard finds it in the extensions.
pub fn tell_spent(response: &mut HttpResponse, spent: &Spent) {
    for (name, value) in quota_headers(spent) {
        // They are visible ASCII, which every header takes.
        if let Ok(value) = header::HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response.extensions_mut().insert(spent.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_status_and_headers() {
        let table: Vec<_> = ErrorCode::ALL
            .iter()
            .map(|&code| {
                let answer = ApiError(Problem::new(code, "no")).error_response();
                let header = |name| answer.headers().get(name).map(|it| it.to_str().unwrap());
                let (challenge, retry) =
                    (header(header::WWW_AUTHENTICATE), header(header::RETRY_AFTER));
                (code.as_str(), answer.status().as_u16(), challenge.or(retry).map(str::to_owned))
            })
            .collect();
        let expected = [
            ("unauthenticated", 401, Some("Bearer realm=\"bottega\"")),
            ("forbidden", 403, None),
            ("not_found", 404, None),
            ("conflict", 409, None),
            ("invalid", 400, None),
            ("too_large", 413, None),
            ("gate_refused", 403, None),
            ("quota_exceeded", 403, None),
            ("rate_limited", 429, Some("1")),
            ("unavailable", 503, Some("1")),
            ("timeout", 504, None),
            ("model_failed", 502, None),
            ("internal", 500, None),
        ];
        let expected =
            expected.map(|(code, status, header)| (code, status, header.map(str::to_owned)));
        assert_eq!(table, expected);
    }

    #[test]
    fn what_there_is_not_is_left_out_of_the_body() {
        let body = |problem: &Problem| serde_json::to_value(ErrorBody::new(problem, "r1")).unwrap();
        assert_eq!(
            body(&Problem::not_found("model", "fraud")),
            serde_json::json!({"error": {
                "code": "not_found", "message": "there is no model `fraud`", "request_id": "r1",
            }})
        );
        assert_eq!(
            body(&Problem::invalid("limit", "too many").hint("ask for fewer")),
            serde_json::json!({"error": {
                "code": "invalid", "message": "too many", "field": "limit",
                "hint": "ask for fewer", "request_id": "r1",
            }})
        );
    }
}
