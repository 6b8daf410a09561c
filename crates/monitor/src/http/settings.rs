//! `/endpoints/{endpoint}/capture`

use actix_web::{get, put, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::{EndpointRef, Problem, capture, parse_duration, write_duration};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize};
use store::capture::Captured;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{EndpointPath, resource};
use crate::{
    State,
    settings::{self, Edit},
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(show).service(set);
}

/// An input that is not written as it is.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"input": "name", "how": "drop"}))]
pub struct Mask {
    /// Its name in the schema.
    input: String,
    /// `drop`: nothing of it is written. `hash`: a keyed hash stands for each value.
    how: String,
}

/// What is captured of an endpoint's predictions.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "endpoint": "fraud", "revision": 2, "rate": 0.1, "sketches": true,
    "masks": [{"input": "name", "how": "drop"}], "subject": "customer", "retention": "30d",
    "set_by": "user:ana", "set_at": "2026-01-02T03:04:05Z",
}))]
pub struct Capture {
    #[schema(value_type = String)]
    endpoint: EndpointRef,
    /// How often it was changed; 0 where nobody has.
    revision: i32,
    /// The share of requests whose rows are kept, 0 to 1.
    rate: f64,
    /// Whether all rows go into distributions by the minute.
    sketches: bool,
    masks: Vec<Mask>,
    /// The input whose value says whom a row is about; null for none.
    #[schema(required)]
    subject: Option<String>,
    /// How long kept rows and distributions stay.
    retention: String,
    #[schema(required)]
    set_by: Option<String>,
    #[schema(required)]
    set_at: Option<DateTime<Utc>>,
}

impl Capture {
    fn of(endpoint: EndpointRef, captured: Captured) -> Self {
        let Captured { revision, settings, .. } = captured;
        let (set_by, set_at) = captured.set.unzip();
        let masks = settings.masks.into_iter();
        Self {
            endpoint,
            revision,
            rate: settings.rate,
            sketches: settings.sketches,
            masks: masks.map(|it| Mask { input: it.input, how: it.how.to_string() }).collect(),
            subject: settings.subject,
            retention: write_duration(settings.retention),
            set_by,
            set_at,
        }
    }
}

/// Show what is captured of an endpoint's predictions.
#[utoipa::path(
    tag = "capture",
    operation_id = "show_capture",
    extensions(("x-bottega-action" = json!("view:endpoint"))),
    params(EndpointPath),
    responses((status = 200, description = "What is captured", body = Capture), openapi::Reads),
)]
#[get("/endpoints/{endpoint}/capture")]
async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
) -> Result<Json<Capture>, ApiError> {
    let permit = access.authorize(&caller, resource(&endpoint)).await?;
    let captured = settings::get(&state, &permit, &endpoint).await?;
    Ok(Json(Capture::of(endpoint, captured)))
}

/// What shall be captured. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "rate": 0.1, "masks": [{"input": "name", "how": "drop"}], "subject": "customer", "if_revision": 1,
}))]
struct NewCapture {
    /// The share of requests whose rows are kept, 0 to 1.
    rate: Option<f64>,
    /// Whether all rows go into distributions by the minute.
    sketches: Option<bool>,
    /// All inputs that are masked.
    masks: Option<Vec<Mask>>,
    /// The input whose value says whom a row is about; empty for none.
    subject: Option<String>,
    /// How long kept rows and distributions stay: `1m` to `3650d`.
    retention: Option<String>,
    /// The revision that shall be changed; refused where somebody changed it meanwhile.
    if_revision: Option<i32>,
}

impl TryFrom<NewCapture> for Edit {
    type Error = Problem;

    fn try_from(wanted: NewCapture) -> Result<Self, Problem> {
        let NewCapture { rate, sketches, masks, subject, retention, if_revision } = wanted;
        let mask = |Mask { input, how }: Mask| Ok(capture::Mask { input, how: how.parse()? });
        let masks = masks.map(|masks| masks.into_iter().map(mask).collect());
        let masks = masks.transpose().map_err(|problem: Problem| problem.at("masks.how"))?;
        let retention = retention.as_deref().map(parse_duration).transpose();
        let retention = retention.map_err(|message| Problem::invalid("retention", message))?;
        Ok(Self { rate, sketches, masks, subject, retention, if_revision })
    }
}

/// Change what is captured of an endpoint's predictions, from now on. What was captured before stays
/// as it is.
#[utoipa::path(
    tag = "capture",
    operation_id = "set_capture",
    extensions(("x-bottega-action" = json!("configure:endpoint"))),
    params(EndpointPath),
    responses((status = 200, description = "What is captured", body = Capture), openapi::Writes),
)]
#[put("/endpoints/{endpoint}/capture")]
async fn set(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(EndpointPath { endpoint }): Path<EndpointPath>,
    Json(wanted): Json<NewCapture>,
) -> Result<Json<Capture>, ApiError> {
    let permit = access.authorize(&caller, resource(&endpoint)).await?;
    let captured = settings::set(&state, &permit, &endpoint, wanted.try_into()?).await?;
    Ok(Json(Capture::of(endpoint, captured)))
}
