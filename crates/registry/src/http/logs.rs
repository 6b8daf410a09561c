//! `/endpoints/{endpoint}/logs`

use actix_web::{get, web::Data};
use auth::{Access, Caller};
use domain::{Limit, Timestamp};
use rest::{ApiError, Json, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use store::{prediction_log::Written, printed};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::path::{self, EndpointPath};
use crate::{
    State,
    logs::{self, Range},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(list_printed);
}

/// A prediction, or the refusal of one. Never what was sent or answered.
#[derive(Serialize, ToSchema)]
pub struct LogEntry {
    /// Its place in the log.
    id: i64,
    /// When it was answered.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The gateway that answered.
    node: String,
    /// The model of the version that answered; absent where none was picked.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    /// What the answer is called; absent for a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_id: Option<String>,
    request_id: String,
    /// The trace that it was part of, by the caller's `traceparent` or ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Who asked.
    caller: String,
    /// `v2`, `grpc`, `tensorflow`, `mlflow` or `sagemaker`.
    protocol: String,
    /// `ok`, or the code of the refusal.
    code: String,
    /// What was wrong in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The rows of the request.
    rows: i64,
    /// How long it waited for its turn.
    queue_micros: i64,
    /// How long the model ran.
    compute_micros: i64,
    /// From the request to the answer.
    total_micros: i64,
    /// Predictions of this endpoint on this node since its entry before that are not told: of each
    /// second the failures come first, and the others as far as there is room.
    left_out: i64,
}

impl From<Written> for LogEntry {
    fn from(entry: Written) -> Self {
        let (model, version) = entry.version.unzip();
        Self {
            id: entry.id,
            at: entry.at,
            node: entry.node.to_string(),
            model,
            version,
            inference_id: entry.inference_id,
            request_id: entry.request_id,
            trace_id: entry.trace_id,
            caller: entry.caller,
            protocol: entry.protocol,
            code: entry.code,
            field: entry.field,
            rows: entry.rows,
            queue_micros: entry.queue_micros,
            compute_micros: entry.compute_micros,
            total_micros: entry.total_micros,
            left_out: entry.left_out,
        }
    }
}

/// Entries, the oldest first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{
        "id": 4711, "at": "2026-01-02T03:04:05.678Z", "node": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1",
        "model": "fraud", "version": 3, "inference_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1",
        "request_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c2", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "caller": "service:shop", "protocol": "v2",
        "code": "ok", "rows": 1, "queue_micros": 12, "compute_micros": 80, "total_micros": 240, "left_out": 1890,
    }],
    "next_after": 4711,
}))]
pub struct LogPage {
    items: Vec<LogEntry>,
    /// `after` for what comes next.
    next_after: i64,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Those behind this one: `next_after` of the answer before. Without it, and without `since`, the
    /// last ones.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Those that are not older than this instant.
    #[param(format = DateTime, example = "2026-01-02T03:04:05Z")]
    since: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// List what an endpoint answered lately, on all gateways, the oldest first. Each gateway writes down a
/// bounded number a second, failures first, and says how many it left out; entries are kept for some
/// hours. They tell who asked, how it ended and where the time went, never what was sent or answered.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath, Wanted),
    responses((status = 200, description = "Entries", body = LogPage), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/logs")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(Wanted { after, since, limit }): Query<Wanted>,
) -> Result<Json<LogPage>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let range = Range { after, since: rest::instant("since", since)? };
    let entries = logs::list(&state, &permit, &endpoint, range, Limit::new(limit)?).await?;
    let last = entries.last().map(|entry| entry.id);
    Ok(Json(LogPage {
        next_after: last.or(after).unwrap_or(0),
        items: entries.into_iter().map(LogEntry::from).collect(),
    }))
}

/// A line that a version printed.
#[derive(Serialize, ToSchema)]
pub struct PrintedLine {
    /// Its place among them.
    id: i64,
    /// When it was printed.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The gateway whose process it was.
    node: String,
    model: String,
    version: i32,
    /// At most 4096 bytes, without its end.
    line: String,
}

impl From<printed::Written> for PrintedLine {
    fn from(written: printed::Written) -> Self {
        let printed::Written { id, node, at, version: (model, version), text } = written;
        Self { id, at, node: node.to_string(), model, version, line: text }
    }
}

/// Lines, the oldest first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{
        "id": 12, "at": "2026-01-02T03:04:05.678Z", "node": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1",
        "model": "fraud", "version": 3, "line": "loaded 200 trees",
    }],
    "next_after": 12,
}))]
pub struct PrintedPage {
    items: Vec<PrintedLine>,
    /// `after` for what comes next.
    next_after: i64,
}

/// List what an endpoint's versions printed lately, on all gateways, the oldest first: those that run in
/// processes of their own. Each gateway writes down a bounded number a second; lines are kept for some hours.
/// They are whatever a model's author has it print, and a version prints for all endpoints that it answers for: so
/// they are for whoever may deploy.
#[utoipa::path(
    tag = "endpoints",
    extensions(("x-bottega-action" = json!("deploy:endpoint"))),
    params(EndpointPath, Wanted),
    responses((status = 200, description = "Lines", body = PrintedPage), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/printed")]
pub async fn list_printed(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(Wanted { after, since, limit }): Query<Wanted>,
) -> Result<Json<PrintedPage>, ApiError> {
    let permit = access.authorize(&caller, path::endpoint(&endpoint)).await?;
    let range = Range { after, since: rest::instant("since", since)? };
    let lines = logs::printed(&state, &permit, &endpoint, range, Limit::new(limit)?).await?;
    let last = lines.last().map(|line| line.id);
    Ok(Json(PrintedPage {
        next_after: last.or(after).unwrap_or(0),
        items: lines.into_iter().map(PrintedLine::from).collect(),
    }))
}
