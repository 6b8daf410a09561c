//! `/models/{name}/versions`

mod body;
mod register;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, delete, get, patch, web::Data};
use auth::{Access, Caller};
use domain::{Problem, serving::Isolation};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

pub use self::body::{Batching, Version};
use super::{
    path::{self, ModelPath, VersionPath},
    wait::Wait,
};
use crate::{State, history, text, versions};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(register::create).service(show).service(update).service(delete);
}

/// List a model's versions, newest first.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("view:model"))),
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
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let (cursor, limit) = page.bounds()?;
    let page = versions::list(&state, &permit, &name, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

/// When to look.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Moment {
    /// Answer only when the trial is over, or after so many seconds.
    #[param(minimum = 0, maximum = 60, default = 0)]
    wait: Option<u32>,
    /// How it stood at this instant; not together with `wait`.
    #[param(format = DateTime, example = "2026-01-02T03:04:05Z")]
    as_of: Option<String>,
}

/// Show a version. With `wait` it answers when the trial is over. With `as_of` its stage and its
/// aliases are those of that moment, also where it is deleted by now; its files never change, and
/// the rest is as it is now.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(VersionPath, Moment),
    responses((status = 200, description = "The version", body = Version), openapi::Reads),
)]
#[get("/models/{name}/versions/{version}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Query(Moment { wait, as_of }): Query<Moment>,
) -> Result<Json<Version>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let found = match rest::instant("as_of", as_of)? {
        Some(_) if wait.is_some() => {
            return Err(ApiError(Problem::invalid("wait", "nothing of the past is waited for")));
        }
        Some(at) => {
            Version::from(history::version(&state, &permit, &name, version, at).await?).told_of(at)
        }
        None => {
            let wait = Wait::of(wait).duration()?;
            versions::tried(&state, &permit, &name, version, wait).await?.into()
        }
    };
    Ok(Json(found))
}

/// What shall be different; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "description": "Trained on June", "tags": {"ticket": "R-12"},
    "batching": {"max_batch": 32, "wait": "2ms"},
}))]
pub struct VersionEdit {
    description: Option<String>,
    /// All tags; those that are not named go.
    tags: Option<BTreeMap<String, String>>,
    /// How requests for it share runs, on every node within moments; what is absent in it goes back to
    /// what is measured and to no wait.
    batching: Option<Batching>,
    /// Where it runs: `in-process`, or `process` for one of its own, on every node within moments; null: as
    /// its node says.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, examples("process"))]
    isolation: Option<Option<Isolation>>,
}

/// Tells null from what is absent.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Isolation>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl TryFrom<VersionEdit> for versions::Edit {
    type Error = Problem;

    fn try_from(edit: VersionEdit) -> Result<Self, Self::Error> {
        Ok(Self {
            description: text::optional("description", edit.description, text::DESCRIPTION)?,
            tags: edit.tags.map(text::tags).transpose()?,
            batching: edit.batching.map(TryInto::try_into).transpose()?,
            isolation: edit.isolation,
        })
    }
}

/// Change a version's description, its tags, how requests for it share runs, or where it runs. Its files never change.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("edit:model"))),
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
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let edited = versions::update(&state, &permit, &name, version, edit.try_into()?).await?;
    Ok(Json(edited.into()))
}

/// Delete a version, if no alias and no endpoint needs it.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("delete:model"))),
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
    let permit = access.authorize(&caller, path::model(&name)).await?;
    versions::delete(&state, &permit, &name, version).await?;
    Ok(HttpResponse::NoContent().finish())
}
