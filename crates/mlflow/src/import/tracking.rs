//! `/import/sources/{source}/…`: experiments, runs and logged models.

use std::collections::BTreeMap;

use actix_web::{post, put, web::Data};
use auth::{Access, Caller};
use domain::{
    ImportSourceId, Resource,
    tracking::{Dataset, DatasetInput, ExperimentId, LoggedModelId, Metric, Param, RunId, Tag},
};
use rest::{ApiError, Json, Path, openapi};
use serde::{Deserialize, Serialize, de};
use tracking::{State, import};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(put_experiment)
        .service(put_run)
        .service(post_points)
        .service(put_links)
        .service(put_logged_model);
}

/// An item of a source.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct ItemPath {
    /// The source's id.
    #[param(value_type = String, format = Uuid)]
    source: ImportSourceId,
    /// The item's id at the source.
    #[param(example = "0123456789abcdef0123456789abcdef")]
    id: String,
}

/// The texts by their keys.
type Pairs = BTreeMap<String, String>;

fn tags(pairs: Pairs) -> Vec<Tag> {
    pairs.into_iter().map(|(key, value)| Tag { key, value }).collect()
}

/// What became of an item.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"ours": "7", "created": true}))]
struct PlacedItem {
    /// Its id here.
    ours: String,
    /// Whether it was made just now; else it was here before.
    created: bool,
}

/// An experiment as its source describes it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "iris", "tags": {"team": "risk"}, "deleted": false,
    "created_at": 1767323045000_i64, "updated_at": 1767323045000_i64,
}))]
struct ExperimentBody {
    name: String,
    #[serde(default)]
    tags: Pairs,
    deleted: bool,
    /// Milliseconds since 1970, here and below.
    created_at: i64,
    updated_at: i64,
}

/// Carry an experiment. It keeps its number if that is free.
#[utoipa::path(
    tag = "import",
    operation_id = "import_experiment",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ItemPath),
    responses((status = 200, description = "Where it is", body = PlacedItem), openapi::Writes),
)]
#[put("/sources/{source}/experiments/{id}")]
async fn put_experiment(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ItemPath { source, id }): Path<ItemPath>,
    Json(body): Json<ExperimentBody>,
) -> Result<Json<PlacedItem>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let ExperimentBody { name, tags: pairs, deleted, created_at, updated_at } = body;
    let new =
        import::ImportedExperiment { name, tags: tags(pairs), deleted, created_at, updated_at };
    let placed = import::experiment(&state, &permit, source, id.parse()?, &new).await?;
    Ok(Json(PlacedItem { ours: placed.ours, created: placed.created }))
}

/// A dataset that a run read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "iris", "digest": "1a2b3c4d", "source_type": "local", "source": "{}",
    "schema": null, "profile": null, "tags": {"mlflow.data.context": "training"},
}))]
struct DatasetBody {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: Option<String>,
    profile: Option<String>,
    #[serde(default)]
    tags: Pairs,
}

impl From<DatasetBody> for DatasetInput {
    fn from(body: DatasetBody) -> Self {
        let DatasetBody { name, digest, source_type, source, schema, profile, tags } = body;
        Self { dataset: Dataset { name, digest, source_type, source, schema, profile }, tags }
    }
}

/// A run as its source describes it, but for its points, links and files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "experiment": "3", "name": "wise-owl-12", "user_id": "ana", "status": "FINISHED",
    "start_time": 1767323045000_i64, "end_time": 1767323345000_i64, "deleted": false,
    "params": {"depth": "4"}, "tags": {"mlflow.runName": "wise-owl-12"}, "datasets": [],
}))]
struct RunBody {
    /// As the source numbers it.
    experiment: String,
    name: String,
    user_id: String,
    status: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    deleted: bool,
    #[serde(default)]
    params: Pairs,
    #[serde(default)]
    tags: Pairs,
    #[serde(default)]
    datasets: Vec<DatasetBody>,
}

/// What a run has here now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "created": true, "params": 1, "tags": 1, "datasets": 0,
    "points": {"loss": {"points": 100, "newest": 1767323345000_i64}},
}))]
struct RunTally {
    created: bool,
    params: usize,
    tags: usize,
    datasets: usize,
    /// By metric.
    points: BTreeMap<String, PointTally>,
}

/// What a metric of a run has here now.
#[derive(Serialize, ToSchema)]
struct PointTally {
    /// How many points.
    points: i64,
    /// The timestamp of the newest.
    newest: i64,
}

/// Carry a run, under the id that it has.
#[utoipa::path(
    tag = "import",
    operation_id = "import_run",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ItemPath),
    responses((status = 200, description = "What it has now", body = RunTally), openapi::Writes),
)]
#[put("/sources/{source}/runs/{id}")]
async fn put_run(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ItemPath { source, id }): Path<ItemPath>,
    Json(body): Json<RunBody>,
) -> Result<Json<RunTally>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let new = import::ImportedRun {
        experiment: body.experiment.parse()?,
        name: body.name,
        user_id: body.user_id,
        status: body.status.parse()?,
        start_time: body.start_time,
        end_time: body.end_time,
        deleted: body.deleted,
        params: body.params.into_iter().map(|(key, value)| Param { key, value }).collect(),
        tags: tags(body.tags),
        datasets: body.datasets.into_iter().map(Into::into).collect(),
    };
    let tally = import::run(&state, &permit, source, id.parse()?, &new).await?;
    let points = tally.points.into_iter();
    let points = points
        .map(|count| (count.key, PointTally { points: count.points, newest: count.newest }))
        .collect();
    let import::Tally { created, params, tags, datasets, .. } = tally;
    Ok(Json(RunTally { created, params, tags, datasets, points }))
}

/// A number, or the text that stands for what is none.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Word(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(value) => Ok(Self(value)),
            Either::Word(word) => match word.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(de::Error::custom(
                    "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
                )),
            },
        }
    }
}

/// A point of a metric.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"step": 1, "timestamp": 1767323045000_i64, "value": "NaN"}))]
struct PointBody {
    step: i64,
    timestamp: i64,
    /// A number, or `NaN`, `Infinity`, `-Infinity` as texts.
    #[schema(value_type = f64)]
    value: Number,
}

/// Points of one metric of a run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"key": "loss", "points": [
    {"step": 0, "timestamp": 1767323045000_i64, "value": 0.5},
    {"step": 1, "timestamp": 1767323046000_i64, "value": "NaN"},
]}))]
struct PointsBody {
    key: String,
    points: Vec<PointBody>,
}

/// How many points a metric has here now.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"points": 100}))]
struct PointsNow {
    points: i64,
}

/// Carry points of a metric. One that is here already is the same point.
#[utoipa::path(
    tag = "import",
    operation_id = "import_points",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ItemPath),
    responses((status = 200, description = "What the metric has now", body = PointsNow), openapi::Writes),
)]
#[post("/sources/{source}/runs/{id}/points")]
async fn post_points(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ItemPath { source, id }): Path<ItemPath>,
    Json(PointsBody { key, points }): Json<PointsBody>,
) -> Result<Json<PointsNow>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let metric = |point: PointBody| Metric {
        key: key.clone(),
        value: point.value.0,
        timestamp: point.timestamp,
        step: point.step,
        model: None,
        dataset_name: None,
        dataset_digest: None,
    };
    let metrics: Vec<Metric> = points.into_iter().map(metric).collect();
    let points = import::points(&state, &permit, source, id.parse()?, &key, &metrics).await?;
    Ok(Json(PointsNow { points }))
}

/// A model that a run put out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"model_id": "m-0123456789abcdef0123456789abcdef", "step": 0}))]
struct OutputBody {
    model_id: String,
    step: i64,
}

/// The logged models that a run took in and put out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "inputs": [], "outputs": [{"model_id": "m-0123456789abcdef0123456789abcdef", "step": 0}],
}))]
struct LinksBody {
    inputs: Vec<String>,
    outputs: Vec<OutputBody>,
}

/// The ids of what is not here.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"missing": []}))]
struct MissingIds {
    missing: Vec<String>,
}

/// Carry the links of a run to logged models, which were carried before.
#[utoipa::path(
    tag = "import",
    operation_id = "import_links",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ItemPath),
    responses((status = 200, description = "The models that are not here", body = MissingIds), openapi::Writes),
)]
#[put("/sources/{source}/runs/{id}/models")]
async fn put_links(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ItemPath { source, id }): Path<ItemPath>,
    Json(LinksBody { inputs, outputs }): Json<LinksBody>,
) -> Result<Json<MissingIds>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let inputs = inputs.iter().map(|id| id.parse()).collect::<Result<Vec<LoggedModelId>, _>>()?;
    let outputs = outputs
        .iter()
        .map(|output| Ok((output.model_id.parse()?, output.step)))
        .collect::<Result<Vec<(LoggedModelId, i64)>, domain::Problem>>()?;
    let missing = import::links(&state, &permit, source, id.parse()?, &inputs, &outputs).await?;
    Ok(Json(MissingIds { missing: missing.iter().map(ToString::to_string).collect() }))
}

/// What a run measured of a logged model.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "key": "auc", "value": 0.9, "timestamp": 1767323045000_i64, "step": 0,
    "run_id": "0123456789abcdef0123456789abcdef", "dataset_name": null, "dataset_digest": null,
}))]
struct ModelMetricBody {
    key: String,
    /// A number, or `NaN`, `Infinity`, `-Infinity` as texts.
    #[schema(value_type = f64)]
    value: Number,
    timestamp: i64,
    step: i64,
    run_id: String,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

/// A logged model as its source describes it, but for its files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "experiment": "3", "name": "model", "source_run_id": "0123456789abcdef0123456789abcdef",
    "model_type": null, "status": "LOGGED_MODEL_READY", "status_message": null,
    "created_at": 1767323045000_i64, "updated_at": 1767323045000_i64,
    "params": {"depth": "4"}, "tags": {}, "metrics": [],
}))]
struct LoggedModelBody {
    /// As the source numbers it.
    experiment: String,
    name: String,
    source_run_id: Option<String>,
    model_type: Option<String>,
    status: String,
    status_message: Option<String>,
    created_at: i64,
    updated_at: i64,
    #[serde(default)]
    params: Pairs,
    #[serde(default)]
    tags: Pairs,
    #[serde(default)]
    metrics: Vec<ModelMetricBody>,
}

/// Carry a logged model, under the id that it has. Answers the runs that measured it and are not here.
#[utoipa::path(
    tag = "import",
    operation_id = "import_logged_model",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(ItemPath),
    responses((status = 200, description = "The runs that are not here", body = MissingIds), openapi::Writes),
)]
#[put("/sources/{source}/logged-models/{id}")]
async fn put_logged_model(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Path(ItemPath { source, id }): Path<ItemPath>,
    Json(body): Json<LoggedModelBody>,
) -> Result<Json<MissingIds>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let id: LoggedModelId = id.parse()?;
    let experiment: ExperimentId = body.experiment.parse()?;
    let metric = |body: ModelMetricBody| -> Result<(RunId, Metric), domain::Problem> {
        let metric = Metric {
            key: body.key,
            value: body.value.0,
            timestamp: body.timestamp,
            step: body.step,
            model: Some(id),
            dataset_name: body.dataset_name,
            dataset_digest: body.dataset_digest,
        };
        Ok((body.run_id.parse()?, metric))
    };
    let new = import::ImportedModel {
        experiment,
        name: body.name,
        source_run: body.source_run_id.map(|run| run.parse()).transpose()?,
        model_type: body.model_type,
        status: body.status.parse()?,
        status_message: body.status_message,
        created_at: body.created_at,
        updated_at: body.updated_at,
        params: body.params.into_iter().collect(),
        tags: body.tags.into_iter().collect(),
        metrics: body.metrics.into_iter().map(metric).collect::<Result<_, _>>()?,
    };
    let (_, missing) = import::logged_model(&state, &permit, source, id, new).await?;
    Ok(Json(MissingIds { missing: missing.iter().map(ToString::to_string).collect() }))
}
