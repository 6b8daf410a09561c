//! `/import/sources/{source}/{owner}/{id}/files`: the files of runs and logged models.

use std::collections::BTreeMap;

use actix_web::{get, put, web::Data};
use auth::{Access, Caller};
use domain::{Digest, FileEntry, FilePath, ImportKind, ImportSourceId, Resource};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use tracking::{State, import};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::Done;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list_files).service(put_files);
}

/// Whose files.
#[derive(Deserialize, Clone, Copy)]
enum Owner {
    #[serde(rename = "runs")]
    Runs,
    #[serde(rename = "logged-models")]
    LoggedModels,
}

impl Owner {
    const fn kind(self) -> ImportKind {
        match self {
            Self::Runs => ImportKind::Run,
            Self::LoggedModels => ImportKind::LoggedModel,
        }
    }
}

/// The folder of a run or a logged model.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct FolderPath {
    /// The source's id.
    #[param(value_type = String, format = Uuid)]
    source: ImportSourceId,
    /// `runs` or `logged-models`.
    #[param(value_type = String, example = "runs")]
    owner: Owner,
    /// The id at the source.
    #[param(example = "0123456789abcdef0123456789abcdef")]
    id: String,
}

/// A file, by its path in the folder.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "path": "plots/roc.png", "size": 3,
    "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
}))]
struct FileBody {
    #[schema(value_type = String)]
    path: FilePath,
    #[schema(value_type = String)]
    digest: Digest,
    size: u64,
}

/// Files of one folder.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"files": []}))]
struct FilesBody {
    files: Vec<FileBody>,
}

/// List all files of a run or a logged model that was carried.
#[utoipa::path(
    tag = "import",
    operation_id = "list_imported_files",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(FolderPath),
    responses((status = 200, description = "The files", body = FilesBody), openapi::Reads),
)]
#[get("/sources/{source}/{owner}/{id}/files")]
async fn list_files(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(FolderPath { source, owner, id }): Path<FolderPath>,
) -> Result<Json<FilesBody>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let found = import::files(&state, &permit, source, owner.kind(), &id).await?;
    let files = found.into_iter().map(|(path, entry)| FileBody {
        path,
        digest: entry.digest,
        size: entry.size,
    });
    Ok(Json(FilesBody { files: files.collect() }))
}

/// Put files into the folder of a run or a logged model. Their bytes were uploaded before, by
/// `PUT /blobs/{digest}`.
#[utoipa::path(
    tag = "import",
    operation_id = "import_files",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(FolderPath),
    responses((status = 200, description = "They are there", body = Done), openapi::Writes),
)]
#[put("/sources/{source}/{owner}/{id}/files")]
async fn put_files(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(FolderPath { source, owner, id }): Path<FolderPath>,
    Json(FilesBody { files }): Json<FilesBody>,
) -> Result<Json<Done>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let files: BTreeMap<FilePath, FileEntry> = files
        .into_iter()
        .map(|file| (file.path, FileEntry { digest: file.digest, size: file.size }))
        .collect();
    import::put_files(&state, &permit, source, owner.kind(), &id, &files).await?;
    Ok(Json(Done { done: files.len() }))
}
