//! `/collections`

use actix_web::{post, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{Problem, Resource};
use rest::{ApiError, Json, openapi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    State,
    collections::{self, Order},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create);
}

/// What shall be collected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"older_than": "30d", "dry_run": true}))]
pub struct NewCollection {
    /// What was deleted longer ago than this goes for good: `30s`, `5m`, `1h`, `30d`. The server's
    /// retention time unless given.
    older_than: Option<String>,
    /// How long bytes stay that nothing names any more: a push may be about to name them, a
    /// download may be reading them. Unless given, 24 hours since they were last sent or asked for, and
    /// another hour before the object goes. `0s` is safe only while nobody pushes or pulls.
    grace: Option<String>,
    /// Only say what would go.
    #[serde(default)]
    dry_run: bool,
}

impl TryFrom<&NewCollection> for Order {
    type Error = Problem;

    fn try_from(new: &NewCollection) -> Result<Self, Problem> {
        let read = |field, text: &Option<String>| -> Result<Option<TimeDelta>, Problem> {
            text.as_deref().map(|text| collections::duration(field, text)).transpose()
        };
        Ok(Self {
            older_than: read("older_than", &new.older_than)?,
            grace: read("grace", &new.grace)?,
        })
    }
}

/// What a collection did, or would do.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "dry_run": false, "before": "2026-01-02T03:04:05Z",
    "purged": {"experiments": 0, "runs": 2, "logged_models": 1, "models": 0, "versions": 1},
    "objects": 3, "bytes_freed": 10485760, "failed": 0, "waiting": {"objects": 1, "bytes": 512},
    "complete": true,
}))]
pub struct Collection {
    dry_run: bool,
    /// What was deleted before this instant went.
    before: DateTime<Utc>,
    purged: Purged,
    /// How many objects were deleted.
    objects: u64,
    /// Their bytes.
    bytes_freed: u64,
    /// Objects that could not be deleted; the next collection tries again.
    failed: u64,
    waiting: Waiting,
    /// `false` where one call did not do it all: ask again.
    complete: bool,
}

/// How much was deleted for good.
#[derive(Serialize, ToSchema)]
pub struct Purged {
    experiments: u64,
    runs: u64,
    logged_models: u64,
    models: u64,
    /// But for those that went with their models.
    versions: u64,
}

/// What nothing names any more and stays for its grace.
#[derive(Serialize, ToSchema)]
pub struct Waiting {
    objects: u64,
    bytes: u64,
}

impl Collection {
    fn of(done: collections::Collection, dry_run: bool) -> Self {
        let counts = done.purged;
        Self {
            dry_run,
            before: done.before,
            purged: Purged {
                experiments: counts.experiments,
                runs: counts.runs,
                logged_models: counts.logged_models,
                models: counts.models,
                versions: counts.versions,
            },
            objects: done.freed.count,
            bytes_freed: done.freed.bytes,
            failed: done.failed,
            waiting: Waiting { objects: done.waiting.count, bytes: done.waiting.bytes },
            complete: done.complete,
        }
    }
}

/// Delete for good what was deleted long ago, and the bytes that nothing names any more. The server
/// does so by itself every ten minutes; this is for whoever cannot wait. With `dry_run` it only says
/// what would go.
#[utoipa::path(
    tag = "collections",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "What went", body = Collection), openapi::Writes),
)]
#[post("/collections")]
pub async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Json(new): Json<NewCollection>,
) -> Result<Json<Collection>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let order = Order::try_from(&new)?;
    let done = if new.dry_run {
        collections::preview(&state, &permit, order).await?
    } else {
        collections::collect(&state, &permit, order).await?
    };
    Ok(Json(Collection::of(done, new.dry_run)))
}
