//! `/runs`: starting, showing, ending, deleting and restoring them, without search.

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig, get, post},
};
use auth::{Access, Caller};
use domain::{
    Resource,
    tracking::{RunId, RunStatus},
};
use serde::Deserialize;
use serde_json::json;
use tracking::{
    State,
    runs::{self, Edit, NewRun},
};

use crate::{
    encode::{run_info_json, run_json},
    experiments::{Pair, done, experiment_id, tags, within},
    refusal::{Answer, Refusal},
    request::{Args, number, required},
};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/runs/create", post().to(create))
        .route("/runs/get", get().to(fetch))
        .route("/runs/update", post().to(update))
        .route("/runs/delete", post().to(delete))
        .route("/runs/restore", post().to(restore));
}

/// The run that a request is about. `run_uuid` is what it was called before; clients send both.
/// Whatever is no id of ours is absent.
pub fn run_id(run_id: Option<String>, run_uuid: Option<String>) -> Result<RunId, Refusal> {
    let given = run_id.filter(|id| !id.is_empty()).or(run_uuid);
    let given = required(given, "run_id")?;
    given.parse().map_err(|_: domain::Problem| runs::absent(given).into())
}

/// The same where MLflow's server tells ids that could be none of any run from those of none.
pub fn well_formed_run_id(given: Option<String>) -> Result<RunId, Refusal> {
    let given = required(given, "run_id")?;
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let is_formed = given.starts_with(|c: char| c.is_ascii_alphanumeric())
        && given.chars().all(is_word)
        && given.chars().count() <= 256;
    if !is_formed {
        let shown: String = given.chars().take(300).collect();
        return Err(Refusal::invalid(format!(
            "Invalid value {} for parameter 'run_id' supplied.",
            json!(shown)
        )));
    }
    run_id(Some(given), None)
}

#[derive(Debug, Deserialize)]
struct Create {
    experiment_id: Option<String>,
    user_id: Option<String>,
    run_name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    start_time: Option<i64>,
    #[serde(default)]
    tags: Vec<Pair>,
}

async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Create>,
) -> Answer {
    let given = args.experiment_id.filter(|id| !id.is_empty());
    let experiment = experiment_id(given.as_deref().unwrap_or("0"))?;
    let permit = access.authorize(&caller, Resource::Experiment(experiment.to_string())).await?;
    let new = NewRun {
        experiment,
        user_id: args.user_id.unwrap_or_default(),
        start_time: args.start_time.unwrap_or_default(),
        name: args.run_name,
        tags: tags(args.tags)?,
    };
    let run = runs::create(&state, &permit, new).await?;
    Ok(HttpResponse::Ok().json(json!({"run": run_json(&run)})))
}

#[derive(Debug, Deserialize)]
struct Which {
    run_id: Option<String>,
    run_uuid: Option<String>,
}

async fn fetch(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Which>,
) -> Answer {
    let id = run_id(args.run_id, args.run_uuid)?;
    let run = runs::get(&state, within(&access, &caller), id).await?;
    Ok(HttpResponse::Ok().json(json!({"run": run_json(&run)})))
}

#[derive(Debug, Deserialize)]
struct Update {
    run_id: Option<String>,
    run_uuid: Option<String>,
    status: Option<RunStatus>,
    #[serde(default, deserialize_with = "number")]
    end_time: Option<i64>,
    run_name: Option<String>,
}

async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Update>,
) -> Answer {
    let id = run_id(args.run_id, args.run_uuid)?;
    let edit = Edit { status: args.status, end_time: args.end_time, name: args.run_name };
    let run = runs::update(&state, within(&access, &caller), id, edit).await?;
    Ok(HttpResponse::Ok().json(json!({"run_info": run_info_json(&run)})))
}

async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Which>,
) -> Answer {
    let id = run_id(args.run_id, args.run_uuid)?;
    runs::delete(&state, within(&access, &caller), id).await?;
    Ok(done())
}

async fn restore(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Which>,
) -> Answer {
    let id = run_id(args.run_id, args.run_uuid)?;
    runs::restore(&state, within(&access, &caller), id).await?;
    Ok(done())
}
