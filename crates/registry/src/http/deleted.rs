//! `/deleted-models`, `/models/{name}/deleted-versions`, and restoring.

use actix_web::{get, post, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{Digest, Limit, access::Kind};
use rest::{ApiError, Json, NoQuery, Path, openapi};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Items,
    models::Model,
    path::{self, ModelPath, VersionPath},
    versions::Version,
};
use crate::{State, models, versions};

/// How many deleted models or versions one list names.
const SHOWN: u32 = 1000;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(restore).service(list_versions).service(restore_version);
}

/// A deleted model that can be restored.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "fraud", "deleted_at": "2026-01-02T03:04:05Z"}))]
pub struct DeletedModel {
    name: String,
    deleted_at: DateTime<Utc>,
}

/// List the models that were deleted and can be restored, the last one first.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("each view:model"))),
    responses((status = 200, description = "The deleted models", body = Items<DeletedModel>), openapi::Reads),
)]
#[get("/deleted-models")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    _: NoQuery,
) -> Result<Json<Items<DeletedModel>>, ApiError> {
    let permit = access.list(&caller, Kind::Model).await?;
    let deleted = models::deleted(&state, &permit, Limit::new(Some(SHOWN))?).await?;
    let items = deleted
        .into_iter()
        .map(|model| DeletedModel { name: model.name.to_string(), deleted_at: model.deleted_at });
    Ok(Json(Items { items: items.collect() }))
}

/// Restore the model of this name that was deleted last, with its versions and aliases.
#[utoipa::path(
    tag = "models",
    extensions(("x-bottega-action" = json!("edit:model"))),
    params(ModelPath),
    responses((status = 200, description = "The model", body = Model), openapi::Writes),
)]
#[post("/models/{name}/restore")]
pub async fn restore(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
) -> Result<Json<Model>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    Ok(Json(models::restore(&state, &permit, &name).await?.into()))
}

/// A deleted version that can be restored.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "model": "fraud", "version": 2, "size": 10485760, "deleted_at": "2026-01-02T03:04:05Z",
    "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
}))]
pub struct DeletedVersion {
    model: String,
    version: i32,
    #[schema(value_type = String)]
    digest: Digest,
    /// The bytes of all its files.
    size: u64,
    deleted_at: DateTime<Utc>,
}

/// List the versions of a model that were deleted and can be restored, the last one first.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(ModelPath),
    responses((status = 200, description = "The deleted versions", body = Items<DeletedVersion>), openapi::Reads),
)]
#[get("/models/{name}/deleted-versions")]
pub async fn list_versions(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    _: NoQuery,
) -> Result<Json<Items<DeletedVersion>>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let deleted = versions::deleted(&state, &permit, &name, Limit::new(Some(SHOWN))?).await?;
    let items = deleted.into_iter().map(|version| DeletedVersion {
        model: name.to_string(),
        version: version.number,
        digest: version.digest,
        size: version.size,
        deleted_at: version.deleted_at,
    });
    Ok(Json(Items { items: items.collect() }))
}

/// Restore a deleted version. No alias points to it until one is moved there.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("edit:model"))),
    params(VersionPath),
    responses((status = 200, description = "The version", body = Version), openapi::Writes),
)]
#[post("/models/{name}/versions/{version}/restore")]
pub async fn restore_version(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> Result<Json<Version>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    Ok(Json(versions::restore(&state, &permit, &name, version).await?.into()))
}
