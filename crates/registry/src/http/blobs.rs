//! `/blobs`

use actix_web::{
    HttpRequest, HttpResponse, body::SizedStream, head, post, put, web::Data, web::Payload,
};
use auth::{Access, Caller};
use bytes::Bytes;
use domain::{Digest, Manifest, Problem, access::Kind};
use futures_util::stream;
use rest::{ApiError, Json, Path, body, openapi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::path::BlobPath;
use crate::{State, blobs};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(exists).service(missing).service(upload);
}

/// Is a blob here?
#[utoipa::path(
    tag = "blobs",
    extensions(("x-bottega-action" = json!("register:model"))),
    params(BlobPath),
    responses((status = 200, description = "It is; `content-length` says how long it is"), openapi::Reads),
)]
#[head("/blobs/{digest}")]
pub async fn exists(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(BlobPath { digest }): Path<BlobPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize_new(&caller, Kind::Model, None)?;
    let size = blobs::size(&state, &permit, &digest).await?;
    // The length is that of the body which a GET would have; HEAD sends none.
    let body = SizedStream::new(size, stream::empty::<Result<Bytes, Problem>>());
    Ok(HttpResponse::Ok().content_type("application/octet-stream").body(body))
}

/// Blobs that a caller is about to name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "digests": ["sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
}))]
pub struct Digests {
    /// At most 10,000.
    #[schema(value_type = Vec<String>)]
    digests: Vec<Digest>,
}

/// Those that are not here.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "missing": ["sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
}))]
pub struct Missing {
    #[schema(value_type = Vec<String>)]
    missing: Vec<Digest>,
}

/// Which of these blobs must be uploaded? The others are kept for a while, so that a version can
/// name them.
#[utoipa::path(
    tag = "blobs",
    extensions(("x-bottega-action" = json!("register:model"))),
    responses((status = 200, description = "Those that are not here", body = Missing), openapi::Writes),
)]
#[post("/blobs/missing")]
pub async fn missing(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Json(Digests { digests }): Json<Digests>,
) -> Result<Json<Missing>, ApiError> {
    let permit = access.authorize_new(&caller, Kind::Model, None)?;
    if digests.len() > Manifest::MAX_FILES {
        let message =
            format!("{} digests: expected at most {}", digests.len(), Manifest::MAX_FILES);
        return Err(Problem::invalid("digests", message).into());
    }
    Ok(Json(Missing { missing: blobs::missing(&state, &permit, &digests).await? }))
}

/// A blob that is here now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "size": 3,
}))]
pub struct Blob {
    #[schema(value_type = String)]
    digest: Digest,
    size: u64,
}

/// Upload a blob. Its bytes are verified while they stream; what has another digest is not kept.
#[utoipa::path(
    tag = "blobs",
    extensions(("x-bottega-action" = json!("register:model"))),
    params(BlobPath),
    request_body(content_type = "application/octet-stream", description = "The bytes"),
    responses(
        (status = 201, description = "It is here now", body = Blob),
        (status = 200, description = "It was here before", body = Blob),
        openapi::Writes,
    ),
)]
#[put("/blobs/{digest}")]
pub async fn upload(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(BlobPath { digest }): Path<BlobPath>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize_new(&caller, Kind::Model, None)?;
    let (length, body) = (body::length(&request), body::stream(payload));
    let stored = blobs::upload(&state, &permit, digest, length, body).await?;
    let mut answer = if stored.existed { HttpResponse::Ok() } else { HttpResponse::Created() };
    Ok(answer.json(Blob { digest: stored.digest, size: stored.size }))
}
