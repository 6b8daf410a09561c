//! `/settings`

use actix_web::{get, put, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::Resource;
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::Items;
use crate::{State, settings};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(show).service(set);
}

/// A setting.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct SettingPath {
    /// Its name.
    #[param(example = "pickle")]
    setting: String,
}

/// A setting of the platform, as it stands.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "setting": "pickle", "value": "safe-only", "updated_by": "user:ana", "updated_at": "2026-01-02T03:04:05Z",
}))]
pub struct Setting {
    setting: &'static str,
    /// `pickle`: which versions with pickles may be deployed: `allow`, `safe-only` or `deny`.
    #[schema(value_type = String)]
    value: serde_json::Value,
    /// Null where nobody has changed it.
    #[schema(required)]
    updated_by: Option<String>,
    #[schema(required)]
    updated_at: Option<DateTime<Utc>>,
}

impl From<settings::Setting> for Setting {
    fn from(setting: settings::Setting) -> Self {
        let (updated_by, updated_at) = setting.updated.unzip();
        Self { setting: setting.key, value: setting.value, updated_by, updated_at }
    }
}

/// List the platform's settings.
#[utoipa::path(
    tag = "settings",
    extensions(("x-bottega-action" = json!("view:platform"))),
    responses((status = 200, description = "All settings", body = Items<Setting>), openapi::Reads),
)]
#[get("/settings")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
) -> Result<Json<Items<Setting>>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let all = settings::list(&state, &permit).await?;
    Ok(Json(Items { items: all.into_iter().map(Into::into).collect() }))
}

/// Show a setting.
#[utoipa::path(
    tag = "settings",
    extensions(("x-bottega-action" = json!("view:platform"))),
    params(SettingPath),
    responses((status = 200, description = "The setting", body = Setting), openapi::Reads),
)]
#[get("/settings/{setting}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(SettingPath { setting }): Path<SettingPath>,
) -> Result<Json<Setting>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    Ok(Json(settings::get(&state, &permit, &setting).await?.into()))
}

/// What it shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": "deny"}))]
pub struct NewValue {
    #[schema(value_type = String)]
    value: serde_json::Value,
}

/// Change a setting. It holds for what is deployed from now on.
#[utoipa::path(
    tag = "settings",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(SettingPath),
    responses((status = 200, description = "The setting", body = Setting), openapi::Writes),
)]
#[put("/settings/{setting}")]
pub async fn set(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(SettingPath { setting }): Path<SettingPath>,
    Json(NewValue { value }): Json<NewValue>,
) -> Result<Json<Setting>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    Ok(Json(settings::set(&state, &permit, &setting, &value).await?.into()))
}
