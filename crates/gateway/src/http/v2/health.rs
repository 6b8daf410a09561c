//! `GET /v2/health/live`, `GET /v2/health/ready`, `GET /v2/models/{endpoint}/ready` and
//! `…/versions/{version}/ready`

use actix_web::{
    HttpResponse, get,
    web::{Data, Path},
};
use auth::{Caller, verbs};
use serde_json::json;

use super::error::{NotShown, V2Error};
use crate::{
    State,
    admission::admit,
    predict::{self, version_number},
};

/// Ask whether the process runs.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("none because probes carry no token"))),
    responses((status = 200, description = "It does", body = Object, example = json!({"live": true}))),
    security(()),
)]
#[get("/v2/health/live")]
pub(super) async fn server_live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

/// Ask whether this server may be sent traffic: all that is live has been loaded.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("none because probes carry no token"))),
    responses(
        (status = 200, description = "It may", body = Object, example = json!({"ready": true})),
        (status = 503, description = "Not yet, or not any more", body = Object, example = json!({"ready": false})),
    ),
    security(()),
)]
#[get("/v2/health/ready")]
pub(super) async fn server_ready(state: Data<State>) -> HttpResponse {
    let ready = state.is_ready();
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(json!({ "ready": ready }))
}

/// Ask whether an endpoint answers.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    responses(
        (status = 200, description = "It does", body = Object, example = json!({"name": "fraud", "ready": true})),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}/ready")]
pub(super) async fn model_ready(
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, V2Error> {
    show(&caller, &state, path.into_inner(), None)
}

/// Ask whether a version of the present release answers.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(
        ("endpoint" = String, Path, description = "The endpoint's name", example = "fraud"),
        ("version" = i32, Path, description = "A version of the present release", example = 3),
    ),
    responses(
        (status = 200, description = "It does", body = Object, example = json!({"name": "fraud", "ready": true})),
        NotShown,
    ),
)]
#[get("/v2/models/{endpoint}/versions/{version}/ready")]
pub(super) async fn model_version_ready(
    caller: Caller,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, V2Error> {
    let (endpoint, version) = path.into_inner();
    show(&caller, &state, endpoint, Some(version_number(&version)?))
}

fn show(
    caller: &Caller,
    state: &State,
    endpoint: String,
    version: Option<i32>,
) -> Result<HttpResponse, V2Error> {
    let permit = admit::<verbs::View>(state, caller, endpoint)?;
    predict::ready(state, &permit, version)?;
    Ok(HttpResponse::Ok().json(json!({ "name": permit.resource().name(), "ready": true })))
}
