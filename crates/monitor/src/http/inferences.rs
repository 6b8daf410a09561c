//! `/inferences/{inference}`

use actix_web::{get, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{EndpointRef, ErrorCode};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::resource;
use crate::{State, inferences};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(show);
}

/// An inference.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct InferencePath {
    /// What the answer's `x-bottega-inference-id` said.
    #[param(example = "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1")]
    inference: String,
}

/// The version that answered, and what it was made of.
#[derive(Serialize, ToSchema)]
struct AnsweredBy {
    model: String,
    version: i32,
    digest: String,
    registered_by: String,
    registered_at: DateTime<Utc>,
    /// The run that trained it.
    #[schema(required)]
    run_id: Option<String>,
    /// The digest of what it was trained on.
    #[schema(required)]
    dataset_digest: Option<String>,
    #[schema(required)]
    git_commit: Option<String>,
    #[schema(required)]
    source_url: Option<String>,
}

/// How the version came to answer.
#[derive(Serialize, ToSchema)]
struct ReleasedBy {
    release: i32,
    /// Who made the release: by a deploy, or by moving the alias or stage that the endpoint follows.
    created_by: String,
    created_at: DateTime<Utc>,
    #[schema(required)]
    reason: Option<String>,
    /// The request that asked for it, as the audit trail has it.
    request_id: String,
}

/// What answered an inference.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "inference_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "endpoint": "fraud", "at": "2026-01-02T03:04:05.123456Z",
    "caller": "service:shop", "protocol": "v2", "shadow": false, "latency_us": 412,
    "version": {
        "model": "fraud", "version": 3,
        "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "registered_by": "user:ana", "registered_at": "2026-01-01T00:00:00Z", "run_id": "4f1c", "dataset_digest": null,
        "git_commit": null, "source_url": null,
    },
    "release": {
        "release": 2, "created_by": "user:ana", "created_at": "2026-01-01T00:00:05Z", "reason": null, "request_id": "r1",
    },
}))]
struct InferenceBody {
    inference_id: String,
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    /// When it was answered.
    #[schema(value_type = String)]
    at: Value,
    /// Who asked.
    #[schema(value_type = String)]
    caller: Value,
    #[schema(value_type = String)]
    protocol: Value,
    /// Whether the caller was answered by another version, and this one only tried.
    #[schema(value_type = bool)]
    shadow: Value,
    /// Microseconds from the request to the answer.
    #[schema(value_type = i64)]
    latency_us: Value,
    /// Null where the version was deleted for good.
    #[schema(required)]
    version: Option<AnsweredBy>,
    #[schema(required)]
    release: Option<ReleasedBy>,
}

impl InferenceBody {
    fn of(inference_id: String, found: inferences::Inference) -> Self {
        let inferences::Inference { endpoint, mut row, version, release } = found;
        let mut field = |name: &str| row.remove(name).unwrap_or_default();
        Self {
            inference_id,
            endpoint,
            at: field("at"),
            caller: field("caller"),
            protocol: field("protocol"),
            shadow: field("shadow"),
            latency_us: field("latency_us"),
            version: version.map(|version| AnsweredBy {
                model: version.model.to_string(),
                version: version.number,
                digest: version.digest.to_string(),
                registered_by: version.created_by,
                registered_at: version.created_at,
                run_id: version.lineage.run_id,
                dataset_digest: version.lineage.dataset_digest,
                git_commit: version.lineage.git_commit,
                source_url: version.lineage.source_url,
            }),
            release: release.map(|release| ReleasedBy {
                release: release.number,
                created_by: release.created_by,
                created_at: release.created_at,
                reason: release.reason,
                request_id: release.request_id,
            }),
        }
    }
}

/// Tell what answered an inference: the version, the run and data that it was made of, and who
/// released it. It knows those whose rows were kept.
#[utoipa::path(
    tag = "capture",
    operation_id = "show_inference",
    extensions(("x-bottega-action" = json!("view-data:endpoint when its rows were kept"))),
    params(InferencePath),
    responses((status = 200, description = "What answered", body = InferenceBody), openapi::Reads),
)]
#[get("/inferences/{inference}")]
async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(InferencePath { inference }): Path<InferencePath>,
) -> Result<Json<InferenceBody>, ApiError> {
    let mut refusal = inferences::absent(&inference);
    for endpoint in inferences::endpoints(&state, &inference).await? {
        match access.authorize(&caller, resource(&endpoint)).await {
            Ok(permit) => {
                let found = inferences::get(&state, &permit, &endpoint, &inference).await?;
                if let Some(found) = found {
                    return Ok(Json(InferenceBody::of(inference, found)));
                }
            }
            // An endpoint that one may not see did not answer anything.
            Err(problem) if problem.code == ErrorCode::NotFound => {}
            Err(problem) => refusal = problem,
        }
    }
    Err(refusal.into())
}
