//! `/resolve`

use actix_web::{get, web::Data};
use auth::{Access, Caller};
use domain::{Digest, ModelRef};
use rest::{ApiError, Json, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::path;
use crate::{State, resolve};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(show);
}

/// What to resolve.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Reference {
    /// `NAME@ALIAS` or `NAME/VERSION`.
    #[param(example = "fraud@champion")]
    model: String,
}

/// What a reference means now, down to the bytes.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "model": "fraud", "version": 3, "alias": "champion", "revision": 7,
    "digest": "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    "files": [{
        "path": "model.onnx", "size": 48213,
        "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "url": "/api/v1/models/fraud/versions/3/files/model.onnx",
    }],
}))]
pub struct Resolved {
    model: String,
    version: i32,
    #[schema(value_type = String)]
    digest: Digest,
    /// The alias that led there.
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    /// That alias's revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i32>,
    files: Vec<ResolvedFile>,
}

/// A file and where it is.
#[derive(Serialize, ToSchema)]
pub struct ResolvedFile {
    path: String,
    #[schema(value_type = String)]
    digest: Digest,
    size: u64,
    /// From this server's root.
    url: String,
}

impl From<resolve::Resolved> for Resolved {
    fn from(resolved: resolve::Resolved) -> Self {
        let resolve::Resolved { version, alias, manifest } = resolved;
        let files = manifest.files().map(|(path, entry)| ResolvedFile {
            url: path::file_url(&version.model, version.number, path),
            path: path.to_string(),
            digest: entry.digest,
            size: entry.size,
        });
        Self {
            files: files.collect(),
            model: version.model.to_string(),
            version: version.number,
            digest: version.digest,
            revision: alias.as_ref().map(|alias| alias.revision),
            alias: alias.map(|alias| alias.alias.to_string()),
        }
    }
}

/// Resolve `fraud@champion` or `fraud/3` to a version and its files.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(Reference),
    responses((status = 200, description = "What it means now", body = Resolved), openapi::Reads),
)]
#[get("/resolve")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(Reference { model }): Query<Reference>,
) -> Result<Json<Resolved>, ApiError> {
    let reference: ModelRef = model.parse()?;
    let permit = access.authorize(&caller, path::model(&reference.model)).await?;
    Ok(Json(resolve::resolve(&state, &permit, &reference).await?.into()))
}
