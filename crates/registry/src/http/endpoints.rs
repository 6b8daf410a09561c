//! `/endpoints`

use actix_web::{HttpResponse, delete, get, put, web::Data};
use auth::{Access, Caller, Permit, verbs};
use chrono::{DateTime, Utc};
use domain::{EndpointRef, Problem, access::Kind, serving::Split};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{
    path::{self, EndpointPath},
    releases::Release,
    serving::{Part, Serving},
    wait::Wait,
};
use crate::{
    State,
    endpoints::{self, EndpointState, Order, View},
    text,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(deploy).service(show).service(delete);
}

/// An endpoint: the stable name that callers use.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "fraud.dev", "name": "fraud", "env": "dev", "follows": "fraud@champion", "held": false,
    "blocked": null, "state": "ready", "target": null, "owner": "user:ana", "team": "risk",
    "live": {
        "endpoint": "fraud.dev", "release": 2, "state": "completed",
        "versions": [{"model": "fraud", "version": 3, "weight": 100}],
        "serving": {"timeout": "2s"}, "created_by": "user:ana",
        "created_at": "2026-01-02T03:04:05Z", "finished_at": "2026-01-02T03:04:09Z",
    },
    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T03:04:09Z",
}))]
pub struct Endpoint {
    /// As callers name it: `NAME` in production, `NAME.ENV` elsewhere.
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    name: String,
    /// Its environment.
    env: String,
    /// What decides which version it serves: `MODEL@ALIAS`, or `MODEL/VERSION` for good.
    follows: String,
    /// Whether a rollback keeps it from following until its alias moves again.
    held: bool,
    /// Why it could not take the version that its alias points to.
    #[schema(required)]
    blocked: Option<String>,
    /// `ready`, `progressing`, `failed` (nothing answers) or `empty`.
    state: &'static str,
    /// The release that answers.
    #[schema(required)]
    live: Option<Release>,
    /// The release that is being prepared to.
    #[schema(required)]
    target: Option<Release>,
    owner: String,
    /// The team that owns it; null where none does.
    #[schema(required)]
    team: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<View> for Endpoint {
    fn from(view: View) -> Self {
        let View { endpoint, live, target } = view;
        let state = match EndpointState::of(&endpoint) {
            EndpointState::Ready => "ready",
            EndpointState::Progressing => "progressing",
            EndpointState::Failed => "failed",
            EndpointState::Empty => "empty",
        };
        let release = |release| Release::of(&endpoint.endpoint, release);
        Self {
            live: live.map(release),
            target: target.map(release),
            name: endpoint.endpoint.name.to_string(),
            env: endpoint.endpoint.env.to_string(),
            follows: endpoint.follows.to_string(),
            held: endpoint.held,
            blocked: endpoint.blocked,
            state,
            owner: endpoint.owner,
            team: endpoint.team,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            endpoint: endpoint.endpoint,
        }
    }
}

/// List endpoints, by name.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("each view:endpoint"))),
    params(PageQuery),
    responses((status = 200, description = "A page of endpoints", body = PageBody<Endpoint>), openapi::Reads),
)]
#[get("/endpoints")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Endpoint>>, ApiError> {
    let permit = access.list(&caller, Kind::Endpoint).await?;
    let (cursor, limit) = page.bounds()?;
    let page = endpoints::list(&state, &permit, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

/// What an endpoint shall serve, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "model": "fraud/1", "split": [{"version": 1, "weight": 90}, {"version": 2, "weight": 10}],
    "serving": {"timeout": "2s", "routing": {"sticky": {"header": "x-user"}, "fallback": {"version": 1}}},
    "strategy": "all-at-once", "reason": "the new one gets a tenth",
}))]
pub struct Deploy {
    /// `MODEL@ALIAS` to follow an alias, `MODEL/STAGE` a stage, `MODEL/VERSION` to stay with a version.
    /// What it serves already, where only `serving` changes.
    model: Option<String>,
    /// Shares of several versions of the model; all of it is one version's, unless given. `model` is one
    /// of them then.
    #[schema(value_type = Option<Vec<Part>>)]
    split: Option<Split>,
    /// What changes of how it is served: what is left out stays as it is, `null` is taken away.
    #[schema(value_type = Option<Serving>)]
    serving: Option<Map<String, Value>>,
    /// How traffic moves: `all-at-once`.
    strategy: Option<String>,
    reason: Option<String>,
    /// The team that is to own a new endpoint; your home team unless you say.
    #[schema(examples("risk"))]
    team: Option<String>,
}

impl TryFrom<Deploy> for Order {
    type Error = Problem;

    fn try_from(wanted: Deploy) -> Result<Self, Problem> {
        match wanted.strategy.as_deref() {
            None | Some("all-at-once") => {}
            Some(other) => {
                let shown: String = other.chars().take(40).flat_map(char::escape_default).collect();
                let message = format!("`{shown}`: expected `all-at-once`");
                return Err(Problem::invalid("strategy", message)
                    .hint("other strategies come with rollouts; today: all-at-once"));
            }
        }
        let model = wanted.model.as_deref().map(str::parse).transpose()?;
        let serving = wanted.serving.unwrap_or_default();
        if model.is_none() && (serving.is_empty() || wanted.split.is_some()) {
            return Err(Problem::invalid(
                "model",
                "missing field `model`: expected what is served",
            )
            .hint(
                "give `MODEL@ALIAS` or `MODEL/VERSION`, or `serving` alone to change just that",
            ));
        }
        Ok(Self {
            model,
            split: wanted.split,
            serving,
            reason: text::optional("reason", wanted.reason, text::REASON)?,
        })
    }
}

/// Make an endpoint serve what an alias points to, or one version, or several by their shares; makes
/// the endpoint if it is not there. Settings are a part of each release: where only they change, that
/// is a release too. Where all is so already, nothing happens.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!(["deploy:endpoint", "view:model"]))),
    params(EndpointPath),
    responses(
        (status = 201, description = "The endpoint, made just now", body = Endpoint),
        (status = 200, description = "The endpoint", body = Endpoint),
        openapi::Writes,
    ),
)]
#[put("/endpoints/{endpoint}")]
pub async fn deploy(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Json(wanted): Json<Deploy>,
) -> Result<HttpResponse, ApiError> {
    let (resource, team) = (path::endpoint(&endpoint), wanted.team.clone());
    let permit = access.authorize_with(&caller, resource, team.as_deref(), None).await?;
    let order: Order = wanted.try_into()?;
    // Nobody serves what they may not even see, nor another version of what they do not see.
    let model = match &order.model {
        Some(model) => Some(model.model.clone()),
        None => endpoints::model(&state, &permit, &endpoint).await?,
    };
    if let Some(model) = model {
        let _sees: Permit<verbs::View> = access.authorize(&caller, path::model(&model)).await?;
    }
    let (view, is_new) = endpoints::deploy(&state, &permit, &endpoint, &order).await?;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(Endpoint::from(view)))
}

/// Show an endpoint. With `wait` it answers when no release is on its way.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath, Wait),
    responses((status = 200, description = "The endpoint", body = Endpoint), openapi::Reads),
)]
#[get("/endpoints/{endpoint}")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(wait): Query<Wait>,
) -> Result<Json<Endpoint>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let view = endpoints::settled(&state, &permit, &endpoint, wait.duration()?).await?;
    Ok(Json(view.into()))
}

/// Delete an endpoint with its releases. It stops answering.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("delete:endpoint"))),
    params(EndpointPath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/endpoints/{endpoint}")]
pub async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    endpoints::delete(&state, &permit, &endpoint).await?;
    Ok(HttpResponse::NoContent().finish())
}
