//! Runs that come from elsewhere, with what they logged and their files.

use std::collections::{BTreeMap, HashSet};

use auth::{Permit, verbs};
use domain::{
    FileEntry, FilePath, ImportKind, ImportSourceId, Problem, Resource,
    tracking::{
        Batch, DatasetInput, ExperimentId, LONGEST_PARAM, LONGEST_TAG, LoggedModelId, Metric,
        Param, RunId, RunStatus, Tag, check_length,
    },
};
use serde_json::json;
use store::{
    imports::{self, Imported},
    tracking::{
        Log, Run, files,
        inputs::Direction,
        logged_models,
        points::{self, Count},
        runs,
    },
};

use super::{Placed, experiments, missing, occupied, open};
use crate::{
    Result, State,
    files::{Root, path_of, root_of_model, root_of_run},
    runs::below,
};

/// The most files that are listed of one run or logged model.
const MOST_FILES: i64 = 100_000;

/// A run as its source describes it, but for its points and its files.
#[derive(Debug, Clone)]
pub struct ImportedRun {
    /// Its experiment, as the source numbers it.
    pub experiment: ExperimentId,
    /// What it is called.
    pub name: String,
    /// Who started it, as its client said.
    pub user_id: String,
    /// How far it has come.
    pub status: RunStatus,
    /// When it started, in milliseconds since 1970.
    pub start_time: Option<i64>,
    /// When it ended.
    pub end_time: Option<i64>,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Its params.
    pub params: Vec<Param>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The datasets that it read.
    pub datasets: Vec<DatasetInput>,
}

impl ImportedRun {
    /// What a batch would cut is refused here: an import is whole or told.
    fn check(&self) -> Result<(), Problem> {
        for param in &self.params {
            check_length(&format!("params.{}", param.key), &param.value, LONGEST_PARAM)?;
        }
        for tag in &self.tags {
            check_length(&format!("tags.{}", tag.key), &tag.value, LONGEST_TAG)?;
        }
        self.datasets.iter().try_for_each(DatasetInput::check)
    }
}

/// What a run has here after it was carried, to be compared with what the source has.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Whether it was made just now.
    pub created: bool,
    /// How many params.
    pub params: usize,
    /// How many tags.
    pub tags: usize,
    /// How many datasets.
    pub datasets: usize,
    /// How many points of each metric.
    pub points: Vec<Count>,
}

/// Makes a run under the id that it has, or brings the one that was imported before to what the
/// source says now.
///
/// # Errors
/// A run of that id is here that was not imported from this source; its experiment was not carried;
/// a key or a value that cannot be.
pub async fn run(
    state: &State,
    permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    id: RunId,
    new: &ImportedRun,
) -> Result<Tally> {
    new.check()?;
    let (placed, had) = settle(state, permit, source, id, new).await?;
    let mut log = Log::begin(&state.database, id).await?.ok_or_else(|| missing("run", id))?;
    log.datasets(&new.datasets).await?;
    for params in new.params.chunks(Batch::MOST_PARAMS_OR_TAGS) {
        log.batch(&Batch::new(vec![], params.to_vec(), vec![])?).await?;
    }
    for tags in new.tags.chunks(Batch::MOST_PARAMS_OR_TAGS) {
        log.batch(&Batch::new(vec![], vec![], tags.to_vec())?).await?;
    }
    for key in had.iter().filter(|key| !new.tags.iter().any(|tag| tag.key == **key)) {
        log.delete_tag(key).await?;
    }
    log.commit().await?;
    let data = runs::load(&state.database, &[id]).await?.pop().ok_or_else(|| missing("run", id))?;
    Ok(Tally {
        created: placed.created,
        params: data.params.len(),
        tags: data.tags.len(),
        datasets: data.datasets.len(),
        points: points::counts(&state.database, id, None).await?,
    })
}

/// The run itself, and the keys of the tags that were taken over before.
async fn settle(
    state: &State,
    permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    id: RunId,
    new: &ImportedRun,
) -> Result<(Placed, Vec<String>)> {
    let (mut change, source) = open(state, source).await?;
    let experiment = experiments::ours(&mut change, source.id, new.experiment).await?;
    let known = imports::get(&mut change, source.id, ImportKind::Run, &id.to_string()).await?;
    let before = runs::lock(&mut change, id).await?;
    if before.is_some() && known.is_none() {
        let what = format!("a run with the id {id}");
        let problem = occupied(&mut change, ImportKind::Run, what, &id.to_string()).await?;
        return Err(problem.at("run_id").into());
    }
    let created = before.is_none();
    let run = Run {
        id,
        experiment: experiment.id,
        name: new.name.clone(),
        user_id: new.user_id.clone(),
        status: new.status,
        start_time: new.start_time,
        end_time: new.end_time,
        artifact_uri: below(&experiment.artifact_location, &format!("{id}/artifacts")),
        owner: permit.actor().to_string(),
        deleted_at: None,
    };
    match &before {
        None => runs::insert(&mut change, &run, &[]).await?,
        Some(_) => runs::update(&mut change, &run).await?,
    }
    if before.as_ref().is_some_and(|before| before.deleted_at.is_some()) != new.deleted {
        runs::set_deleted(&mut change, id, new.deleted).await?;
    }
    let item = Imported {
        theirs: id.to_string(),
        ours: id.to_string(),
        born: None,
        tags: new.tags.iter().map(|tag| tag.key.clone()).collect(),
        mark: None,
    };
    imports::put(&mut change, source.id, ImportKind::Run, &item).await?;
    let detail = json!({"run": id.to_string(), "from": source.url});
    let mut event = permit.event("run.imported", detail);
    event.resource = Resource::Experiment(experiment.id.to_string());
    let before = before.map(|before| before.describe());
    change.commit(&event.changed(before.as_ref(), Some(&run.describe()))).await?;
    let had = if created { None } else { known };
    Ok((Placed { ours: id.to_string(), created }, had.map(|item| item.tags).unwrap_or_default()))
}

/// Adds points of one metric of a run that is being carried. Answers how many it has then.
///
/// # Errors
/// The run was not carried; a key or a timestamp that cannot be.
pub async fn points(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    run: RunId,
    key: &str,
    given: &[Metric],
) -> Result<i64> {
    let mut log = begin(state, source, run).await?;
    for metrics in given.chunks(Batch::MOST) {
        log.batch(&Batch::new(metrics.to_vec(), vec![], vec![])?).await?;
    }
    log.commit().await?;
    let counts = points::counts(&state.database, run, Some(key)).await?;
    Ok(counts.first().map_or(0, |count| count.points))
}

/// Says which logged models a run took in and put out. Answers those that are not here.
///
/// # Errors
/// The run was not carried.
pub async fn links(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    run: RunId,
    inputs: &[LoggedModelId],
    outputs: &[(LoggedModelId, i64)],
) -> Result<Vec<LoggedModelId>> {
    let inputs: Vec<(LoggedModelId, i64)> = inputs.iter().map(|model| (*model, 0)).collect();
    let named: Vec<LoggedModelId> = inputs.iter().chain(outputs).map(|(model, _)| *model).collect();
    let here = logged_models::get_all(&state.database, &named).await?;
    let here: HashSet<LoggedModelId> = here.into_iter().map(|model| model.id).collect();
    let present = |links: &[(LoggedModelId, i64)]| -> Vec<(LoggedModelId, i64)> {
        links.iter().filter(|(model, _)| here.contains(model)).copied().collect()
    };
    let mut log = begin(state, source, run).await?;
    log.models(Direction::Input, &present(&inputs)).await?;
    log.models(Direction::Output, &present(outputs)).await?;
    log.commit().await?;
    Ok(named.into_iter().filter(|model| !here.contains(model)).collect())
}

async fn begin(state: &State, source: ImportSourceId, run: RunId) -> Result<Log> {
    let id = [run.to_string()];
    if imports::find(&state.database, source, ImportKind::Run, &id).await?.is_empty() {
        return Err(missing("run", run).into());
    }
    Ok(Log::begin(&state.database, run).await?.ok_or_else(|| missing("run", run))?)
}

/// The folder of a run or a logged model that was carried.
async fn folder(
    state: &State,
    source: ImportSourceId,
    kind: ImportKind,
    id: &str,
) -> Result<(Root, FilePath)> {
    let known = imports::find(&state.database, source, kind, &[id.to_owned()]).await?;
    if known.is_empty() {
        return Err(missing(kind.as_str(), id).into());
    }
    let root = match kind == ImportKind::LoggedModel {
        true => root_of_model(state, id).await?,
        false => root_of_run(state, id).await?,
    };
    let path = path_of(&root.uri)?.ok_or_else(|| missing("folder of", id))?;
    Ok((root, path))
}

/// The files of a run or a logged model that are here, by their paths in its folder.
///
/// # Errors
/// It was not carried.
pub async fn files(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    kind: ImportKind,
    id: &str,
) -> Result<Vec<(FilePath, FileEntry)>> {
    let (_, path) = folder(state, source, kind, id).await?;
    Ok(files::below(&state.database, &path, MOST_FILES).await?)
}

/// Puts files into the folder of a run or a logged model; their bytes were uploaded before.
///
/// # Errors
/// It was not carried; bytes that are not here; a path that would be file and folder at once.
pub async fn put_files(
    state: &State,
    _permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    kind: ImportKind,
    id: &str,
    given: &BTreeMap<FilePath, FileEntry>,
) -> Result<()> {
    let (root, folder) = folder(state, source, kind, id).await?;
    let digests: Vec<_> = given.values().map(|entry| entry.digest).collect();
    let here: BTreeMap<_, _> =
        store::blobs::touch(&state.database, &digests).await?.into_iter().collect();
    for (path, entry) in given {
        if here.get(&entry.digest) != Some(&entry.size) {
            let message = format!("the bytes of `{path}` ({}) are not here", entry.digest);
            let hint = "upload them first: PUT /api/v1/blobs/{digest}";
            return Err(Problem::invalid("files", message).hint(hint).into());
        }
        let path = crate::files::path(&format!("{folder}/{path}"))?;
        files::put(&state.database, root.experiment, &path, entry).await?;
    }
    Ok(())
}
