//! `/experiments/search-datasets`

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig, post},
};
use auth::{Access, Caller};
use serde::Deserialize;
use serde_json::{Value, json};
use tracking::{State, search};

use super::experiments;
use crate::{
    refusal::{Answer, Refusal},
    request::Args,
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.route("/experiments/search-datasets", post().to(datasets));
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
    let (experiments, permits) = experiments(&caller, &access, &experiment_ids)?;
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
