//! `/logged-models/search`

use actix_web::web::{Data, ServiceConfig, post};
use auth::{Access, Caller};
use domain::search::{Fingerprint, Sort, Subject, filter, order_by_field};
use serde::{Deserialize, Serialize};
use store::search::{OnDataset, Search, View};
use tracking::{State, search};

use super::{begin, limit, named_experiments, page};
use crate::{
    logged_models::logged_model_json,
    refusal::{Answer, Refusal},
    request::{Args, number, required},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.route("/logged-models/search", post().to(logged_models));
}

#[derive(Debug, Deserialize)]
struct LoggedModels {
    #[serde(default)]
    experiment_ids: Vec<String>,
    filter: Option<String>,
    #[serde(default)]
    datasets: Vec<Dataset>,
    #[serde(default, deserialize_with = "number")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<Order>,
    page_token: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Dataset {
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Order {
    field_name: Option<String>,
    ascending: Option<bool>,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

/// An empty text is as good as none.
fn on_dataset(name: Option<&String>, digest: Option<&String>) -> OnDataset {
    let given = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    OnDataset { name: given(name), digest: given(digest) }
}

fn sort(order: &Order) -> Result<(Sort, Option<OnDataset>), Refusal> {
    let name = required(order.field_name.clone(), "field_name")?;
    let dataset = on_dataset(order.dataset_name.as_ref(), order.dataset_digest.as_ref());
    Ok((order_by_field(&name, order.ascending.unwrap_or(true))?, Some(dataset)))
}

fn dataset(given: &Dataset) -> Result<OnDataset, Refusal> {
    let dataset = on_dataset(given.dataset_name.as_ref(), given.dataset_digest.as_ref());
    if dataset.name.is_none() {
        return Err(Refusal::invalid("`dataset_name` in the `datasets` clause must be specified."));
    }
    Ok(dataset)
}

async fn logged_models(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<LoggedModels>,
) -> Answer {
    if args.experiment_ids.is_empty() {
        return Err(Refusal::invalid(
            "Missing value for required parameter 'experiment_ids'. See the API docs for more information about request parameters.",
        ));
    }
    let filter_text = args.filter.unwrap_or_default();
    let (experiments, permits) = named_experiments(&caller, &access, &args.experiment_ids).await?;
    let search = Search {
        subject: Subject::LoggedModels,
        experiments,
        view: View::Active,
        conditions: filter(Subject::LoggedModels, &filter_text)?,
        datasets: args.datasets.iter().map(dataset).collect::<Result<_, _>>()?,
        order: args.order_by.iter().map(sort).collect::<Result<_, _>>()?,
        after: None,
        limit: limit(args.max_results.filter(|asked| *asked != 0), 50, 50_000)?,
    };
    let (ids, order) = (&args.experiment_ids, &args.order_by);
    let fingerprint = Fingerprint::of(&("logged_models", ids, &filter_text, order, args.datasets))
        .telling("Experiment IDs in the page token do not match those of the request", ids)
        .telling("Filter string in the page token does not match the request's", &filter_text)
        .telling("Order by in the page token does not match the request's", order);
    let search = begin(search, &fingerprint, args.page_token.as_ref())?;
    let (models, next) = search::logged_models(&state, &permits, &search).await?;
    page("models", models.iter().map(logged_model_json).collect(), &fingerprint, next.as_ref())
}
