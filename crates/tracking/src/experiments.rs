//! Experiments: what runs belong to.

use auth::{Permit, verbs};
use domain::{
    Problem, Resource,
    tracking::{ExperimentId, Tag, check_experiment_name, check_experiment_tag},
};
use serde_json::json;
use store::{
    Change,
    tracking::experiments::{self, Experiment},
};

use crate::{Error, Result, State, location::Location};

/// What a new experiment is made of.
#[derive(Debug, Clone)]
pub struct NewExperiment {
    /// Its name.
    pub name: String,
    /// Where the files of its runs shall lie, unless with us.
    pub artifact_location: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// One experiment, deleted or not.
///
/// # Errors
/// It is not there.
pub async fn get(
    state: &State,
    _permit: &Permit<verbs::View>,
    id: ExperimentId,
) -> Result<Experiment> {
    experiments::get(&state.database, id).await?.ok_or_else(|| absent(id))
}

/// The experiment of that name, deleted or not. `permit` is asked once it is known which it is.
///
/// # Errors
/// It is not there, or not for this caller.
pub async fn by_name(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::View>, Problem>,
    name: &str,
) -> Result<Experiment> {
    let absent = || {
        let message = format!("Could not find experiment with name '{name}'");
        Problem::new(domain::ErrorCode::NotFound, message).at("experiment_name")
    };
    let found = experiments::by_name(&state.database, name).await?.ok_or_else(absent)?;
    permit(found.id).await.map_err(|problem| problem.absent_as(absent))?;
    Ok(found)
}

/// Makes an experiment.
///
/// # Errors
/// The name is taken (conflict) or wrong; a tag or the location is wrong.
pub async fn create(
    state: &State,
    permit: &Permit<verbs::Register>,
    new: &NewExperiment,
) -> Result<ExperimentId> {
    check_experiment_name(&new.name)?;
    new.tags.iter().try_for_each(check_experiment_tag)?;
    let location = new.artifact_location.as_deref().map(Location::of).transpose()?;
    let mut change = Change::begin(&state.database).await?;
    if let Some(Location::Here(path)) = &location
        && let Some(other) = experiments::reserve(&mut change, path).await?
    {
        let message =
            format!("`mlflow-artifacts:/{path}` lies in the folder of experiment {other}");
        return Err(Problem::invalid("artifact_location", message)
            .hint("choose a folder of its own, or leave it out")
            .into());
    }
    let location = location.map(|location| location.to_string());
    let location = location.as_deref();
    let id =
        experiments::insert(&mut change, &new.name, location, permit.owner(), &new.tags).await?;
    let after =
        json!({"experiment": id.to_string(), "name": new.name, "artifact_location": location});
    let mut event = permit.event("experiment.created", json!({"name": new.name}));
    event.resource = Resource::Experiment(id.to_string());
    change.commit(&event.changed(None, Some(&after))).await?;
    Ok(id)
}

/// Renames an experiment.
///
/// # Errors
/// It is not there, or deleted; the name is taken (conflict) or wrong.
pub async fn rename(
    state: &State,
    permit: &Permit<verbs::Edit>,
    id: ExperimentId,
    name: &str,
) -> Result<()> {
    check_experiment_name(name)?;
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    if before.deleted_at.is_some() {
        let message = "Cannot rename a non-active experiment";
        return Err(Problem::invalid("experiment_id", message).hint("restore it first").into());
    }
    experiments::rename(&mut change, id, name).await?;
    let after = Experiment { name: name.to_owned(), ..before.clone() };
    let event = permit.event("experiment.renamed", json!({"name": name}));
    change.commit(&event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(())
}

/// Deletes an experiment and its runs, until they are restored.
///
/// # Errors
/// It is not there, or deleted already.
pub async fn delete(state: &State, permit: &Permit<verbs::Delete>, id: ExperimentId) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    if before.deleted_at.is_some() {
        return Err(absent(id));
    }
    experiments::delete(&mut change, id).await?;
    let event = permit.event("experiment.deleted", json!({"name": before.name}));
    change.commit(&event.changed(Some(&before.describe()), None)).await?;
    Ok(())
}

/// Restores a deleted experiment and its runs.
///
/// # Errors
/// There is no deleted experiment of that id.
pub async fn restore(
    state: &State,
    permit: &Permit<verbs::Delete>,
    id: ExperimentId,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    if before.deleted_at.is_none() {
        return Err(absent(id));
    }
    experiments::restore(&mut change, id).await?;
    let after = Experiment { deleted_at: None, ..before.clone() };
    let event = permit.event("experiment.restored", json!({"name": before.name}));
    change.commit(&event.changed(None, Some(&after.describe()))).await?;
    Ok(())
}

/// Sets a tag.
///
/// # Errors
/// The experiment is not there, or deleted; the tag is wrong.
pub async fn set_tag(
    state: &State,
    permit: &Permit<verbs::Edit>,
    id: ExperimentId,
    tag: &Tag,
) -> Result<()> {
    check_experiment_tag(tag)?;
    let mut change = Change::begin(&state.database).await?;
    active(&lock(&mut change, id).await?)?;
    experiments::set_tag(&mut change, id, tag).await?;
    let event = permit.event("experiment.tagged", json!({"key": tag.key}));
    change.commit(&event).await?;
    Ok(())
}

/// Deletes a tag.
///
/// # Errors
/// The experiment is not there, or deleted, or has no such tag.
pub async fn delete_tag(
    state: &State,
    permit: &Permit<verbs::Edit>,
    id: ExperimentId,
    key: &str,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    active(&lock(&mut change, id).await?)?;
    if !experiments::delete_tag(&mut change, id, key).await? {
        let message = format!("No tag with name: {key} in experiment with id {id}");
        return Err(Problem::new(domain::ErrorCode::NotFound, message).at("key").into());
    }
    let event = permit.event("experiment.untagged", json!({"key": key}));
    change.commit(&event).await?;
    Ok(())
}

async fn lock(change: &mut Change, id: ExperimentId) -> Result<Experiment> {
    experiments::lock(change, id).await?.ok_or_else(|| absent(id))
}

/// An experiment that takes new runs, models and tags.
pub(crate) fn active(experiment: &Experiment) -> Result<(), Problem> {
    if experiment.deleted_at.is_none() {
        return Ok(());
    }
    let message = format!(
        "The experiment {} must be in the 'active' state. Current state is deleted.",
        experiment.id
    );
    Err(Problem::invalid("experiment_id", message))
}

pub(crate) fn absent(id: ExperimentId) -> Error {
    let message = format!("No Experiment with id={id} exists");
    Problem::new(domain::ErrorCode::NotFound, message).at("experiment_id").into()
}
