//! `GET /audit/events`

use actix_web::{get, web::Data};
use domain::{Digest, Problem, Resource, Timestamp};
use rest::{ApiError, Json, PageBody, PageQuery, Query, instant, openapi};
use serde::{Deserialize, Serialize};
use store::{
    Database,
    audit::{self, Recorded},
};
use utoipa::{IntoParams, ToSchema};

use crate::{Access, Caller, verbs};

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only by this actor.
    #[param(example = "user:admin")]
    actor: Option<String>,
    /// Only to this resource, `KIND:NAME`.
    #[param(example = "model:fraud")]
    resource: Option<String>,
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

/// A change as it was recorded.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// Its number; later events have larger ones, with gaps.
    id: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who.
    #[schema(examples("user:admin"))]
    actor: String,
    /// Under which permission.
    #[schema(examples("promote"))]
    action: String,
    /// To what, `KIND:NAME`.
    #[schema(examples("model:fraud"))]
    resource: String,
    /// What was done.
    #[schema(examples("alias.moved"))]
    change: String,
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
            id: event.id,
            at: event.at,
            actor: event.actor,
            action: event.action,
            resource: format!("{}:{}", event.resource_kind, event.resource),
            change: event.change,
            before: event.before,
            after: event.after,
            request_id: event.request_id,
            detail: event.detail,
        }
    }
}

/// List what was done, newest first.
#[utoipa::path(
    tag = "audit",
    params(Filter),
    responses((status = 200, description = "A page of events", body = PageBody<Event>), openapi::Reads),
)]
#[get("/audit/events")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(filter): Query<Filter>,
) -> Result<Json<PageBody<Event>>, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform)?;
    let Filter { actor, resource, since, until, cursor, limit } = filter;
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let (resource_kind, resource) = resource.as_deref().map(kind_and_name).transpose()?.unzip();
    let (since, until) = (instant("since", since)?, instant("until", until)?);
    let filter = audit::Filter { actor, resource_kind, resource, since, until };
    let page = audit::list(&database, &filter, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

fn kind_and_name(resource: &str) -> Result<(String, String), Problem> {
    let wrong = || {
        Problem::invalid("resource", format!("`{resource}`: expected KIND:NAME, like model:fraud"))
    };
    let (kind, name) = resource.split_once(':').ok_or_else(wrong)?;
    Ok((kind.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_says_what_is_expected_of_which_parameter() {
        assert_eq!(kind_and_name("fraud").unwrap_err().field.as_deref(), Some("resource"));
        let (kind, name) = kind_and_name("model:a:b").unwrap();
        assert_eq!((kind.as_str(), name.as_str()), ("model", "a:b"));
    }
}
