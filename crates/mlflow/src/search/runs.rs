//! `/runs/search`

use actix_web::web::{Data, ServiceConfig, post};
use auth::{Access, Caller};
use domain::search::{Fingerprint, Subject, filter, order};
use serde::Deserialize;
use serde_json::Value;
use store::search::Search;
use tracking::{State, search};

use super::{begin, limit, named_experiments, page, view};
use crate::{
    encode::run_json,
    refusal::Answer,
    request::{Args, number},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.route("/runs/search", post().to(runs));
}

#[derive(Debug, Deserialize)]
struct Runs {
    #[serde(default)]
    experiment_ids: Vec<String>,
    filter: Option<String>,
    run_view_type: Option<Value>,
    #[serde(default, deserialize_with = "number")]
    max_results: Option<i64>,
    #[serde(default)]
    order_by: Vec<String>,
    page_token: Option<String>,
}

async fn runs(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Runs>,
) -> Answer {
    let filter_text = args.filter.unwrap_or_default();
    let (experiments, permits) = named_experiments(&caller, &access, &args.experiment_ids).await?;
    let search = Search {
        subject: Subject::Runs,
        experiments,
        view: view("run_view_type", args.run_view_type.as_ref())?,
        conditions: filter(Subject::Runs, &filter_text)?,
        datasets: Vec::new(),
        order: order(Subject::Runs, &args.order_by)?.into_iter().map(|sort| (sort, None)).collect(),
        after: None,
        limit: limit(args.max_results, 1000, 50_000)?,
    };
    let fingerprint = Fingerprint::of(&(
        "runs",
        args.experiment_ids,
        filter_text,
        args.order_by,
        args.run_view_type,
    ));
    let search = begin(search, &fingerprint, args.page_token.as_ref())?;
    let (runs, next) = search::runs(&state, &permits, &search).await?;
    page("runs", runs.iter().map(run_json).collect(), &fingerprint, next.as_ref())
}
