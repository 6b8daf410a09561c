//! `/models/{name}/aliases`

use actix_web::{HttpResponse, delete, get, put, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{EndpointRef, Problem};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Items,
    path::{self, AliasPath, ModelPath},
};
use crate::{State, aliases, text};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(promote).service(unset).service(history);
}

/// An alias: a name that moves from version to version.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"alias": "champion", "version": 3, "revision": 7, "updated_at": "2026-01-02T03:04:05Z"}))]
pub struct Alias {
    alias: String,
    /// The version that it points to.
    version: i32,
    /// How often it has been moved.
    revision: i32,
    updated_at: DateTime<Utc>,
}

impl Alias {
    /// Absent where the alias is not set.
    fn of(alias: store::aliases::Alias) -> Option<Self> {
        let (_, version) = alias.version?;
        Some(Self {
            alias: alias.alias.to_string(),
            version,
            revision: alias.revision,
            updated_at: alias.updated_at,
        })
    }
}

/// List a model's aliases, by name.
#[utoipa::path(
    tag = "aliases",
    params(ModelPath),
    responses((status = 200, description = "All aliases that are set", body = Items<Alias>), openapi::Reads),
)]
#[get("/models/{name}/aliases")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
) -> Result<Json<Items<Alias>>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let all = aliases::list(&state, &permit, &name).await?;
    Ok(Json(Items { items: all.into_iter().filter_map(Alias::of).collect() }))
}

/// Where the alias shall point, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"version": 3, "reason": "better recall on June"}))]
pub struct Promote {
    version: i32,
    reason: Option<String>,
}

/// Whether promotion rules may be passed over.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Override {
    /// Move it although promotion rules stand against it; needs a reason, and is audited.
    #[serde(default)]
    r#override: bool,
}

/// An alias after it was put somewhere.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "model": "fraud", "alias": "champion", "version": 3, "revision": 7, "moved": true,
    "followers": [
        {"endpoint": "fraud", "release": 12, "blocked": null},
        {"endpoint": "fraud.dev", "release": null, "blocked": "the trial of `fraud/3` is not over"},
    ],
}))]
pub struct Placed {
    model: String,
    alias: String,
    version: i32,
    revision: i32,
    /// `false` where it pointed there before.
    moved: bool,
    /// What became of the endpoints that follow it.
    followers: Vec<Follower>,
}

/// An endpoint that follows the alias.
#[derive(Serialize, ToSchema)]
pub struct Follower {
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    /// The release that it was given.
    #[schema(required)]
    release: Option<i32>,
    /// Why it stays where it is.
    #[schema(required)]
    blocked: Option<String>,
}

impl From<store::followers::Follower> for Follower {
    fn from(follower: store::followers::Follower) -> Self {
        let store::followers::Follower { endpoint, release, blocked } = follower;
        Self { endpoint, release, blocked }
    }
}

/// Point an alias to a version. The endpoints that follow it get a release each; one that cannot
/// take the version stays where it is, and the answer says why. Promotion rules that stand against
/// the move refuse it (403 `gate_refused`), with what each of them found.
#[utoipa::path(
    tag = "aliases",
    params(AliasPath, Override),
    responses((status = 200, description = "Where it points, and its followers", body = Placed), openapi::Writes),
)]
#[put("/models/{name}/aliases/{alias}")]
pub async fn promote(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(AliasPath { name, alias }): Path<AliasPath>,
    Query(Override { r#override }): Query<Override>,
    Json(Promote { version, reason }): Json<Promote>,
) -> Result<Json<Placed>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let reason = text::optional("reason", reason, text::REASON)?;
    let placed = if r#override {
        let administer = access.authorize(&caller, path::model(&name))?;
        let reason = reason.filter(|reason| !reason.trim().is_empty()).ok_or_else(|| {
            Problem::invalid("reason", "rules are passed over only with a reason")
        })?;
        aliases::promote_anyway(&state, &permit, &administer, &name, &alias, version, &reason)
            .await?
    } else {
        aliases::promote(&state, &permit, &name, &alias, version, reason.as_deref()).await?
    };
    Ok(Json(Placed {
        model: name.to_string(),
        alias: alias.to_string(),
        version,
        revision: placed.revision,
        moved: placed.moved,
        followers: placed.followers.into_iter().map(Into::into).collect(),
    }))
}

/// Unset an alias that no endpoint follows. Its history stays.
#[utoipa::path(
    tag = "aliases",
    params(AliasPath),
    responses((status = 204, description = "It points nowhere"), openapi::Writes),
)]
#[delete("/models/{name}/aliases/{alias}")]
pub async fn unset(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(AliasPath { name, alias }): Path<AliasPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    aliases::unset(&state, &permit, &name, &alias).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// One move of an alias.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "alias": "champion", "revision": 7, "from_version": 2, "to_version": 3, "reason": "better recall on June",
    "actor": "user:ana", "request_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "at": "2026-01-02T03:04:05Z",
}))]
pub struct AliasMove {
    alias: String,
    /// Its revision after the move, from 1.
    revision: i32,
    /// Null where it was not set.
    #[schema(required)]
    from_version: Option<i32>,
    /// Null where it was unset.
    #[schema(required)]
    to_version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    actor: String,
    request_id: String,
    at: DateTime<Utc>,
}

impl From<store::aliases::Move> for AliasMove {
    fn from(done: store::aliases::Move) -> Self {
        Self {
            alias: done.alias.to_string(),
            revision: done.revision,
            from_version: done.from,
            to_version: done.to,
            reason: done.reason,
            actor: done.actor,
            request_id: done.request_id,
            at: done.at,
        }
    }
}

/// List an alias's moves, newest first: who was champion when, and who decided.
#[utoipa::path(
    tag = "aliases",
    params(AliasPath, PageQuery),
    responses((status = 200, description = "A page of moves", body = PageBody<AliasMove>), openapi::Reads),
)]
#[get("/models/{name}/aliases/{alias}/history")]
pub async fn history(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(AliasPath { name, alias }): Path<AliasPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<AliasMove>>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name))?;
    let (cursor, limit) = page.bounds()?;
    let page = aliases::history(&state, &permit, &name, &alias, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}
