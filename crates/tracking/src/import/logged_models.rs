//! Logged models that come from elsewhere.

use std::collections::BTreeMap;

use auth::{Permit, verbs};
use domain::{
    ImportKind, ImportSourceId, Resource,
    tracking::{ExperimentId, LoggedModelId, Metric, RunId, check_length},
};
use serde_json::json;
use store::{
    imports::{self, Imported, Stamped},
    tracking::{
        Log,
        logged_models::{self, NewLoggedModel},
    },
};

use super::{Placed, experiments, instant, occupied, open};
use crate::{
    Result, State,
    logged_models::{Status, check_name, checked_tags, unique_params},
    runs::below,
};

/// A logged model as its source describes it, but for its files.
#[derive(Debug, Clone)]
pub struct ImportedModel {
    /// Its experiment, as the source numbers it.
    pub experiment: ExperimentId,
    /// What it is called.
    pub name: String,
    /// The run that made it.
    pub source_run: Option<RunId>,
    /// What kind of model it is.
    pub model_type: Option<String>,
    /// How the upload of its files ended.
    pub status: Status,
    /// Why, where it ended badly.
    pub status_message: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
    /// What it was made with.
    pub params: Vec<(String, String)>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
    /// What runs measured of it, each with the run.
    pub metrics: Vec<(RunId, Metric)>,
}

/// Makes a logged model under the id that it has, or brings the one that was imported before to what
/// the source says now. Answers also the runs that measured it and are not here.
///
/// # Errors
/// A logged model of that id is here that was not imported from this source; its experiment was not
/// carried; a name, param or tag that cannot be.
pub async fn logged_model(
    state: &State,
    permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    id: LoggedModelId,
    new: ImportedModel,
) -> Result<(Placed, Vec<RunId>)> {
    check_name(&new.name)?;
    check_length("model_type", new.model_type.as_deref().unwrap_or_default(), 500)?;
    check_length("status_message", new.status_message.as_deref().unwrap_or_default(), 1000)?;
    let params = unique_params(new.params.clone())?;
    let tags = checked_tags(new.tags.clone())?;
    let keys: Vec<String> = tags.keys().cloned().collect();
    let metrics = new.metrics.clone();
    let (placed, had) =
        settle(state, permit, source, id, new, (params.clone(), tags.clone())).await?;
    if !placed.created {
        logged_models::log_params(&state.database, id, &params).await?;
        for key in had.iter().filter(|key| !keys.contains(key)) {
            logged_models::delete_tag(&state.database, id, key).await?;
        }
        logged_models::set_tags(&state.database, id, &tags).await?;
    }
    let absent = measured(state, metrics).await?;
    Ok((placed, absent))
}

type Pairs = BTreeMap<String, String>;

/// The model itself, and the keys of the tags that were taken over before.
async fn settle(
    state: &State,
    permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    id: LoggedModelId,
    new: ImportedModel,
    (params, tags): (Pairs, Pairs),
) -> Result<(Placed, Vec<String>)> {
    let created_at = instant("created_at", new.created_at)?;
    let updated_at = instant("updated_at", new.updated_at)?;
    let (mut change, source) = open(state, source).await?;
    let experiment = experiments::ours(&mut change, source.id, new.experiment).await?;
    let theirs = id.to_string();
    let known = imports::get(&mut change, source.id, ImportKind::LoggedModel, &theirs).await?;
    let created = logged_models::lock(&mut change, id).await?.is_none();
    if !created && known.is_none() {
        let what = format!("a logged model with the id {id}");
        let problem = occupied(&mut change, ImportKind::LoggedModel, what, &theirs).await?;
        return Err(problem.at("model_id").into());
    }
    let keys = tags.keys().cloned().collect();
    if created {
        let artifact_uri = below(&experiment.artifact_location, &format!("models/{id}/artifacts"));
        let model = NewLoggedModel {
            id,
            experiment: experiment.id,
            name: new.name.clone(),
            source_run: new.source_run,
            model_type: new.model_type,
            artifact_uri,
            params,
            tags,
        };
        logged_models::insert(&mut change, &model, permit.actor()).await?;
    }
    let (status, why) = (new.status.as_str(), new.status_message.as_deref());
    logged_models::set_outcome(&mut change, id, status, why).await?;
    imports::stamp(&mut change, Stamped::LoggedModel(id.0), created_at, updated_at).await?;
    let item = Imported {
        theirs: theirs.clone(),
        ours: theirs.clone(),
        born: Some(new.created_at),
        tags: keys,
        mark: None,
    };
    imports::put(&mut change, source.id, ImportKind::LoggedModel, &item).await?;
    let facts = json!({"model_id": theirs, "name": new.name, "from": source.url});
    let mut event = permit.event("logged_model.imported", facts);
    event.resource = Resource::Experiment(experiment.id.to_string());
    change.commit(&event).await?;
    let had = if created { None } else { known };
    Ok((Placed { ours: theirs, created }, had.map(|item| item.tags).unwrap_or_default()))
}

/// Writes down what runs measured; answers the runs that are not here.
async fn measured(state: &State, metrics: Vec<(RunId, Metric)>) -> Result<Vec<RunId>> {
    let mut of_runs: BTreeMap<RunId, Vec<Metric>> = BTreeMap::new();
    for (run, metric) in metrics {
        domain::tracking::check_key("metrics", &metric.key)?;
        of_runs.entry(run).or_default().push(metric);
    }
    let mut absent = Vec::new();
    for (run, metrics) in of_runs {
        let Some(mut log) = Log::begin(&state.database, run).await? else {
            absent.push(run);
            continue;
        };
        log.of_models(&metrics).await?;
        log.commit().await?;
    }
    Ok(absent)
}
