//! What runs log: metrics, params, tags, inputs and outputs. Data, not governance: neither audited
//! nor announced, all or nothing in one transaction.

use auth::{Permit, verbs};
use domain::{
    ErrorCode, Problem,
    tracking::{Batch, DatasetInput, ExperimentId, LoggedModelId, RunId, Tag},
};
use serde_json::{Value, json};
use store::tracking::{Log, inputs::Direction};

use crate::{
    Result, State,
    runs::{absent, deleted, home, permitted},
};

/// The tag in which clients of 2.x keep the models that a run logged.
const MODELS_TAG: &str = "mlflow.log-model.history";

/// Logs a batch. `permit` is asked once it is known which experiment the run belongs to, here and
/// below.
///
/// # Errors
/// The run is not there, or not for this caller, or deleted; a param has another value already; a
/// metric names a logged model that is not there; the day's points are spent.
pub async fn batch(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Register>, Problem>,
    run: RunId,
    batch: &Batch,
) -> Result<()> {
    let experiment = home(state, run).await?;
    let permit = permitted(permit, experiment, run).await?;
    state.count_points(&permit, experiment, batch.metrics().len()).await?;
    let mut log = open(state, run).await?;
    log.batch(batch).await?;
    Ok(log.commit().await?)
}

/// Deletes a tag of a run.
///
/// # Errors
/// As for [`batch`]; the run has no such tag.
pub async fn delete_tag(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Register>, Problem>,
    run: RunId,
    key: &str,
) -> Result<()> {
    let mut log = begin(state, permit, run).await?;
    if !log.delete_tag(key).await? {
        let message = format!("No tag with name: {key} in run with id {run}");
        return Err(Problem::new(ErrorCode::NotFound, message).at("key").into());
    }
    Ok(log.commit().await?)
}

/// Says which datasets and logged models a run took in.
///
/// # Errors
/// As for [`batch`]; a dataset is wrong; a model is not there.
pub async fn inputs(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Register>, Problem>,
    run: RunId,
    datasets: &[DatasetInput],
    models: &[LoggedModelId],
) -> Result<()> {
    datasets.iter().try_for_each(DatasetInput::check)?;
    let models: Vec<_> = models.iter().map(|model| (*model, 0)).collect();
    let mut log = begin(state, permit, run).await?;
    log.datasets(datasets).await?;
    log.models(Direction::Input, &models).await?;
    Ok(log.commit().await?)
}

/// Says which logged models a run put out, each at a step.
///
/// # Errors
/// As for [`batch`]; a model is not there.
pub async fn outputs(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Register>, Problem>,
    run: RunId,
    models: &[(LoggedModelId, i64)],
) -> Result<()> {
    let mut log = begin(state, permit, run).await?;
    log.models(Direction::Output, models).await?;
    Ok(log.commit().await?)
}

/// Says that a run logged a model, as clients of 2.x do: `model` is what its `MLmodel` file says,
/// kept in a tag of the run.
///
/// # Errors
/// As for [`batch`]; the text is no such description.
pub async fn model(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Register>, Problem>,
    run: RunId,
    model: &str,
) -> Result<()> {
    let summary = summary(model)?;
    let mut log = begin(state, permit, run).await?;
    let before = log.lock_tag(MODELS_TAG).await?;
    let mut models: Vec<Value> = match before {
        None => Vec::new(),
        Some(text) => serde_json::from_str(&text).map_err(|_| {
            Problem::invalid(
                "model_json",
                format!("the tag `{MODELS_TAG}` of this run is not a list of models"),
            )
            .hint("delete the tag")
        })?,
    };
    models.push(summary);
    let value = Value::Array(models).to_string();
    let tag = Tag { key: MODELS_TAG.to_owned(), value };
    // Cut short, it would be no list any more.
    domain::tracking::check_length(MODELS_TAG, &tag.value, domain::tracking::LONGEST_TAG)?;
    log.batch(&Batch::of_tag(tag)?).await?;
    Ok(log.commit().await?)
}

/// What of a description is kept: who made it when, where, and its flavours without their settings.
fn summary(model: &str) -> Result<Value, Problem> {
    const NEEDED: [&str; 4] = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    let model: Value = serde_json::from_str(model).map_err(|_| {
        Problem::invalid("model_json", "Malformed model info: model_json is not a valid JSON")
    })?;
    let missing: Vec<_> = NEEDED.iter().filter(|field| model.get(field).is_none()).collect();
    if !missing.is_empty() {
        let message = format!("Model json is missing mandatory fields: {missing:?}");
        return Err(Problem::invalid("model_json", message));
    }
    let mut kept = serde_json::Map::new();
    for field in ["run_id", "utc_time_created", "artifact_path", "model_uuid"] {
        if let Some(value) = model.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    let mut flavors = model.get("flavors").cloned().unwrap_or_else(|| json!({}));
    for flavor in flavors.as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        if let Some(settings) = flavor.as_object_mut() {
            settings.remove("config");
        }
    }
    kept.insert("flavors".to_owned(), flavors);
    Ok(Value::Object(kept))
}

async fn begin(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Register>, Problem>,
    run: RunId,
) -> Result<Log> {
    permitted(permit, home(state, run).await?, run).await?;
    open(state, run).await
}

async fn open(state: &State, run: RunId) -> Result<Log> {
    let log = Log::begin(&state.database, run).await?.ok_or_else(|| absent(run))?;
    if log.is_deleted() {
        return Err(deleted(run).into());
    }
    Ok(log)
}
