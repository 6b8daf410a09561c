//! `/secrets`

use std::collections::BTreeMap;

use actix_web::{get, post, web::Data};
use domain::Resource;
use rest::{ApiError, Json, NoQuery, openapi};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    Access, Caller,
    secrets::{Report, Secrets, Usage},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(rotate);
}

/// The keys that secrets are sealed under.
#[derive(Serialize, ToSchema)]
pub struct Keys {
    /// The current one first.
    items: Vec<Key>,
}

/// A secret key of the platform.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "key": "3fa2b1c0", "current": false, "given": true, "sealed": {"webhooks": 3, "signing keys": 2},
}))]
pub struct Key {
    /// Tells it from others; null for what was sealed before keys were told apart.
    #[schema(required)]
    key: Option<String>,
    /// Whether it seals what is sealed from now on.
    current: bool,
    /// Whether this process has it. What is sealed under another one cannot be read.
    given: bool,
    /// How many secrets are sealed under it, by kind. Where there are none, it is not needed any more.
    sealed: BTreeMap<&'static str, usize>,
}

impl From<Usage> for Key {
    fn from(usage: Usage) -> Self {
        Self {
            key: usage.key.map(|key| key.to_string()),
            current: usage.is_current,
            given: usage.is_given,
            sealed: usage.sealed,
        }
    }
}

/// List the platform's secret keys, and how much is sealed under each. No key is shown, only what
/// tells it apart.
#[utoipa::path(
    tag = "access",
    operation_id = "list_secret_keys",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "All keys", body = Keys), openapi::Reads),
)]
#[get("/secrets")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    secrets: Data<Secrets>,
    _query: NoQuery,
) -> Result<Json<Keys>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let items = secrets.usage(&permit).await?.into_iter().map(Into::into).collect();
    Ok(Json(Keys { items }))
}

/// What was done.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "key": "9b01d2e3", "resealed": {"webhooks": 3, "hash key": 1}, "already": {"signing keys": 2},
    "unreadable": [{"kind": "webhooks", "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1"}],
}))]
pub struct Rotated {
    /// The key that everything is sealed under now.
    key: String,
    /// What was sealed anew, by kind.
    resealed: BTreeMap<&'static str, usize>,
    /// What was so before, by kind.
    already: BTreeMap<&'static str, usize>,
    /// What is sealed under a key that this process does not have. It was left alone.
    unreadable: Vec<Unreadable>,
}

/// A secret that cannot be read.
#[derive(Serialize, ToSchema)]
pub struct Unreadable {
    kind: &'static str,
    id: String,
}

impl From<Report> for Rotated {
    fn from(report: Report) -> Self {
        let Report { key, resealed, already, unreadable } = report;
        let unreadable = unreadable.into_iter().map(|(kind, id)| Unreadable { kind, id }).collect();
        Self { key: key.to_string(), resealed, already, unreadable }
    }
}

/// Seal every secret anew under the current key, so that earlier ones are not needed any more. It
/// may be called again at any time: what is sealed so already is left alone.
#[utoipa::path(
    tag = "access",
    operation_id = "rotate_secrets",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "What was done", body = Rotated), openapi::Writes),
)]
#[post("/secrets/rotate")]
pub async fn rotate(
    caller: Caller,
    access: Data<Access>,
    secrets: Data<Secrets>,
    _query: NoQuery,
) -> Result<Json<Rotated>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    Ok(Json(secrets.rotate(&permit).await?.into()))
}
