//! `/metrics/get-history`, `-bulk` and `-bulk-interval`

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig, get},
};
use auth::{Access, Caller, Permit, verbs};
use domain::{
    Problem, Resource,
    search::{Fingerprint, Position},
    tracking::{ExperimentId, RunId},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tracking::{
    State,
    search::{self, Point},
};

use super::{limit, page};
use crate::{
    encode::number_json,
    refusal::{Answer, Refusal},
    request::{Args, number, required},
};

/// The most runs of one question.
const MOST_RUNS: usize = 100;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/metrics/get-history", get().to(history))
        .route("/metrics/get-history-bulk", get().to(histories))
        .route("/metrics/get-history-bulk-interval", get().to(samples));
}

fn point_json(key: &str, point: &Point, names_run: bool) -> Value {
    let mut json = json!({
        "key": key,
        "value": number_json(point.value),
        "timestamp": point.timestamp,
        "step": point.step,
    });
    if let (true, Value::Object(fields)) = (names_run, &mut json) {
        fields.insert("run_id".to_owned(), json!(point.run.to_string()));
    }
    json
}

fn points_json(key: &str, points: &[Point]) -> HttpResponse {
    let points: Vec<Value> = points.iter().map(|point| point_json(key, point, true)).collect();
    HttpResponse::Ok().json(json!({"metrics": points}))
}

/// Allows to look into an experiment.
fn permits<'a>(
    caller: &'a Caller,
    access: &'a Access,
) -> impl AsyncFn(ExperimentId) -> Result<Permit<verbs::View>, Problem> + 'a {
    async move |id| access.authorize(caller, Resource::Experiment(id.to_string())).await
}

/// The runs of these ids. What is no id is no run's.
fn run_ids(ids: &[String]) -> Vec<RunId> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}

#[derive(Debug, Deserialize)]
struct History {
    run_id: Option<String>,
    run_uuid: Option<String>,
    metric_key: Option<String>,
    page_token: Option<String>,
    #[serde(default, deserialize_with = "number")]
    max_results: Option<i64>,
}

async fn history(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<History>,
) -> Answer {
    let run = required(args.run_id.filter(|id| !id.is_empty()).or(args.run_uuid), "run_id")?;
    let key = required(args.metric_key, "metric_key")?;
    let limit =
        args.max_results.map(|asked| limit(Some(asked), asked, i64::MAX - 1)).transpose()?;
    let fingerprint = Fingerprint::of(&("history", &run, &key));
    // What is no id is no run's.
    let Ok(run) = run.parse::<RunId>() else {
        return page("metrics", Vec::new(), &fingerprint, None);
    };
    let after = match args.page_token.filter(|token| !token.is_empty()) {
        Some(token) => Some(point(run, &fingerprint.position(&token, 3)?)?),
        None => None,
    };
    let one_more = limit.map(|limit| limit + 1);
    let permits = permits(&caller, &access);
    let mut points = search::history(&state, permits, (run, &key), after, one_more).await?;
    let size = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let more = points.len() > size;
    points.truncate(size);
    let next = points.last().filter(|_| more).map(position);
    let points = points.iter().map(|point| point_json(&key, point, false)).collect();
    page("metrics", points, &fingerprint, next.as_ref())
}

fn position(point: &Point) -> Position {
    [point.timestamp.to_string(), point.step.to_string(), point.value.to_string()]
        .into_iter()
        .map(Some)
        .collect()
}

fn point(run: RunId, position: &Position) -> Result<Point, Refusal> {
    let read = || {
        let [Some(timestamp), Some(step), Some(value)] = position.as_slice() else { return None };
        Some(Point {
            run,
            timestamp: timestamp.parse().ok()?,
            step: step.parse().ok()?,
            value: value.parse().ok()?,
        })
    };
    read().ok_or_else(|| Fingerprint::foreign().into())
}

#[derive(Debug, Deserialize)]
struct Histories {
    #[serde(default)]
    run_id: Vec<String>,
    metric_key: Option<String>,
    #[serde(default, deserialize_with = "number")]
    max_results: Option<i64>,
}

async fn histories(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Histories>,
) -> Answer {
    const MOST: i64 = 25_000;
    let asked = args.run_id.len();
    if asked == 0 {
        return Err(Refusal::invalid(
            "GetMetricHistoryBulk request must specify at least one run_id.",
        ));
    }
    if asked > MOST_RUNS {
        return Err(Refusal::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {MOST_RUNS} run_ids. Received {asked} run_ids."
        )));
    }
    let key = args.metric_key.ok_or_else(|| {
        Refusal::invalid("GetMetricHistoryBulk request must specify a metric_key.")
    })?;
    let runs = run_ids(&args.run_id);
    let limit = limit(args.max_results.map(|asked| asked.min(MOST)), MOST, MOST)?;
    let permits = permits(&caller, &access);
    let points = search::histories(&state, permits, &runs, &key, limit).await?;
    Ok(points_json(&key, &points))
}

#[derive(Debug, Deserialize)]
struct Samples {
    #[serde(default)]
    run_ids: Vec<String>,
    metric_key: Option<String>,
    #[serde(default, deserialize_with = "number")]
    start_step: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    end_step: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    max_results: Option<i64>,
}

async fn samples(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Samples>,
) -> Answer {
    const MOST: i64 = 2500;
    let asked = args.run_ids.len();
    required(args.run_ids.first().cloned(), "run_ids")?;
    if asked > MOST_RUNS {
        return Err(Refusal::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {MOST_RUNS} run_ids. Received {asked} run_ids."
        )));
    }
    let runs = run_ids(&args.run_ids);
    let key = required(args.metric_key, "metric_key")?;
    let most = args.max_results.unwrap_or(MOST);
    if !(1..=MOST).contains(&most) {
        return Err(Refusal::invalid(format!("max_results must be between 1 and {MOST}.")));
    }
    let range = match (args.start_step, args.end_step) {
        (None, None) => None,
        (Some(first), Some(last)) if first <= last => Some((first, last)),
        (Some(first), Some(last)) => {
            return Err(Refusal::invalid(format!(
                "end_step must be greater than start_step. Found start_step={first} and end_step={last}."
            )));
        }
        _ => {
            return Err(Refusal::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    let permits = permits(&caller, &access);
    let points = search::samples(&state, permits, (&runs, &key), range, most).await?;
    Ok(points_json(&key, &points))
}
