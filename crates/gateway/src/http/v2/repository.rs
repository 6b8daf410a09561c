//! `POST /v2/repository/index` and `POST /v2/repository/models/{endpoint}/load`, `…/unload`

use actix_web::{
    HttpRequest, HttpResponse, post,
    web::{Data, Path, Payload},
};
use auth::{Caller, verbs};
use domain::{ErrorCode, Problem};
use protocol::v2::repository::{ControlRequest, IndexRequest, ModelIndex};
use rest::Json;
use serde::de::DeserializeOwned;

use super::error::{ErrorBody, NotShown, V2Error};
use crate::{State, admission::admit, http::body, repository};

/// List the endpoints, each in the versions of its release, and how far they are on this node.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("each view:endpoint"))),
    request_body(content = Option<Object>, description = "`ready`: only those that answer", example = json!({"ready": true})),
    responses(
        (status = 200, description = "The endpoints that the caller may see", body = Object, example = json!([
            {"name": "fraud", "version": "3", "state": "READY", "reason": ""},
        ])),
        (status = 400, description = "The body is no such request", body = ErrorBody),
        (status = 401, description = "No token that we know", body = ErrorBody),
    ),
)]
#[post("/v2/repository/index")]
pub(super) async fn index(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
) -> Result<Json<Vec<ModelIndex>>, V2Error> {
    let asked: IndexRequest = read(&request, payload, &state).await?;
    Ok(Json(repository::index(&state, &caller, &asked)?))
}

/// Ask that an endpoint be loaded: answers whether it is.
///
/// What nodes load follows from releases; who may deploy may ask.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("deploy:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    request_body(content = Option<Object>, description = "No parameters: a version never changes", example = json!({})),
    responses(
        (status = 200, description = "It is loaded", body = Object, example = json!({})),
        (status = 400, description = "A parameter that would change what is loaded", body = ErrorBody),
        (status = 403, description = "The caller may not deploy to it", body = ErrorBody),
        NotShown,
    ),
)]
#[post("/v2/repository/models/{endpoint}/load")]
pub(super) async fn load(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, V2Error> {
    let permit = admit::<verbs::Deploy>(&state, &caller, path.into_inner())?;
    let asked: ControlRequest = read(&request, payload, &state).await?;
    repository::load(&state, &permit, &asked).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({})))
}

/// Unload an endpoint that is loaded on demand, until somebody asks for it; another one is not its
/// clients' to unload.
#[utoipa::path(
    tag = "prediction",
    extensions(("x-bottega-action" = json!("deploy:endpoint"))),
    params(("endpoint" = String, Path, description = "The endpoint's name", example = "fraud")),
    request_body(content = Option<Object>, description = "What Triton's clients send", example = json!({"parameters": {"unload_dependents": false}})),
    responses(
        (status = 200, description = "It is let go", body = Object),
        (status = 400, description = "A parameter that is not known", body = ErrorBody),
        (status = 403, description = "The caller may not deploy to it", body = ErrorBody),
        (status = 409, description = "It is not loaded on demand", body = ErrorBody),
        NotShown,
    ),
)]
#[post("/v2/repository/models/{endpoint}/unload")]
pub(super) async fn unload(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<State>,
    path: Path<String>,
) -> Result<HttpResponse, V2Error> {
    let permit = admit::<verbs::Deploy>(&state, &caller, path.into_inner())?;
    let asked: ControlRequest = read(&request, payload, &state).await?;
    repository::unload(&state, &permit, &asked)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({})))
}

/// A body that may be left out.
async fn read<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
) -> Result<T, Problem> {
    let body = body::read(request, payload, state.given.settings.body_limit).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body)
        .map_err(|error| Problem::new(ErrorCode::Invalid, format!("the body: {error}")))
}
