//! `/models/{name}/aliases`

use actix_web::{HttpResponse, delete, get, post, put, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{AliasName, Cursor, EndpointRef, ModelName, Problem};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use store::history::{Filter, Move};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    Items,
    history::AliasMove,
    path::{self, AliasPath, AsOf, ModelPath},
    rules::{Override, gate},
};
use crate::{
    State,
    aliases::{self, Back},
    history, text,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(list)
        .service(show)
        .service(promote)
        .service(revert)
        .service(unset)
        .service(moves);
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
    /// The moment that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<DateTime<Utc>>,
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
            as_of: None,
        })
    }

    /// As its last move before a moment left it.
    fn then(done: store::aliases::Move, at: DateTime<Utc>) -> Option<Self> {
        Some(Self {
            alias: done.alias.to_string(),
            version: done.to?,
            revision: done.revision,
            updated_at: done.at,
            as_of: Some(at),
        })
    }
}

/// List a model's aliases, by name; with `as_of` those of that moment.
#[utoipa::path(
    tag = "aliases",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(ModelPath, AsOf),
    responses((status = 200, description = "All aliases that are set", body = Items<Alias>), openapi::Reads),
)]
#[get("/models/{name}/aliases")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ModelPath { name }): Path<ModelPath>,
    Query(as_of): Query<AsOf>,
) -> Result<Json<Items<Alias>>, ApiError> {
    let permit = access.authorize(&caller, path::model(&name)).await?;
    let items = match as_of.instant()? {
        Some(at) => {
            let then = history::aliases(&state, &permit, &name, at).await?;
            then.into_iter().filter_map(|done| Alias::then(done, at)).collect()
        }
        None => {
            let all = aliases::list(&state, &permit, &name).await?;
            all.into_iter().filter_map(Alias::of).collect()
        }
    };
    Ok(Json(Items { items }))
}

/// Show where an alias points; with `as_of` where it pointed at that moment.
#[utoipa::path(
    tag = "aliases",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(AliasPath, AsOf),
    responses((status = 200, description = "The alias", body = Alias), openapi::Reads),
)]
#[get("/models/{name}/aliases/{alias}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(AliasPath { name, alias }): Path<AliasPath>,
    Query(as_of): Query<AsOf>,
) -> Result<Json<Alias>, ApiError> {
    let permit = access.authorize_with(&caller, path::model(&name), None, Some(&alias)).await?;
    let found = match as_of.instant()? {
        Some(at) => Alias::then(history::alias(&state, &permit, &name, &alias, at).await?, at),
        None => Alias::of(aliases::get(&state, &permit, &name, &alias).await?),
    };
    let found = found.ok_or_else(|| Problem::not_found("alias", &alias).at("alias"))?;
    Ok(Json(found))
}

/// Where the alias shall point, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"version": 3, "reason": "better recall on June"}))]
pub struct Promote {
    version: i32,
    reason: Option<String>,
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

impl Placed {
    fn of(name: &ModelName, alias: &AliasName, placed: aliases::Placed) -> Self {
        Self {
            model: name.to_string(),
            alias: alias.to_string(),
            version: placed.version,
            revision: placed.revision,
            moved: placed.moved,
            followers: placed.followers.into_iter().map(Into::into).collect(),
        }
    }
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
    extensions(("x-bottega-action" = json!(["promote:model", "administer:model when the rules are overridden"]))),
    params(AliasPath, Override),
    responses((status = 200, description = "Where it points, and its followers", body = Placed), openapi::Writes),
)]
#[put("/models/{name}/aliases/{alias}")]
pub async fn promote(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(AliasPath { name, alias }): Path<AliasPath>,
    Query(overriding): Query<Override>,
    Json(Promote { version, reason }): Json<Promote>,
) -> Result<Json<Placed>, ApiError> {
    let permit = access.authorize_with(&caller, path::model(&name), None, Some(&alias)).await?;
    let reason = text::optional("reason", reason, text::REASON)?;
    let overriding = overriding.permit(&access, &caller, &name, reason.as_deref()).await?;
    let gate = gate(overriding.as_ref());
    let placed =
        aliases::promote(&state, &permit, gate, &name, &alias, version, reason.as_deref()).await?;
    Ok(Json(Placed::of(&name, &alias, placed)))
}

/// Why an alias shall go back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "alarms since noon", "if_revision": 7}))]
pub struct Revert {
    reason: Option<String>,
    /// The revision that shall be undone; refused where the alias was moved meanwhile.
    if_revision: Option<i32>,
}

/// Point an alias to where it pointed before its last move. It is a promotion like any other: with
/// followers, rules and a revision of its own. A second call undoes the first.
#[utoipa::path(
    tag = "aliases",
    extensions(("x-bottega-action" = json!(["promote:model", "administer:model when the rules are overridden"]))),
    params(AliasPath, Override),
    responses((status = 200, description = "Where it points, and its followers", body = Placed), openapi::Writes),
)]
#[post("/models/{name}/aliases/{alias}/revert")]
pub async fn revert(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(AliasPath { name, alias }): Path<AliasPath>,
    Query(overriding): Query<Override>,
    Json(Revert { reason, if_revision }): Json<Revert>,
) -> Result<Json<Placed>, ApiError> {
    let permit = access.authorize_with(&caller, path::model(&name), None, Some(&alias)).await?;
    let reason = text::optional("reason", reason, text::REASON)?;
    let overriding = overriding.permit(&access, &caller, &name, reason.as_deref()).await?;
    let (gate, back) = (gate(overriding.as_ref()), Back { reason, if_revision });
    let placed = aliases::revert(&state, &permit, gate, &name, &alias, &back).await?;
    Ok(Json(Placed::of(&name, &alias, placed)))
}

/// Unset an alias that no endpoint follows. Its history stays.
#[utoipa::path(
    tag = "aliases",
    extensions(("x-bottega-action" = json!("promote:model"))),
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
    let permit = access.authorize_with(&caller, path::model(&name), None, Some(&alias)).await?;
    aliases::unset(&state, &permit, &name, &alias).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List an alias's moves, newest first: who was champion when, and who decided.
#[utoipa::path(
    tag = "aliases",
    extensions(("x-bottega-action" = json!("view:model"))),
    params(AliasPath, PageQuery),
    responses((status = 200, description = "A page of moves", body = PageBody<AliasMove>), openapi::Reads),
)]
#[get("/models/{name}/aliases/{alias}/history")]
pub async fn moves(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(AliasPath { name, alias }): Path<AliasPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<AliasMove>>, ApiError> {
    let permit = access.authorize_with(&caller, path::model(&name), None, Some(&alias)).await?;
    let (cursor, limit) = page.bounds()?;
    let filter = Filter { alias: Some(alias), ..Filter::default() };
    let page = history::list(&state, &permit, &name, filter, cursor.as_ref(), limit).await?;
    let next_cursor = page.next.as_ref().map(Cursor::encode);
    let items = page.items.into_iter().filter_map(|done| match done {
        Move::Alias(done) => Some(done.into()),
        Move::Stage(_) => None,
    });
    Ok(Json(PageBody { items: items.collect(), next_cursor }))
}
