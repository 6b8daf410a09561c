//! `/models/{name}/versions`

mod body;
mod register;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, delete, get, patch, web::Data};
use auth::{Access, Caller};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

pub use self::body::Version;
use super::{
    path::{self, ModelPath, VersionPath},
    wait::Wait,
};
use crate::{State, text, versions};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(register::create).service(show).service(update).service(delete);
}

/// List a model's versions, newest first.
#[utoipa::path(
    tag = "versions",
    params(ModelPath, PageQuery),
    responses((status = 200, description = "A page of versions", body = PageBody<Version>), openapi::Reads),
)]
#[get("/models/{name}/versions")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Version>>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let (cursor, limit) = page.bounds()?;
    let page = versions::list(&state, &permit, &name, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

/// Show a version. With `wait` it answers when the trial is over.
#[utoipa::path(
    tag = "versions",
    params(VersionPath, Wait),
    responses((status = 200, description = "The version", body = Version), openapi::Reads),
)]
#[get("/models/{name}/versions/{version}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(wait): Query<Wait>,
) -> Result<Json<Version>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let found = versions::tried(&state, &permit, &name, version, wait.duration()?).await?;
    Ok(Json(found.into()))
}

/// What shall be different; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"description": "Trained on June", "tags": {"ticket": "R-12"}}))]
pub struct VersionEdit {
    description: Option<String>,
    /// All tags; those that are not named go.
    tags: Option<BTreeMap<String, String>>,
}

impl TryFrom<VersionEdit> for versions::Edit {
    type Error = domain::Problem;

    fn try_from(edit: VersionEdit) -> Result<Self, Self::Error> {
        Ok(Self {
            description: text::optional("description", edit.description, text::DESCRIPTION)?,
            tags: edit.tags.map(text::tags).transpose()?,
        })
    }
}

/// Change a version's description or tags. Its files never change.
#[utoipa::path(
    tag = "versions",
    params(VersionPath),
    responses((status = 200, description = "The version", body = Version), openapi::Writes),
)]
#[patch("/models/{name}/versions/{version}")]
pub async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Json(edit): Json<VersionEdit>,
) -> Result<Json<Version>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let edited = versions::update(&state, &permit, &name, version, edit.try_into()?).await?;
    Ok(Json(edited.into()))
}

/// Delete a version, if no alias and no endpoint needs it.
#[utoipa::path(
    tag = "versions",
    params(VersionPath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/models/{name}/versions/{version}")]
pub async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    versions::delete(&state, &permit, &name, version).await?;
    Ok(HttpResponse::NoContent().finish())
}
