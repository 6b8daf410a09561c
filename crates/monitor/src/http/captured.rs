//! `/endpoints/{endpoint}/captured`

use actix_web::{delete, get, web::Data};
use auth::{Access, Caller};
use domain::Problem;
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, instant, openapi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::{EndpointPath, resource};
use crate::{
    State,
    captured::{self, Deleted, Filter, Row, Which},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(delete);
}

/// A row that was kept.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object, example = json!({
    "inference_id": "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1", "row": 0, "at": "2026-01-02T03:04:05.123456Z",
    "release": 2, "model": "fraud", "version": 3, "caller": "service:shop", "protocol": "v2", "shadow": false,
    "code": "ok", "latency_us": 412, "inputs": {"x": [31.0, 2400.0]}, "outputs": {"label": 0},
}))]
pub struct CapturedRow(Row);

impl From<Row> for CapturedRow {
    fn from(row: Row) -> Self {
        Self(row)
    }
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CapturedQuery {
    /// Those of this inference.
    #[param(example = "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1")]
    inference_id: Option<String>,
    /// Those that are about this one, by the value of the endpoint's `subject` input.
    #[param(example = "c-4711")]
    subject: Option<String>,
    /// Answered not before this instant.
    #[param(example = "2026-11-17T14:00:00Z")]
    since: Option<String>,
    /// Answered before this instant.
    #[param(example = "2026-11-18T14:00:00Z")]
    until: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

fn which(inference: Option<String>, subject: Option<String>) -> Result<Option<Which>, Problem> {
    match (inference, subject) {
        (Some(_), Some(_)) => {
            let message = "`inference_id` and `subject` stand together: expected one of them";
            Err(Problem::invalid("subject", message))
        }
        (Some(id), None) => Ok(Some(Which::Inference(id))),
        (None, Some(value)) => Ok(Some(Which::Subject(value))),
        (None, None) => Ok(None),
    }
}

/// List the rows that were kept of an endpoint's predictions, those of the newest files first: what was
/// answered, what shadows answered (`shadow`), and what failed, by its `code` and without outputs. The audit
/// trail is told who read what.
#[utoipa::path(
    tag = "capture",
    operation_id = "list_captured",
    extensions(("x-bottega-action" = json!("view-data:endpoint"))),
    params(EndpointPath, CapturedQuery),
    responses((status = 200, description = "A page of rows", body = PageBody<CapturedRow>), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/captured")]
async fn list(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(query): Query<CapturedQuery>,
) -> Result<Json<PageBody<CapturedRow>>, ApiError> {
    let permit = access.authorize(&caller, resource(&endpoint)).await?;
    let CapturedQuery { inference_id, subject, since, until, cursor, limit } = query;
    let filter = Filter {
        which: which(inference_id, subject)?,
        since: instant("since", since)?,
        until: instant("until", until)?,
        answered: false,
    };
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let page = captured::list(&state, &permit, &endpoint, &filter, cursor.as_ref(), limit).await?;
    Ok(Json(page.into()))
}

/// Which rows go.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeletedQuery {
    /// Those of this inference.
    #[param(example = "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1")]
    inference_id: Option<String>,
    /// Those that are about this one, by the value of the endpoint's `subject` input.
    #[param(example = "c-4711")]
    subject: Option<String>,
}

/// What a deletion did.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"rows": 12, "files": 3}))]
struct DeletedBody {
    /// The rows that are gone.
    rows: usize,
    /// The files that were written anew without them.
    files: usize,
}

/// Delete kept rows of an inference, or about somebody. Rows that a gateway has not written down yet,
/// those of the last minute or so, are not among them: ask again. The old files' bytes go with the next
/// collection, within minutes.
#[utoipa::path(
    tag = "capture",
    operation_id = "delete_captured",
    extensions(("x-bottega-action" = json!("configure:endpoint"))),
    params(EndpointPath, DeletedQuery),
    responses((status = 200, description = "How many", body = DeletedBody), openapi::Writes),
)]
#[delete("/endpoints/{endpoint}/captured")]
async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Query(DeletedQuery { inference_id, subject }): Query<DeletedQuery>,
) -> Result<Json<DeletedBody>, ApiError> {
    let permit = access.authorize(&caller, resource(&endpoint)).await?;
    let which = which(inference_id, subject)?.ok_or_else(|| {
        let message = "nothing says which rows: expected `inference_id` or `subject`";
        Problem::invalid("inference_id", message)
    })?;
    let Deleted { rows, files } = captured::delete(&state, &permit, &endpoint, &which).await?;
    Ok(Json(DeletedBody { rows, files }))
}
