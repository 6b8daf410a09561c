//! `/models/{name}/versions/{version}/files`

use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get, web::Data};
use auth::{Access, Caller};
use domain::{Digest, FileEntry, FilePath, Manifest};
use rest::{ApiError, Content, Json, NoQuery, Path, openapi};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::path::{self, VersionFilePath, VersionPath};
use crate::{State, versions};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(download);
}

/// A file of a version.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "path": "model.onnx", "size": 48213,
    "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
}))]
pub struct VersionFile {
    path: String,
    #[schema(value_type = String)]
    digest: Digest,
    size: u64,
}

impl From<(&FilePath, &FileEntry)> for VersionFile {
    fn from((path, entry): (&FilePath, &FileEntry)) -> Self {
        Self { path: path.to_string(), digest: entry.digest, size: entry.size }
    }
}

/// All files of a version, by path, and their common digest.
#[derive(Serialize, ToSchema)]
pub struct VersionFiles {
    items: Vec<VersionFile>,
    /// The version's digest: SHA-256 over `HEX SP SIZE SP PATH LF` of each file, by path.
    #[schema(value_type = String)]
    digest: Digest,
}

impl From<Manifest> for VersionFiles {
    fn from(manifest: Manifest) -> Self {
        Self { items: manifest.files().map(Into::into).collect(), digest: manifest.digest() }
    }
}

/// List a version's files.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(VersionPath),
    responses((status = 200, description = "All files", body = VersionFiles), openapi::Reads),
)]
#[get("/models/{name}/versions/{version}/files")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    _: NoQuery,
) -> Result<Json<VersionFiles>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    Ok(Json(versions::files(&state, &permit, &name, version).await?.into()))
}

/// Download a file. It may be asked for in parts (`Range`) and only if it differs (`If-None-Match`
/// with the digest).
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(
        VersionFilePath,
        ("range" = Option<String>, Header, description = "One range of bytes", example = "bytes=0-1023"),
        ("if-none-match" = Option<String>, Header, description = "The digest that the caller has"),
        ("if-range" = Option<String>, Header, description = "The range counts for this digest only"),
    ),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "The range", content_type = "application/octet-stream"),
        (status = 304, description = "The caller has it"),
        (status = 416, description = "The range is not within the file"),
        openapi::Reads,
    ),
)]
#[get("/models/{name}/versions/{version}/files/{path:.*}")]
pub async fn download(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionFilePath { name, version, path }): Path<VersionFilePath>,
    _: NoQuery,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let file = versions::file(&state, &permit, &name, version, &path).await?;
    let content =
        Content { name: path.name(), media_type: "application/octet-stream", file: &file };
    let open = async |range| Ok(versions::open(&state, &permit, &file, range).await?.body);
    content.answer(&request, open, |problem| ApiError(problem).error_response()).await
}
