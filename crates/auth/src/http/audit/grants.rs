//! `GET /audit/grants`

use actix_web::{get, web::Data};
use domain::{GrantId, Problem, Resource, Timestamp};
use rest::{ApiError, Json, Query, instant, openapi};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    Database,
    grant_history::{self, GrantThen},
};
use utoipa::{IntoParams, ToSchema};

use crate::{Access, Caller, verbs};

/// When.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Moment {
    /// The instant.
    #[param(format = DateTime, example = "2026-01-03T00:00:00Z", required = true)]
    as_of: Option<String>,
}

/// A grant as it was.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "since": "2026-01-02T03:04:05Z",
    "state": {"subject": "user:ana", "effect": "allow", "action": "promote", "resource": "model:fraud", "created_by": "user:admin"},
}))]
pub struct Grant {
    #[schema(value_type = String)]
    id: GrantId,
    /// Since when it was so.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Whose it was, what it allowed on what, and who made it, by the names of that time.
    #[schema(value_type = Object)]
    state: Value,
}

impl From<GrantThen> for Grant {
    fn from(then: GrantThen) -> Self {
        Self { id: then.id, since: then.since, state: then.state }
    }
}

/// All grants of a moment.
#[derive(Serialize, ToSchema)]
pub struct Grants {
    items: Vec<Grant>,
}

/// List the grants that there were at a moment, oldest first.
#[utoipa::path(
    tag = "audit",
    extensions(("x-bottega-action" = json!("audit:platform"))),
    params(Moment),
    responses((status = 200, description = "All of them", body = Grants), openapi::Reads),
)]
#[get("/audit/grants")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(Moment { as_of }): Query<Moment>,
) -> Result<Json<Grants>, ApiError> {
    access.authorize::<verbs::Audit>(&caller, Resource::Platform).await?;
    let Some(at) = instant("as_of", as_of)? else {
        let missing = Problem::invalid("as_of", "say when: expected an instant");
        return Err(missing.hint("?as_of=2026-01-03T00:00:00Z").into());
    };
    let grants = grant_history::as_of(&database, at).await?;
    Ok(Json(Grants { items: grants.into_iter().map(Into::into).collect() }))
}
