//! `/usage` and `/usage/prices`

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, http::header, put, web::Data};
use chrono::NaiveDate;
use domain::{Cursor, Page, Problem, Resource, Timestamp};
use rest::{ApiError, Json, NoQuery, PageBody, PageQuery, Query, openapi};
use serde::{Deserialize, Serialize};
use store::{
    Database,
    usage::{COLUMNS, Prices, Total},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    Access, Caller,
    usage::{self, Question},
    verbs,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(totals).service(show_prices).service(set_prices);
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// JSON, page by page.
    #[default]
    Json,
    /// All of it as comma-separated values, with a line of headings.
    Csv,
}

/// Which use.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Whose: an account's, or of what a team owns; left out: of all, for administrators.
    #[param(example = "team:fraud")]
    subject: Option<String>,
    /// From that day on, in UTC.
    #[param(example = "2026-11-01")]
    since: Option<String>,
    /// Before that day.
    #[param(example = "2026-12-01")]
    until: Option<String>,
    /// Only of that model.
    model: Option<String>,
    /// Only through that endpoint.
    endpoint: Option<String>,
    /// What it is told apart by, of day, subject, team, model and endpoint: all of them unless asked.
    /// The rest is summed up.
    #[param(example = "day,model")]
    by: Option<String>,
    #[serde(default)]
    #[param(inline)]
    format: Format,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    limit: Option<u32>,
}

/// What was used.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "day": "2026-11-28", "subject": "service:shop", "team": "fraud", "model": "fraud", "endpoint": "fraud",
    "requests": 120000, "rows": 240000, "errors": 12, "cpu_seconds": 31.5, "bytes_in": 14400000,
    "bytes_out": 9600000, "artifact_byte_days": 0, "cost": "1.2",
}))]
pub struct TotalBody {
    #[schema(required, value_type = Option<String>, format = Date)]
    day: Option<NaiveDate>,
    #[schema(required)]
    subject: Option<String>,
    /// The team that owns it; empty where none does.
    #[schema(required)]
    team: Option<String>,
    #[schema(required)]
    model: Option<String>,
    /// Empty for what files take up.
    #[schema(required)]
    endpoint: Option<String>,
    /// Predictions that were asked for, answered or failed.
    requests: i64,
    /// Rows of their inputs.
    rows: i64,
    /// Those that failed.
    errors: i64,
    /// Time that the model ran; requests that shared a run share its time.
    cpu_seconds: f64,
    bytes_in: i64,
    bytes_out: i64,
    /// Bytes of files, each for each day that it was there.
    artifact_byte_days: i64,
    /// In the currency of the prices; null while there are none.
    #[schema(required)]
    cost: Option<String>,
}

impl From<Total> for TotalBody {
    fn from(total: Total) -> Self {
        let counts = total.counts;
        Self {
            day: total.day,
            subject: total.subject,
            team: total.team,
            model: total.model,
            endpoint: total.endpoint,
            requests: counts.requests,
            rows: counts.rows,
            errors: counts.errors,
            cpu_seconds: counts.cpu_micros as f64 / 1e6,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            artifact_byte_days: total.artifact_byte_days,
            cost: total.cost,
        }
    }
}

/// How many rows of CSV are read at a time.
const AT_ONCE: i64 = 1_000;

/// Sum up what was used, and what it costs: one's own use, that of what one's teams own, as an
/// administrator any.
#[utoipa::path(
    tag = "usage",
    extensions(("x-bottega-action" = json!(["self", "administer:platform when it is others'"]))),
    params(Filter),
    responses(
        (status = 200, description = "A page, or CSV", content((PageBody<TotalBody> = "application/json"), (String = "text/csv"))),
        openapi::Reads,
    ),
)]
#[get("/usage")]
pub async fn totals(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Query(filter): Query<Filter>,
) -> Result<HttpResponse, ApiError> {
    let Filter { subject, since, until, model, endpoint, by, format, cursor, limit } = filter;
    let by = match by {
        Some(by) => by.split(',').map(|column| column.trim().to_owned()).collect(),
        None => COLUMNS.map(str::to_owned).to_vec(),
    };
    let subject = subject.map(|subject| subject.parse()).transpose()?;
    let (since, until) = (day("since", since)?, day("until", until)?);
    let question = Question { subject, since, until, model, endpoint, by };
    if let Format::Csv = format {
        if cursor.is_some() || limit.is_some() {
            let problem = Problem::invalid("format", "CSV comes whole, without cursor and limit");
            return Err(problem.into());
        }
        let text = as_csv(&access, &database, &caller, &question).await?;
        let disposition = (header::CONTENT_DISPOSITION, "attachment; filename=\"usage.csv\"");
        let mut answer = HttpResponse::Ok();
        return Ok(answer
            .content_type("text/csv; charset=utf-8")
            .insert_header(disposition)
            .body(text));
    }
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let offset = cursor.as_ref().map(Cursor::key_as::<i64>).transpose()?.unwrap_or_default();
    let bounds = (offset, limit.get() + 1);
    let rows = usage::totals(&access, &database, &caller, &question, bounds).await?;
    let page = Page::from_rows(rows, limit, |_| (offset + limit.get()).to_string());
    Ok(HttpResponse::Ok().json(PageBody::<TotalBody>::from(page)))
}

fn day(field: &str, text: Option<String>) -> Result<Option<NaiveDate>, Problem> {
    let read = |text: String| {
        text.parse().map_err(|_| {
            Problem::invalid(field, format!("`{text}`: expected a day, like 2026-11-28"))
        })
    };
    text.map(read).transpose()
}

async fn as_csv(
    access: &Access,
    database: &Database,
    caller: &Caller,
    question: &Question,
) -> Result<Vec<u8>, Problem> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let headings = [
        "requests",
        "rows",
        "errors",
        "cpu_seconds",
        "bytes_in",
        "bytes_out",
        "artifact_byte_days",
        "cost",
    ];
    let failed = |_| Problem::internal();
    let asked = |column: &str| question.by.iter().any(|by| by == column);
    let columns = COLUMNS.iter().copied().filter(|column| asked(column));
    out.write_record(columns.chain(headings)).map_err(failed)?;
    let mut offset = 0;
    loop {
        let rows = usage::totals(access, database, caller, question, (offset, AT_ONCE)).await?;
        let count = rows.len() as i64;
        for row in rows.into_iter().map(TotalBody::from) {
            let day = row.day.map(|day| day.to_string());
            let names = [day, row.subject, row.team, row.model, row.endpoint];
            let names = names.into_iter().zip(COLUMNS).filter(|(_, column)| asked(column));
            let mut record: Vec<String> = names.map(|(name, _)| name.unwrap_or_default()).collect();
            record.extend([
                row.requests.to_string(),
                row.rows.to_string(),
                row.errors.to_string(),
                row.cpu_seconds.to_string(),
                row.bytes_in.to_string(),
                row.bytes_out.to_string(),
                row.artifact_byte_days.to_string(),
                row.cost.unwrap_or_default(),
            ]);
            out.write_record(&record).map_err(failed)?;
        }
        if count < AT_ONCE {
            return out.into_inner().map_err(|_| Problem::internal());
        }
        offset += AT_ONCE;
    }
}

/// What use costs.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "currency": "EUR", "prices": {"requests": "0.00001", "cpu_seconds": "0.00005"},
    "set_by": "user:ana", "set_at": "2026-11-28T12:00:00Z",
}))]
pub struct PricesBody {
    /// Null while nobody has set any.
    #[schema(required)]
    currency: Option<String>,
    /// Of one unit: of requests, rows, cpu_seconds, bytes_in, bytes_out, artifact_byte_days.
    prices: BTreeMap<String, String>,
    #[schema(required)]
    set_by: Option<String>,
    #[schema(required, value_type = Option<String>, format = DateTime)]
    set_at: Option<Timestamp>,
}

impl From<Option<Prices>> for PricesBody {
    fn from(prices: Option<Prices>) -> Self {
        match prices {
            Some(Prices { currency, units, set_by, set_at }) => Self {
                currency: Some(currency),
                prices: units,
                set_by: Some(set_by),
                set_at: Some(set_at),
            },
            None => Self { currency: None, prices: BTreeMap::new(), set_by: None, set_at: None },
        }
    }
}

/// Show what use costs.
#[utoipa::path(
    tag = "usage",
    extensions(("x-bottega-action" = json!("none because what use costs is for everybody who has an account"))),
    responses((status = 200, description = "The prices", body = PricesBody), openapi::Reads),
)]
#[get("/usage/prices")]
pub async fn show_prices(
    _caller: Caller,
    _query: NoQuery,
    database: Data<Database>,
) -> Result<Json<PricesBody>, ApiError> {
    Ok(Json(usage::prices(&database).await?.into()))
}

/// Prices to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"currency": "EUR", "prices": {"requests": "0.00001", "cpu_seconds": "0.00005"}}))]
pub struct NewPrices {
    /// By its three letters.
    currency: String,
    /// Decimal numbers as texts. What is not named costs nothing.
    prices: BTreeMap<String, String>,
}

/// Set what use costs: all prices at once. They hold for what was used before as well.
#[utoipa::path(
    tag = "usage",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "The prices", body = PricesBody), openapi::Writes),
)]
#[put("/usage/prices")]
pub async fn set_prices(
    caller: Caller,
    access: Data<Access>,
    database: Data<Database>,
    Json(NewPrices { currency, prices }): Json<NewPrices>,
) -> Result<Json<PricesBody>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    Ok(Json(usage::set_prices(&database, &permit, &currency, &prices).await?.into()))
}
