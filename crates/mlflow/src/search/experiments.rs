//! `/experiments/search` and `/experiments/search-datasets`

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig, get, post},
};
use auth::{Access, Caller};
use domain::{
    access::Kind,
    search::{Fingerprint, Subject, filter, order},
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::search::Search;
use tracking::{State, search};

use super::{begin, limit, named_experiments, page, view};
use crate::{
    encode::experiment_json,
    refusal::{Answer, Refusal},
    request::{Args, number},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/experiments/search", get().to(experiments))
        .route("/experiments/search", post().to(experiments))
        .route("/experiments/search-datasets", post().to(datasets));
}

#[derive(Debug, Deserialize)]
struct Experiments {
    filter: Option<String>,
    view_type: Option<Value>,
    #[serde(default, deserialize_with = "number")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<String>,
    page_token: Option<String>,
}

async fn experiments(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Experiments>,
) -> Answer {
    let permit = access.list(&caller, Kind::Experiment).await?;
    let filter_text = args.filter.unwrap_or_default();
    let sorts = order(Subject::Experiments, &args.order_by)?;
    let search = Search {
        subject: Subject::Experiments,
        experiments: Vec::new(),
        view: view("view_type", args.view_type.as_ref())?,
        conditions: filter(Subject::Experiments, &filter_text)?,
        datasets: Vec::new(),
        order: sorts.into_iter().map(|sort| (sort, None)).collect(),
        after: None,
        limit: limit(args.max_results, 1000, 50_000)?,
    };
    let fingerprint = Fingerprint::of(&("experiments", filter_text, args.order_by, args.view_type));
    let search = begin(search, &fingerprint, args.page_token.as_ref())?;
    let (found, next) = search::experiments(&state, &permit, &search).await?;
    page("experiments", found.iter().map(experiment_json).collect(), &fingerprint, next.as_ref())
}

#[derive(Debug, Deserialize)]
struct Datasets {
    #[serde(default)]
    experiment_ids: Vec<String>,
}

/// The most experiments of one question for datasets.
const MOST_EXPERIMENTS: usize = 20;

async fn datasets(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(Datasets { experiment_ids }): Args<Datasets>,
) -> Answer {
    if experiment_ids.is_empty() {
        return Err(Refusal::invalid(
            "SearchDatasets request must specify at least one experiment_id.",
        ));
    }
    if experiment_ids.len() > MOST_EXPERIMENTS {
        return Err(Refusal::invalid(format!(
            "SearchDatasets request cannot specify more than {MOST_EXPERIMENTS} experiment_ids. Received {} experiment_ids.",
            experiment_ids.len()
        )));
    }
    let (experiments, permits) = named_experiments(&caller, &access, &experiment_ids).await?;
    let found = search::datasets(&state, &permits, &experiments).await?;
    let summaries: Vec<Value> = found
        .iter()
        .map(|dataset| {
            let mut summary = serde_json::Map::new();
            summary.insert("experiment_id".to_owned(), json!(dataset.experiment.to_string()));
            summary.insert("name".to_owned(), json!(dataset.name));
            summary.insert("digest".to_owned(), json!(dataset.digest));
            if let Some(context) = &dataset.context {
                summary.insert("context".to_owned(), json!(context));
            }
            Value::Object(summary)
        })
        .collect();
    let answer =
        if summaries.is_empty() { json!({}) } else { json!({"dataset_summaries": summaries}) };
    Ok(HttpResponse::Ok().json(answer))
}
