//! `/models/{name}/versions/{version}/trust` and `/trial`

use actix_web::{HttpResponse, delete, post, put, web::Data};
use auth::{Access, Caller};
use domain::{Problem, Resource};
use rest::{ApiError, Json, Path, openapi};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    path::{self, VersionPath},
    versions::Version,
};
use crate::{State, text, trust};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(give).service(take).service(try_again);
}

/// Why a version's own code may run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "Read by Ana, ticket R-12"}))]
pub struct NewTrust {
    /// Told with the version, and recorded.
    #[schema(min_length = 1, max_length = 2000)]
    reason: String,
}

/// Let a version's pickles and code run while the setting `pickle` is `safe-only`. It is tried, if the setting
/// stood in the way so far. Under `deny` it stays forbidden.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(VersionPath),
    responses((status = 200, description = "The version", body = Version), openapi::Writes),
)]
#[put("/models/{name}/versions/{version}/trust")]
pub async fn give(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
    Json(NewTrust { reason }): Json<NewTrust>,
) -> Result<Json<Version>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let reason = text::bounded("reason", reason.trim().to_owned(), text::REASON)?;
    if reason.is_empty() {
        return Err(ApiError(Problem::invalid("reason", "trust is given only with a reason")));
    }
    Ok(Json(trust::give(&state, &permit, &name, version, &reason).await?.into()))
}

/// Take a version's trust back. What serves it goes on; it is not deployed anew.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(VersionPath),
    responses((status = 204, description = "It has none"), openapi::Writes),
)]
#[delete("/models/{name}/versions/{version}/trust")]
pub async fn take(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    trust::take(&state, &permit, &name, version).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Try a version again that is not servable: its server may answer by now, or a package be there. `GET …?wait=`
/// tells what came of it.
#[utoipa::path(
    tag = "versions",
    extensions(("x-bottega-action" = json!("edit:model"))),
    params(VersionPath),
    responses((status = 200, description = "The version, which is being tried", body = Version), openapi::Writes),
)]
#[post("/models/{name}/versions/{version}/trial")]
pub async fn try_again(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> Result<Json<Version>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    Ok(Json(trust::try_again(&state, &permit, &name, version).await?.into()))
}
