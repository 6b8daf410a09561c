//! `/logged-models`: what runs put out since MLflow 3.

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query, ServiceConfig, delete, get, patch, post, resource},
};
use auth::{Access, Caller, Permit, Verb};
use domain::{
    Problem, Resource,
    tracking::{ExperimentId, LoggedModelId},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tracking::{
    State, files,
    logged_models::{self, LoggedModel, Metric, New, Status},
};

use crate::{
    artifacts,
    encode::number_json,
    refusal::{Answer, Refusal},
    request::{Args, required},
};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/logged-models", post().to(create))
        .service(
            resource("/logged-models/{model_id}")
                .route(get().to(fetch))
                .route(patch().to(finalise))
                .route(delete().to(remove)),
        )
        .route("/logged-models/{model_id}/tags", patch().to(set_tags))
        .route("/logged-models/{model_id}/tags/{tag_key:.*}", delete().to(delete_tag))
        .route("/logged-models/{model_id}/params", post().to(log_params))
        .route("/logged-models/{model_id}/artifacts/directories", get().to(list_files));
}

#[derive(Debug, Deserialize)]
struct Pair {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

fn pairs(pairs: Vec<Pair>) -> Vec<(String, String)> {
    pairs.into_iter().map(|Pair { key, value }| (key, value)).collect()
}

#[derive(Debug, Default, Deserialize)]
struct Create {
    experiment_id: Option<String>,
    name: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    #[serde(default)]
    params: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Create>,
) -> Answer {
    let experiment: ExperimentId = required(args.experiment_id, "experiment_id")?.parse()?;
    let permit = access.authorize(&caller, Resource::Experiment(experiment.to_string())).await?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let new = New {
        name: given(args.name),
        source_run: given(args.source_run_id),
        model_type: given(args.model_type),
        params: pairs(args.params),
        tags: pairs(args.tags),
    };
    answer(&logged_models::create(&state, &permit, experiment, new).await?)
}

#[derive(Debug, Default, Deserialize)]
struct Fetch {
    allow_deleted: Option<String>,
}

async fn fetch(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    id: Path<String>,
    Query(Fetch { allow_deleted }): Query<Fetch>,
) -> Answer {
    let deleted_too = allow_deleted.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let (id, home) = logged_models::home(&state, &id, deleted_too).await?;
    let permit = permitted(&caller, &access, id, home).await?;
    answer(&logged_models::get(&state, &permit, id).await?)
}

#[derive(Debug, Default, Deserialize)]
struct Finalise {
    status: Option<Value>,
}

async fn finalise(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    id: Path<String>,
    Args(Finalise { status }): Args<Finalise>,
) -> Answer {
    let status = status_of(status.as_ref())?;
    let (id, permit) = permit(&caller, &access, &state, &id).await?;
    answer(&logged_models::finalise(&state, &permit, id, status).await?)
}

/// As protobuf's JSON has it: by name, or by number.
fn status_of(status: Option<&Value>) -> Result<Status, Refusal> {
    let name = match status {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(other) => Some(other.to_string()),
    };
    let name = required(name, "status")?;
    [(Status::Pending, "1"), (Status::Ready, "2"), (Status::Failed, "3")]
        .into_iter()
        .find(|(status, number)| name == status.as_str() || name == *number)
        .map(|(status, _)| status)
        .ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            Refusal::invalid(format!(
                "Invalid value for parameter 'status' supplied: {shown}: expected LOGGED_MODEL_PENDING, LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED"
            ))
        })
}

async fn remove(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    id: Path<String>,
) -> Answer {
    let (id, permit) = permit(&caller, &access, &state, &id).await?;
    logged_models::delete(&state, &permit, id).await?;
    Ok(nothing())
}

#[derive(Debug, Default, Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Vec<Pair>,
}

async fn set_tags(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    id: Path<String>,
    Args(Tags { tags }): Args<Tags>,
) -> Answer {
    let (id, permit) = permit(&caller, &access, &state, &id).await?;
    logged_models::set_tags(&state, &permit, id, pairs(tags)).await?;
    Ok(nothing())
}

async fn delete_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Answer {
    let (id, key) = path.into_inner();
    let (id, permit) = permit(&caller, &access, &state, &id).await?;
    logged_models::delete_tag(&state, &permit, id, &key).await?;
    Ok(nothing())
}

#[derive(Debug, Default, Deserialize)]
struct Params {
    #[serde(default)]
    params: Vec<Pair>,
}

async fn log_params(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    id: Path<String>,
    Args(Params { params }): Args<Params>,
) -> Answer {
    let (id, permit) = permit(&caller, &access, &state, &id).await?;
    logged_models::log_params(&state, &permit, id, pairs(params)).await?;
    Ok(nothing())
}

#[derive(Debug, Default, Deserialize)]
struct Directory {
    artifact_directory_path: Option<String>,
}

async fn list_files(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    id: Path<String>,
    Args(Directory { artifact_directory_path }): Args<Directory>,
) -> Answer {
    let root = files::root_of_model(&state, &id).await?;
    let folder = artifact_directory_path.unwrap_or_default();
    let absent = || logged_models::absent(&id);
    artifacts::list_below(&caller, &access, &state, &root, &folder, absent).await
}

/// The permit for a logged model that is not deleted.
async fn permit<V: Verb>(
    caller: &Caller,
    access: &Access,
    state: &State,
    id: &str,
) -> Result<(LoggedModelId, Permit<V>), Refusal> {
    let (id, home) = logged_models::home(state, id, false).await?;
    Ok((id, permitted(caller, access, id, home).await?))
}

/// Who may not see a logged model's experiment is told that there is no such model.
async fn permitted<V: Verb>(
    caller: &Caller,
    access: &Access,
    id: LoggedModelId,
    home: ExperimentId,
) -> Result<Permit<V>, Problem> {
    let permit = access.authorize(caller, Resource::Experiment(home.to_string())).await;
    permit.map_err(|problem| problem.absent_as(|| logged_models::absent(id)))
}

fn answer(model: &LoggedModel) -> Answer {
    Ok(HttpResponse::Ok().json(json!({"model": logged_model_json(model)})))
}

fn nothing() -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}

/// The tag in which MLflow's clients look for the versions made of a logged model.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// Made from what there is, so that it names no version that is gone.
fn versions_tag(registrations: &[(String, i32)]) -> String {
    let versions: Vec<_> = registrations
        .iter()
        .map(|(name, version)| format!(r#"{{"name": {}, "version": {version}}}"#, json!(name)))
        .collect();
    format!("[{}]", versions.join(", "))
}

/// A logged model, as MLflow's `LoggedModel`.
pub fn logged_model_json(model: &LoggedModel) -> Value {
    let mut info = json!({
        "model_id": model.id.to_string(),
        "experiment_id": model.experiment.to_string(),
        "name": model.name,
        "creation_timestamp_ms": model.created_at.timestamp_millis(),
        "last_updated_timestamp_ms": model.updated_at.timestamp_millis(),
        "artifact_uri": model.artifact_uri,
        "status": model.status,
    });
    let mut optional = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            info[key] = value;
        }
    };
    optional("model_type", model.model_type.as_ref().map(|text| json!(text)));
    optional("source_run_id", model.source_run.map(|run| json!(run.to_string())));
    optional("status_message", model.status_message.as_ref().map(|text| json!(text)));
    let mut tags = model.tags.clone();
    if !model.registrations.is_empty() {
        tags.insert(VERSIONS_TAG.to_owned(), versions_tag(&model.registrations));
    }
    optional("tags", list(tags.iter().map(|(key, value)| json!({"key": key, "value": value}))));
    let registrations = model
        .registrations
        .iter()
        .map(|(name, version)| json!({"name": name, "version": version.to_string()}));
    optional("registrations", list(registrations));
    let mut data = json!({});
    if let Some(params) =
        list(model.params.iter().map(|(key, value)| json!({"key": key, "value": value})))
    {
        data["params"] = params;
    }
    if let Some(metrics) = list(model.metrics.iter().map(|metric| metric_json(model, metric))) {
        data["metrics"] = metrics;
    }
    json!({"info": info, "data": data})
}

fn metric_json(model: &LoggedModel, metric: &Metric) -> Value {
    let mut json = json!({
        "key": metric.key,
        "value": number_json(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
        "model_id": model.id.to_string(),
        "run_id": metric.run.to_string(),
    });
    if let Some((name, digest)) = &metric.dataset {
        json["dataset_name"] = json!(name);
        if let Some(digest) = digest {
            json["dataset_digest"] = json!(digest);
        }
    }
    json
}

/// Absent if it is empty, as protobuf leaves out empty lists.
fn list(items: impl Iterator<Item = Value>) -> Option<Value> {
    let items: Vec<Value> = items.collect();
    (!items.is_empty()).then_some(Value::Array(items))
}
