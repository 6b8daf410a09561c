//! `GET /v2/models/stats`, `GET /v2/models/{endpoint}/stats` and `…/versions/{version}/stats`

use actix_web::{
    get,
    web::{Data, Path},
};
use auth::{Caller, verbs};
use protocol::v2::statistics::StatisticsAnswer;
use rest::Json;

use super::error::{ErrorBody, NotShown, V2Error};
use crate::{State, admission::admit, predict::version_number, repository};

/// Show what this node has done with each endpoint.
///
/// Counts and times are those of this node, since it began to serve the version for the endpoint;
/// runs of more than 128 rows are counted under the next power of two.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("each view:endpoint"))),
    responses(
        (status = 200, description = "The endpoints that the caller may see, each version", body = Object, example = json!({"model_stats": [{
            "name": "fraud", "version": "3", "last_inference": 1_764_000_000_000_u64,
            "inference_count": 12, "execution_count": 9,
            "inference_stats": {
                "success": {"count": 10, "ns": 2_000_000}, "fail": {"count": 0, "ns": 0},
                "queue": {"count": 10, "ns": 200_000}, "compute_input": {"count": 10, "ns": 100_000},
                "compute_infer": {"count": 10, "ns": 900_000}, "compute_output": {"count": 10, "ns": 100_000},
                "cache_hit": {"count": 0, "ns": 0}, "cache_miss": {"count": 0, "ns": 0},
            },
            "batch_stats": [{
                "batch_size": 1, "compute_input": {"count": 9, "ns": 0},
                "compute_infer": {"count": 9, "ns": 800_000}, "compute_output": {"count": 9, "ns": 0},
            }],
        }]})),
        (status = 401, description = "No token that we know", body = ErrorBody),
    ),
)]
#[get("/v2/models/stats")]
pub(super) async fn all(
    caller: Caller,
    state: Data<State>,
) -> Result<Json<StatisticsAnswer>, V2Error> {
    Ok(Json(repository::all_statistics(&state, &caller)?))
}

/// Show what this node has done with an endpoint.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "Each version of the present release", body = Object),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}/stats")]
pub(super) async fn model(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<Json<StatisticsAnswer>, V2Error> {
    show(&caller, &state, path.into_inner(), None)
}

/// Show what this node has done with one version of the present release.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    responses(
        (status = 200, description = "That version", body = Object),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}/versions/{version}/stats")]
pub(super) async fn model_version(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<Json<StatisticsAnswer>, V2Error> {
    let (endpoint, version) = path.into_inner();
    show(&caller, &state, endpoint, Some(version_number(&version)?))
}

fn show(
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Option<i32>,
) -> Result<Json<StatisticsAnswer>, V2Error> {
    let permit = admit::<verbs::View>(state, caller, endpoint)?;
    Ok(Json(repository::statistics(state, &permit, version)?))
}
