//! How this surface says no, and TensorFlow Serving's too: `{"error": "…"}`, with the statuses that all surfaces share.

use actix_web::{HttpResponse, ResponseError, body::BoxBody, http::StatusCode};
use domain::Problem;
use rest::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    http::refusals::{not_predicted, not_shown},
    refusal::text,
};

/// A refusal's body.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ErrorBody {
    /// What is wrong, where, and what to do about it.
    #[schema(examples(
        "there is no endpoint `fraud` — `bottega endpoints list` shows those that there are"
    ))]
    error: String,
}

not_predicted!(ErrorBody);
not_shown!(ErrorBody);

/// A [`Problem`] in this surface's shape.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(in crate::http) struct V2Error(Problem);

impl<P: Into<Problem>> From<P> for V2Error {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl ResponseError for V2Error {
    fn status_code(&self) -> StatusCode {
        rest::status(self.0.code)
    }

    fn error_response(&self) -> HttpResponse {
        refusal(self.0.clone())
    }
}

/// The answer to a refused request on this surface.
pub(in crate::http) fn refusal(problem: Problem) -> HttpResponse {
    let body = ErrorBody { error: text(&problem) };
    // Status and headers are the same on every surface.
    let answer = ApiError(problem).error_response();
    let body = serde_json::to_string(&body).unwrap_or_default();
    answer.set_body(BoxBody::new(body))
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use domain::ErrorCode;

    use super::*;

    #[actix_web::test]
    async fn a_refusal_is_one_text_with_place_and_hint() {
        for (problem, status, error) in [
            (Problem::not_found("endpoint", "x"), 404, "there is no endpoint `x`"),
            (
                Problem::invalid("inputs[0].data[3]", "no number").hint("send numbers"),
                400,
                "inputs[0].data[3]: no number — send numbers",
            ),
            (Problem::invalid("x", "`x` has shape [1]"), 400, "`x` has shape [1]"),
            (Problem::new(ErrorCode::Unavailable, "away"), 503, "away"),
        ] {
            let answer = refusal(problem);
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/json");
            let body = to_bytes(answer.into_body()).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body, serde_json::json!({ "error": error }));
        }
    }
}
