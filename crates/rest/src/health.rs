//! The answer to a probe.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Every check passed.
    Ok,
    /// At least one did not.
    Failing,
}

/// How the service is: 200 when every check passes, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// All checks taken together.
    pub status: HealthStatus,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was looked at: `database`, `artifacts`.
    #[schema(examples("database"))]
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What was found. Never a secret, an address or a path of the server.
    #[schema(examples("answers"))]
    pub detail: String,
    /// What to do about it, if it is not well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// A check that passed.
    pub fn passed(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), ok: true, detail: detail.into(), hint: None }
    }

    /// A check that failed, with what to do about it.
    pub fn failed(
        name: impl Into<String>,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { name: name.into(), ok: false, detail: detail.into(), hint: Some(hint.into()) }
    }
}

impl Health {
    /// All is well if every check passed.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        let ok = checks.iter().all(|check| check.ok);
        Self { status: if ok { HealthStatus::Ok } else { HealthStatus::Failing }, checks }
    }
}

impl Responder for Health {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = match self.status {
            HealthStatus::Ok => StatusCode::OK,
            HealthStatus::Failing => StatusCode::SERVICE_UNAVAILABLE,
        };
        HttpResponse::build(status).json(self)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn one_failing_check_makes_the_whole_failing() {
        let request = TestRequest::default().to_http_request();
        let database = Check::passed("database", "answers");
        let artifacts = Check::failed("artifacts", "does not answer", "is the disk full?");
        let healthy = Health::of(vec![database.clone()]).respond_to(&request);
        assert_eq!(healthy.status(), StatusCode::OK);
        let failing = Health::of(vec![database, artifacts]);
        assert_eq!(
            serde_json::to_value(&failing).unwrap(),
            serde_json::json!({"status": "failing", "checks": [
                {"name": "database", "ok": true, "detail": "answers"},
                {"name": "artifacts", "ok": false, "detail": "does not answer",
                 "hint": "is the disk full?"},
            ]})
        );
        assert_eq!(failing.respond_to(&request).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
