//! Runs: starting, ending, deleting and restoring them. What they log is in [`crate::log`].

use auth::{Permit, verbs};
use domain::{
    ErrorCode, Problem,
    tracking::{Batch, ExperimentId, RUN_NAME_TAG, RunId, RunStatus, Tag},
};
use serde_json::json;
use store::{
    Change,
    tracking::{
        RunData, experiments, points,
        runs::{self, Run},
    },
};

use crate::{Result, State, experiments::active, name};

/// What a new run is made of.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// Who started it, as the client says.
    pub user_id: String,
    /// When it started, in milliseconds since 1970.
    pub start_time: i64,
    /// What it is called; without, it gets a name that is easy to say.
    pub name: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// What shall be different about a run; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// How far it has come.
    pub status: Option<RunStatus>,
    /// When it ended, in milliseconds since 1970.
    pub end_time: Option<i64>,
    /// What it is called.
    pub name: Option<String>,
}

/// Starts a run.
///
/// # Errors
/// The experiment is not there, or deleted; the names in `name` and in the tag differ; a tag is wrong.
pub async fn create(
    state: &State,
    permit: &Permit<verbs::Register>,
    new: NewRun,
) -> Result<RunData> {
    let tags = Batch::new(vec![], vec![], new.tags)?;
    let mut tags = tags.tags().to_vec();
    let tagged = tags.iter().rfind(|tag| tag.key == RUN_NAME_TAG).map(|tag| tag.value.clone());
    let tagged = tagged.filter(|name| !name.is_empty());
    let named = new.name.filter(|name| !name.is_empty());
    if let (Some(name), Some(tag)) = (&named, &tagged)
        && name != tag
    {
        return Err(Problem::invalid(
            "run_name",
            format!("Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='{name}', mlflow.runName='{tag}')."),
        )
        .into());
    }
    let name = named.or(tagged).unwrap_or_else(name::random);
    tags.retain(|tag| tag.key != RUN_NAME_TAG);
    tags.push(Tag { key: RUN_NAME_TAG.to_owned(), value: name.clone() });
    tags.sort_by(|a, b| a.key.cmp(&b.key));

    let experiment = experiments::get(&state.database, new.experiment)
        .await?
        .ok_or_else(|| crate::experiments::absent(new.experiment))?;
    active(&experiment)?;
    let id = RunId::new();
    let run = Run {
        id,
        experiment: new.experiment,
        name,
        user_id: new.user_id,
        status: RunStatus::Running,
        start_time: Some(new.start_time),
        end_time: None,
        artifact_uri: below(&experiment.artifact_location, &format!("{id}/artifacts")),
        owner: permit.actor().to_string(),
        deleted_at: None,
    };
    let mut change = Change::begin(&state.database).await?;
    runs::insert(&mut change, &run, &tags).await?;
    let event = permit.event("run.created", json!({"run": id.to_string()}));
    change.commit(&event.changed(None, Some(&run.describe()))).await?;
    Ok(RunData {
        run,
        metrics: vec![],
        params: vec![],
        tags,
        datasets: vec![],
        inputs: vec![],
        outputs: vec![],
    })
}

/// A place below another one; a query stays at its end.
#[must_use]
pub fn below(location: &str, path: &str) -> String {
    let (place, query) = location.split_at(location.find('?').unwrap_or(location.len()));
    format!("{}/{path}{query}", place.trim_end_matches('/'))
}

/// One run with what it logged, deleted or not. `permit` is asked once it is known which experiment
/// it belongs to.
///
/// # Errors
/// It is not there, or not for this caller.
pub async fn get(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::View>, Problem>,
    id: RunId,
) -> Result<RunData> {
    let run = runs::load(&state.database, &[id]).await?.pop().ok_or_else(|| absent(id))?;
    permitted(permit, run.run.experiment, id).await?;
    Ok(run)
}

/// Changes a run's status, end time or name.
///
/// # Errors
/// It is not there, or not for this caller, or deleted.
pub async fn update(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Register>, Problem>,
    id: RunId,
    edit: Edit,
) -> Result<Run> {
    let permit = permitted(permit, home(state, id).await?, id).await?;
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    if before.deleted_at.is_some() {
        return Err(deleted(id).into());
    }
    let name = edit.name.filter(|name| !name.is_empty());
    let renamed = name.is_some();
    let after = Run {
        status: edit.status.unwrap_or(before.status),
        end_time: edit.end_time.or(before.end_time),
        name: name.unwrap_or_else(|| before.name.clone()),
        ..before.clone()
    };
    runs::update(&mut change, &after).await?;
    if renamed {
        runs::tag_name(&mut change, &after).await?;
    }
    let word = match after.status {
        RunStatus::Finished | RunStatus::Failed | RunStatus::Killed => "run.finished",
        RunStatus::Running | RunStatus::Scheduled => "run.edited",
    };
    let event = permit.event(word, json!({"run": id.to_string()}));
    change.commit(&event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Deletes a run, until it is restored. Again is as good as once.
///
/// # Errors
/// It is not there, or not for this caller.
pub async fn delete(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Delete>, Problem>,
    id: RunId,
) -> Result<()> {
    set_deleted(state, permit, id, true).await
}

/// Restores a run. One that is not deleted stays as it is.
///
/// # Errors
/// It is not there, or not for this caller.
pub async fn restore(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Delete>, Problem>,
    id: RunId,
) -> Result<()> {
    set_deleted(state, permit, id, false).await
}

async fn set_deleted(
    state: &State,
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<verbs::Delete>, Problem>,
    id: RunId,
    deleted: bool,
) -> Result<()> {
    let permit = permitted(permit, home(state, id).await?, id).await?;
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, id).await?;
    if before.deleted_at.is_some() == deleted {
        return Ok(());
    }
    runs::set_deleted(&mut change, id, deleted).await?;
    let word = if deleted { "run.deleted" } else { "run.restored" };
    let event = permit.event(word, json!({"run": id.to_string(), "name": before.name}));
    change.commit(&event).await?;
    Ok(())
}

/// The experiment that a run belongs to, for good.
///
/// # Errors
/// It is not there.
pub async fn home(state: &State, id: RunId) -> Result<ExperimentId> {
    if let Some(home) = state.homes.get(&id) {
        return Ok(home);
    }
    let found = points::homes(&state.database, &[id]).await?.pop();
    let (_, home) = found.ok_or_else(|| absent(id))?;
    state.homes.insert(id, home);
    Ok(home)
}

/// Asks for the permit. Who may not see a run's experiment is told that there is no such run.
pub(crate) async fn permitted<V>(
    permit: impl AsyncFnOnce(ExperimentId) -> Result<Permit<V>, Problem>,
    home: ExperimentId,
    id: RunId,
) -> Result<Permit<V>> {
    let told = |problem: Problem| {
        if problem.code == ErrorCode::NotFound { absent(id) } else { problem }
    };
    Ok(permit(home).await.map_err(told)?)
}

async fn lock(change: &mut Change, id: RunId) -> Result<Run> {
    Ok(runs::lock(change, id).await?.ok_or_else(|| absent(id))?)
}

/// What is told of a run that is not there.
pub fn absent(id: impl std::fmt::Display) -> Problem {
    let shown: String = id.to_string().chars().take(80).collect();
    Problem::new(ErrorCode::NotFound, format!("Run with id={shown} not found")).at("run_id")
}

/// A run that takes nothing, since it is deleted.
pub(crate) fn deleted(id: RunId) -> Problem {
    let message = format!("The run {id} must be in the 'active' state. Current state is deleted.");
    Problem::invalid("run_id", message)
}
