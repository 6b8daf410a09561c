//! What MLflow has and this server has not: refused with a sentence, never with a page of HTML.

use actix_web::{HttpRequest, HttpResponse, ResponseError as _};

use crate::refusal::{Code, Refusal};

/// The first words of paths behind `/api/…/mlflow/`, and what they would be.
const PARTS: &[(&str, &str)] = &[
    ("traces", TRACES),
    ("unified-traces", TRACES),
    ("get-trace-artifact", TRACES),
    ("get-online-trace-details", TRACES),
    ("datasets", "evaluation datasets of GenAI"),
    ("gateway", GATEWAY),
    ("gateway-proxy", GATEWAY),
    ("scorers", SCORERS),
    ("scorer", SCORERS),
    ("genai", SCORERS),
    ("issues", "issue detection"),
    ("label-schemas", "label schemas"),
    ("review-queues", "review queues"),
    ("prompt-optimization", "prompt optimization"),
    ("jobs", "background jobs of GenAI"),
    ("demo", "demo data"),
    ("ui-telemetry", "telemetry"),
    ("assistant", "the assistant"),
    ("users/create-ui", "signing up on a page"),
    ("workspaces", "workspaces"),
    ("runs/create-promptlab-run", "the prompt lab"),
    ("artifacts/presigned-upload-url", "presigned uploads outside the artifact proxy"),
    ("artifacts/presigned-download-url", "presigned downloads outside the artifact proxy"),
];
const TRACES: &str = "traces of GenAI applications";
const GATEWAY: &str = "the AI gateway";
const SCORERS: &str = "scorers of GenAI";

/// Answers a path of MLflow's that no handler takes: 501 for a part that is not here, else 404.
pub async fn answer(request: HttpRequest) -> HttpResponse {
    refusal(request.path()).error_response()
}

fn refusal(path: &str) -> Refusal {
    let shown: String = path.chars().take(200).collect();
    match part(path) {
        Some(what) => Refusal::new(
            Code::NotImplemented,
            format!(
                "Bottega does not serve {what} (`{shown}`); docs/mlflow.md lists what it serves"
            ),
        ),
        None => Refusal::new(
            Code::EndpointNotFound,
            format!("MLflow {} has no such path or method: `{shown}`", crate::VERSION),
        ),
    }
}

fn part(path: &str) -> Option<&'static str> {
    if path == "/graphql" {
        return Some("GraphQL, which MLflow's own pages ask by");
    }
    let (_, rest) = path.split_once("/mlflow/")?;
    let begins = |part: &str| {
        rest.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    PARTS.iter().find(|(part, _)| begins(part)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_here_is_told_from_a_path_that_never_was() {
        for path in [
            "/api/3.0/mlflow/traces",
            "/api/2.0/mlflow/traces/tr-1/info",
            "/ajax-api/3.0/mlflow/gateway/endpoints/list",
            "/api/2.0/mlflow/scorers/permissions/create",
            "/graphql",
        ] {
            let refusal = refusal(path);
            assert_eq!(refusal.code, Code::NotImplemented, "{path}");
            assert!(refusal.message.contains(path));
        }
        for path in ["/api/2.0/mlflow/runs/explode", "/api/2.0/mlflow/tracesx", "/ajax-api/x"] {
            assert_eq!(refusal(path).code, Code::EndpointNotFound, "{path}");
        }
    }
}
