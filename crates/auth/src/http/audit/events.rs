//! `GET /audit/events`

use actix_web::{get, web::Data};
use domain::{Digest, Resource, Timestamp, TokenId, audit::Recorded};
use rest::{ApiError, Json, PageBody, PageQuery, Query, openapi};
use serde::{Deserialize, Serialize};
use store::{Database, audit};
use utoipa::{IntoParams, ToSchema};

use super::filter::Wanted;
use crate::{Access, Caller, verbs};

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listed {
    /// Only by this actor.
    #[param(example = "user:admin")]
    actor: Option<String>,
    /// Only to this resource, `KIND:NAME`.
    #[param(example = "model:fraud")]
    resource: Option<String>,
    /// Only in this request.
    #[param(example = "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1")]
    request_id: Option<String>,
    /// Only under this permission.
    #[param(example = "promote")]
    action: Option<String>,
    /// Only this change.
    #[param(example = "alias.moved")]
    change: Option<String>,
    /// Only what was `allowed`, or `refused`.
    #[param(example = "refused")]
    decision: Option<String>,
    /// Only with this text in the facts, in upper or lower case.
    #[param(example = "better recall")]
    text: Option<String>,
    /// Not before this instant.
    #[param(format = DateTime, example = "2026-11-17T14:00:00Z")]
    since: Option<String>,
    /// Before this instant.
    #[param(format = DateTime, example = "2026-11-18T14:00:00Z")]
    until: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    limit: Option<u32>,
}

/// What was done or refused, as it was recorded.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// Its number, with gaps.
    id: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who.
    #[schema(examples("user:admin"))]
    actor: String,
    /// For whom a service account said that it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("user:ana"))]
    on_behalf_of: Option<String>,
    /// Where from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("10.0.0.7"))]
    address: Option<String>,
    /// The id of the token that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    token: Option<TokenId>,
    /// Under which permission; absent for what needs none, as a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("promote"))]
    action: Option<String>,
    /// To what, `KIND:NAME`.
    #[schema(examples("model:fraud"))]
    resource: String,
    /// What was done.
    #[schema(examples("alias.moved"))]
    change: String,
    /// `allowed`, or `refused`: then nothing was done.
    #[schema(examples("allowed"))]
    decision: String,
    /// The grants and policies that decided.
    #[schema(example = json!(["role:operator"]))]
    policies: Vec<String>,
    /// Digest of the object's description before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    before: Option<Digest>,
    /// Digest of the object's description after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    after: Option<Digest>,
    /// The request that asked for it.
    request_id: String,
    /// The facts.
    detail: serde_json::Value,
}

impl From<Recorded> for Event {
    fn from(event: Recorded) -> Self {
        Self {
            resource: event.target(),
            id: event.id,
            at: event.at,
            actor: event.actor,
            on_behalf_of: event.on_behalf_of,
            address: event.address,
            token: event.token,
            action: event.action,
            change: event.change,
            decision: event.decision,
            policies: event.policies,
            before: event.before,
            after: event.after,
            request_id: event.request_id,
            detail: event.detail,
        }
    }
}

/// List what was done and what was refused, newest first. By action, change, decision or text a page
/// may hold fewer events than asked for, or none, and still have a next one.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    params(Listed),
    responses((status = 200, description = "A page of events", body = PageBody<Event>), openapi::Reads),
)]
#[get("/audit/events")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(listed): Query<Listed>,
) -> Result<Json<PageBody<Event>>, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    let (cursor, limit) = PageQuery { cursor: listed.cursor, limit: listed.limit }.bounds()?;
    let wanted = Wanted {
        actor: listed.actor,
        resource: listed.resource,
        request_id: listed.request_id,
        action: listed.action,
        change: listed.change,
        decision: listed.decision,
        text: listed.text,
        since: listed.since,
        until: listed.until,
    };
    let page = audit::list(&database, &wanted.read()?, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}
