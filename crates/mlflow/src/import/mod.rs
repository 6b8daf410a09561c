//! `/api/v1/import`: our own API for what comes from another MLflow server. It keeps ids and times,
//! as MLflow's own calls cannot.
//!
//! Whoever imports reads the source, asks what is known of its items, carries those whose mark
//! differs, and marks them once all of them is here. All of it can be repeated at any point.

mod files;
mod registry;
mod tracking;

use std::collections::BTreeMap;

use ::tracking::{State, import};
use actix_web::{get, post, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{ImportKind, ImportSourceId, Problem, Resource};
use rest::{ApiError, BodyLimit, Json, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::{scope, service_config::ServiceConfig};

/// The longest body: the profile of a dataset may have 16 MiB, and a run may have read several.
const LONGEST_BODY: usize = 128 << 20;

/// Registers the operations, to be mounted at `/api/v1`. They need `web::Data` of
/// [`::tracking::State`], [`::registry::State`] and [`Access`].
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(
        scope("/import")
            .app_data(BodyLimit(LONGEST_BODY))
            .service(begin)
            .service(find)
            .service(known)
            .service(mark)
            .configure(tracking::routes)
            .configure(files::routes)
            .configure(registry::routes),
    );
}

/// A source.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct SourcePath {
    /// Its id, as `POST /import/sources` answered it.
    #[param(value_type = String, format = Uuid)]
    source: ImportSourceId,
}

/// Where something is imported from.
#[derive(Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[schema(example = json!({"url": "http://mlflow.internal:5000"}))]
struct Address {
    /// The MLflow server's address, without a slash at the end. Nobody connects to it from here.
    #[param(example = "http://mlflow.internal:5000")]
    url: String,
}

/// A server that is imported from.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "url": "http://mlflow.internal:5000",
    "created_by": "user:admin", "created_at": "2026-01-02T03:04:05Z",
}))]
struct ImportSource {
    #[schema(value_type = String, format = Uuid)]
    id: ImportSourceId,
    url: String,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl From<import::Source> for ImportSource {
    fn from(source: import::Source) -> Self {
        let import::Source { id, url, created_by, created_at } = source;
        Self { id, url, created_by, created_at }
    }
}

/// Name the server to import from. The same address is the same source, whoever names it.
#[utoipa::path(
    tag = "import",
    operation_id = "begin_import",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "The source", body = ImportSource), openapi::Writes),
)]
#[post("/sources")]
async fn begin(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Json(Address { url }): Json<Address>,
) -> Result<Json<ImportSource>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    Ok(Json(import::begin(&state, &permit, &url).await?.into()))
}

/// Find the source at an address.
#[utoipa::path(
    tag = "import",
    operation_id = "find_import_source",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(Address),
    responses((status = 200, description = "The source", body = ImportSource), openapi::Reads),
)]
#[get("/sources")]
async fn find(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(Address { url }): Query<Address>,
) -> Result<Json<ImportSource>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let found = import::source_at(&state, &permit, &url).await?;
    let found = found.ok_or_else(|| Problem::not_found("import source", &url).at("url"))?;
    Ok(Json(found.into()))
}

/// Items of a source.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "run", "ids": ["0123456789abcdef0123456789abcdef"]}))]
struct Asked {
    /// `experiment`, `run`, `logged_model`, `model`, `version`.
    #[schema(value_type = String)]
    kind: ImportKind,
    /// As the source calls them, at most 1000: ids, names, `name/3` for a version.
    ids: Vec<String>,
}

/// What is known of an item.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"ours": "0123456789abcdef0123456789abcdef", "mark": "sha256:…"}))]
struct KnownItem {
    /// Its id here.
    ours: String,
    /// What it was marked with; null while parts of it are missing.
    #[schema(required)]
    mark: Option<String>,
}

/// What is known, by the source's ids.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"items": {
    "0123456789abcdef0123456789abcdef": {"ours": "0123456789abcdef0123456789abcdef", "mark": "sha256:…"},
}}))]
struct KnownItems {
    items: BTreeMap<String, KnownItem>,
}

/// Which of these items were carried before? What was never carried is left out.
#[utoipa::path(
    tag = "import",
    operation_id = "list_imported",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(SourcePath),
    responses((status = 200, description = "What is known of them", body = KnownItems), openapi::Writes),
)]
#[post("/sources/{source}/known")]
async fn known(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(SourcePath { source }): Path<SourcePath>,
    Json(Asked { kind, ids }): Json<Asked>,
) -> Result<Json<KnownItems>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let found = import::known(&state, &permit, source, kind, &ids).await?;
    let items =
        found.into_iter().map(|item| (item.theirs, KnownItem { ours: item.ours, mark: item.mark }));
    Ok(Json(KnownItems { items: items.collect() }))
}

/// Items of which all is carried.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "run", "marks": {"0123456789abcdef0123456789abcdef": "sha256:…"}}))]
struct Marks {
    /// `experiment`, `run`, `logged_model`, `model`, `version`.
    #[schema(value_type = String)]
    kind: ImportKind,
    /// By the source's ids, at most 1000: whatever tells what the source said of each.
    marks: BTreeMap<String, String>,
}

/// An answer without content of its own.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"done": 1}))]
struct Done {
    /// How many.
    done: usize,
}

/// Note that all of these items is here.
#[utoipa::path(
    tag = "import",
    operation_id = "mark_imported",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(SourcePath),
    responses((status = 200, description = "It is noted", body = Done), openapi::Writes),
)]
#[post("/sources/{source}/marks")]
async fn mark(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(SourcePath { source }): Path<SourcePath>,
    Json(Marks { kind, marks }): Json<Marks>,
) -> Result<Json<Done>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let marks: Vec<(String, String)> = marks.into_iter().collect();
    import::mark(&state, &permit, source, kind, &marks).await?;
    Ok(Json(Done { done: marks.len() }))
}
