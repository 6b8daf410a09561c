//! `/quota-requests`

use actix_web::{HttpResponse, get, post, web::Data};
use domain::{QuotaRequestId, Resource, Timestamp, access::Subject, quota::Amount};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Database, quotas::Asked};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{limits::myself, quota, written};
use crate::{
    Access, Caller,
    quotas::{self, Decision, Request},
    verbs,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(ask).service(list).service(grant).service(refuse);
}

/// A request for more.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "subject": "team:fraud", "quota": "models", "value": 50,
    "shown": "50", "reason": "the new market", "state": "open", "asked_by": "user:ana",
    "asked_at": "2026-11-28T12:00:00Z", "decided_by": null, "decided_at": null, "decision": null,
}))]
pub struct RequestBody {
    #[schema(value_type = String)]
    id: QuotaRequestId,
    /// For whom.
    subject: String,
    quota: &'static str,
    /// How much it shall allow; null: any.
    #[schema(required)]
    value: Option<u64>,
    shown: String,
    reason: String,
    /// `open`, `granted` or `refused`.
    state: &'static str,
    asked_by: String,
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    #[schema(required)]
    decided_by: Option<String>,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// Why so.
    #[schema(required)]
    decision: Option<String>,
}

impl From<Asked> for RequestBody {
    fn from(asked: Asked) -> Self {
        Self {
            id: asked.id,
            subject: asked.subject.to_string(),
            quota: asked.key.as_str(),
            value: asked.amount.limit(),
            shown: asked.amount.show(asked.key).to_string(),
            reason: asked.reason,
            state: asked.state.as_str(),
            asked_by: asked.asked_by,
            asked_at: asked.asked_at,
            decided_by: asked.decided_by,
            decided_at: asked.decided_at,
            decision: asked.decision,
        }
    }
}

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quota": "models", "value": "50", "reason": "the new market", "subject": "team:fraud"}))]
pub struct NewRequestBody {
    /// For whom: oneself where it is left out, or a team that one is a member of.
    subject: Option<String>,
    quota: String,
    /// How much it shall allow: `50`, `10GiB`, `unlimited`.
    #[schema(value_type = String)]
    value: Value,
    /// Why, for whoever decides.
    reason: String,
}

/// Ask for more.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!(["self", "administer:platform when it is for another"]))),
    responses((status = 201, description = "It is asked for", body = RequestBody), openapi::Writes),
)]
#[post("/quota-requests")]
pub async fn ask(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Json(body): Json<NewRequestBody>,
) -> Result<HttpResponse, ApiError> {
    let subject = match &body.subject {
        Some(subject) => subject.parse()?,
        None => myself(&caller)?,
    };
    let key = quota(&body.quota).map_err(|problem| problem.at("quota"))?;
    let value = written("value".to_owned(), &body.value)?;
    let amount = Amount::parse(key, &value).map_err(|problem| problem.at("value"))?;
    let request = Request { subject, key, amount, reason: body.reason };
    let asked = quotas::request(&access, &database, &caller, &request).await?;
    Ok(HttpResponse::Created().json(RequestBody::from(asked)))
}

/// Which requests.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// For whom; left out: all, for administrators.
    #[param(example = "team:fraud")]
    subject: Option<String>,
    /// `open`, `granted` or `refused`.
    #[param(example = "open")]
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    limit: Option<u32>,
}

/// List requests for more, the newest first: one's own by `subject`, as an administrator all.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!(["self", "administer:platform when they are others'"]))),
    params(Filter),
    responses((status = 200, description = "A page of requests", body = PageBody<RequestBody>), openapi::Reads),
)]
#[get("/quota-requests")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(filter): Query<Filter>,
) -> Result<Json<PageBody<RequestBody>>, ApiError> {
    let Filter { subject, state, cursor, limit } = filter;
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let subject = subject.map(|subject| subject.parse::<Subject>()).transpose()?;
    let state = state.map(|state| state.parse()).transpose()?;
    let page = (cursor.as_ref(), limit);
    let found =
        quotas::requests(&access, &database, &caller, subject.as_ref(), state, page).await?;
    Ok(Json(found.map(RequestBody::from).into()))
}

/// A request for more.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct RequestPath {
    /// Its id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    request: QuotaRequestId,
}

/// Why it is granted, and how much.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "until the end of the year", "value": "40"}))]
pub struct GrantBody {
    reason: String,
    /// Another limit than the one that was asked for.
    #[schema(value_type = Option<String>)]
    value: Option<Value>,
}

/// Grant a request. The limit holds at once.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(RequestPath),
    responses((status = 200, description = "It is granted", body = RequestBody), openapi::Writes),
)]
#[post("/quota-requests/{request}/grant")]
pub async fn grant(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Path(RequestPath { request }): Path<RequestPath>,
    Json(GrantBody { reason, value }): Json<GrantBody>,
) -> Result<Json<RequestBody>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let other = value.map(|value| written("value".to_owned(), &value)).transpose()?;
    let decision = Decision::Grant(other);
    let decided = quotas::decide(&database, &permit, request, decision, &reason).await?;
    Ok(Json(decided.into()))
}

/// Why it is refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "delete the models of last year first"}))]
pub struct RefuseBody {
    reason: String,
}

/// Refuse a request.
#[utoipa::path(
    tag = "quotas",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(RequestPath),
    responses((status = 200, description = "It is refused", body = RequestBody), openapi::Writes),
)]
#[post("/quota-requests/{request}/refuse")]
pub async fn refuse(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Path(RequestPath { request }): Path<RequestPath>,
    Json(RefuseBody { reason }): Json<RefuseBody>,
) -> Result<Json<RequestBody>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let decided = quotas::decide(&database, &permit, request, Decision::Refuse, &reason).await?;
    Ok(Json(decided.into()))
}
