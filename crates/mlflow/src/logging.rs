//! `/runs/log-…`, tags, inputs and outputs: what runs log.

use actix_web::web::{Data, ServiceConfig, post};
use auth::{Access, Caller};
use domain::{
    Problem,
    tracking::{Batch, Dataset, DatasetInput, LoggedModelId, Metric, Param, Tag},
};
use serde::Deserialize;
use tracking::{State, log};

use crate::{
    experiments::{Pair, done, tags, within},
    refusal::{Answer, Refusal},
    request::{Args, number, required},
    runs::{run_id, well_formed_run_id},
};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/runs/log-metric", post().to(metric))
        .route("/runs/log-parameter", post().to(param))
        .route("/runs/log-batch", post().to(batch))
        .route("/runs/set-tag", post().to(set_tag))
        .route("/runs/delete-tag", post().to(delete_tag))
        .route("/runs/log-inputs", post().to(inputs))
        .route("/runs/outputs", post().to(outputs))
        .route("/runs/log-model", post().to(model));
}

#[derive(Debug, Deserialize)]
struct MetricArgs {
    // The first two say whose metric it is where it comes alone.
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: Option<String>,
    #[serde(default, deserialize_with = "number")]
    value: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    timestamp: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    step: Option<i64>,
    model_id: Option<String>,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

impl MetricArgs {
    /// The metric; `path` is where it stands among the arguments, as `metrics[3].`.
    fn metric(self, path: &str) -> Result<Metric, Refusal> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Metric {
            key: required(self.key, &format!("{path}key"))?,
            value: required(self.value, &format!("{path}value"))?,
            timestamp: required(self.timestamp, &format!("{path}timestamp"))?,
            step: self.step.unwrap_or_default(),
            model: given(self.model_id).map(|id| model_id(&id)).transpose()?,
            dataset_name: given(self.dataset_name),
            dataset_digest: given(self.dataset_digest),
        })
    }
}

/// Whatever is no id of ours is absent.
fn model_id(text: &str) -> Result<LoggedModelId, Refusal> {
    text.parse().map_err(|_: Problem| {
        let shown: String = text.chars().take(300).collect();
        Refusal::absent(format!("Logged model with ID '{shown}' not found."))
    })
}

async fn metric(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(mut args): Args<MetricArgs>,
) -> Answer {
    let run = run_id(args.run_id.take(), args.run_uuid.take())?;
    let batch = Batch::of_metric(args.metric("")?)?;
    log::batch(&state, within(&access, &caller), run, &batch).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct PairArgs {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

async fn param(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<PairArgs>,
) -> Answer {
    let run = run_id(args.run_id, args.run_uuid)?;
    let key = required(args.key, "key")?;
    let batch = Batch::of_param(Param { key, value: args.value.unwrap_or_default() })?;
    log::batch(&state, within(&access, &caller), run, &batch).await?;
    Ok(done())
}

async fn set_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<PairArgs>,
) -> Answer {
    let run = run_id(args.run_id, args.run_uuid)?;
    let key = required(args.key, "key")?;
    let batch = Batch::of_tag(Tag { key, value: args.value.unwrap_or_default() })?;
    log::batch(&state, within(&access, &caller), run, &batch).await?;
    Ok(done())
}

async fn delete_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<PairArgs>,
) -> Answer {
    let run = run_id(args.run_id, args.run_uuid)?;
    let key = required(args.key, "key")?;
    log::delete_tag(&state, within(&access, &caller), run, &key).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct BatchArgs {
    run_id: Option<String>,
    #[serde(default)]
    metrics: Vec<MetricArgs>,
    #[serde(default)]
    params: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

async fn batch(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<BatchArgs>,
) -> Answer {
    let run = well_formed_run_id(args.run_id)?;
    let metrics = args.metrics.into_iter().enumerate();
    let metrics = metrics.map(|(index, metric)| metric.metric(&format!("metrics[{index}].")));
    let params = args.params.into_iter().enumerate();
    let params = params.map(|(index, pair)| {
        let key = required(pair.key, &format!("params[{index}].key"))?;
        Ok(Param { key, value: pair.value.unwrap_or_default() })
    });
    let batch = Batch::new(
        metrics.collect::<Result<_, Refusal>>()?,
        params.collect::<Result<_, Refusal>>()?,
        tags(args.tags)?,
    )?;
    log::batch(&state, within(&access, &caller), run, &batch).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct DatasetArgs {
    name: Option<String>,
    digest: Option<String>,
    source_type: Option<String>,
    source: Option<String>,
    schema: Option<String>,
    profile: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DatasetInputArgs {
    #[serde(default)]
    tags: Vec<Pair>,
    dataset: Option<DatasetArgs>,
}

impl DatasetInputArgs {
    fn input(self, path: &str) -> Result<DatasetInput, Refusal> {
        let dataset = self.dataset.ok_or_else(|| {
            Refusal::invalid(format!("Missing value for required parameter '{path}dataset'"))
        })?;
        let dataset = Dataset {
            name: required(dataset.name, &format!("{path}dataset.name"))?,
            digest: required(dataset.digest, &format!("{path}dataset.digest"))?,
            source_type: dataset.source_type.unwrap_or_default(),
            source: dataset.source.unwrap_or_default(),
            schema: dataset.schema,
            profile: dataset.profile,
        };
        let tags = tags(self.tags)?.into_iter().map(|tag| (tag.key, tag.value)).collect();
        Ok(DatasetInput { dataset, tags })
    }
}

#[derive(Debug, Deserialize)]
struct ModelArgs {
    model_id: Option<String>,
    #[serde(default, deserialize_with = "number")]
    step: Option<i64>,
}

impl ModelArgs {
    fn model(self, path: &str) -> Result<(LoggedModelId, i64), Refusal> {
        let id = required(self.model_id, &format!("{path}model_id"))?;
        Ok((model_id(&id)?, self.step.unwrap_or_default()))
    }
}

fn models(args: Vec<ModelArgs>) -> Result<Vec<(LoggedModelId, i64)>, Refusal> {
    let args = args.into_iter().enumerate();
    args.map(|(index, model)| model.model(&format!("models[{index}]."))).collect()
}

#[derive(Debug, Deserialize)]
struct InputsArgs {
    run_id: Option<String>,
    #[serde(default)]
    datasets: Vec<DatasetInputArgs>,
    #[serde(default)]
    models: Vec<ModelArgs>,
}

async fn inputs(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<InputsArgs>,
) -> Answer {
    let run = well_formed_run_id(args.run_id)?;
    let datasets = args.datasets.into_iter().enumerate();
    let datasets = datasets
        .map(|(index, input)| input.input(&format!("datasets[{index}].")))
        .collect::<Result<Vec<_>, _>>()?;
    let models: Vec<_> = models(args.models)?.into_iter().map(|(model, _)| model).collect();
    log::inputs(&state, within(&access, &caller), run, &datasets, &models).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct OutputsArgs {
    run_id: Option<String>,
    models: Option<Vec<ModelArgs>>,
}

async fn outputs(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<OutputsArgs>,
) -> Answer {
    let run = run_id(args.run_id, None)?;
    let models = models(required(args.models, "models")?)?;
    log::outputs(&state, within(&access, &caller), run, &models).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct ModelJson {
    run_id: Option<String>,
    model_json: Option<String>,
}

async fn model(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<ModelJson>,
) -> Answer {
    let run = run_id(args.run_id, None)?;
    let model = required(args.model_json, "model_json")?;
    log::model(&state, within(&access, &caller), run, &model).await?;
    Ok(done())
}
