//! `/endpoints/{endpoint}/history`

use actix_web::{get, web::Data};
use auth::{Access, Caller, verbs};
use domain::{Cursor, Timestamp};
use rest::{ApiError, Json, PageQuery, Path, Query, instant, openapi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::endpoint_history::EndpointThen;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::path::{self, EndpointPath};
use crate::State;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list);
}

/// An endpoint as it was since a moment.
#[derive(Serialize, ToSchema)]
pub struct Then {
    /// Since when it was so.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What it followed, whether it was held or blocked, which release answered with which versions;
    /// null where the endpoint was deleted.
    #[schema(required, value_type = Option<Object>)]
    state: Option<Value>,
}

impl From<EndpointThen> for Then {
    fn from(then: EndpointThen) -> Self {
        Self { at: then.at, state: then.state }
    }
}

/// A page of changes; with `as_of` also how the endpoint stood then.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{"at": "2026-01-02T03:04:05Z", "state": {
        "follows": "fraud@champion", "held": false, "target_release": 3, "live_release": 3,
        "live_versions": [{"model": "fraud", "version": 7, "weight": 100}],
    }}],
    "next_cursor": null,
    "standing": {"at": "2026-01-02T03:04:05Z", "state": {
        "follows": "fraud@champion", "held": false, "target_release": 3, "live_release": 3,
        "live_versions": [{"model": "fraud", "version": 7, "weight": 100}],
    }},
}))]
pub struct EndpointHistory {
    items: Vec<Then>,
    /// `cursor` for the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
    /// How it stood at `as_of`; absent where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    standing: Option<Then>,
}

/// Which changes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Moment {
    /// How the endpoint stood at this instant, and what changed until then.
    #[param(format = DateTime, example = "2026-01-03T00:00:00Z")]
    as_of: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// List the changes of an endpoint, newest first: what it followed and which versions answered when.
/// With `as_of` also how it stood at that moment.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath, Moment),
    responses((status = 200, description = "A page of changes", body = EndpointHistory), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/history")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(Moment { as_of, cursor, limit }): Query<Moment>,
) -> Result<Json<EndpointHistory>, ApiError> {
    let permit = access.authorize::<verbs::View>(&caller, path::endpoint(&endpoint)).await?;
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let as_of = instant("as_of", as_of)?;
    let found =
        crate::endpoints::history(&state, &permit, &endpoint, as_of, cursor.as_ref(), limit);
    let (page, standing) = found.await?;
    Ok(Json(EndpointHistory {
        next_cursor: page.next.as_ref().map(Cursor::encode),
        items: page.items.into_iter().map(Into::into).collect(),
        standing: standing.map(Into::into),
    }))
}
