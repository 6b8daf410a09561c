//! Finding experiments, runs and logged models, and reading what runs measured.

use std::collections::{HashMap, hash_map::Entry};

use auth::{Permit, verbs};
use domain::{
    ErrorCode, Problem,
    access::Visible,
    search::Position,
    tracking::{ExperimentId, LoggedModelId, RunId},
};
use store::{
    search::{self, Search},
    tracking::{
        experiments::{self, Experiment},
        logged_models::{self, LoggedModel},
        points,
        runs::{self, RunData},
    },
};

pub use store::tracking::points::{DatasetSummary, Point};

use crate::{Result, State};

/// A page, and where the next begins.
pub type Page<T> = (Vec<T>, Option<Position>);

/// Runs, each with what it logged. There is a permit for each experiment that is searched.
///
/// # Errors
/// The page token's values are none of this search.
pub async fn runs(
    state: &State,
    _permits: &[Permit<verbs::View>],
    search: &Search,
) -> Result<Page<RunData>> {
    let found = search::find(&state.database, &Visible::everything(), search).await?;
    let ids: Vec<RunId> = found.ids.into_iter().map(RunId).collect();
    Ok((runs::load(&state.database, &ids).await?, found.next))
}

/// Experiments.
///
/// # Errors
/// The page token's values are none of this search.
pub async fn experiments(
    state: &State,
    permit: &Permit<verbs::View>,
    search: &Search,
) -> Result<Page<Experiment>> {
    let found = search::find(&state.database, permit.visible(), search).await?;
    let ids: Vec<ExperimentId> = found.ids.into_iter().map(ExperimentId).collect();
    let loaded = experiments::load(&state.database, &ids).await?.into_iter();
    let mut loaded: HashMap<_, _> = loaded.map(|experiment| (experiment.id, experiment)).collect();
    Ok((ids.iter().filter_map(|id| loaded.remove(id)).collect(), found.next))
}

/// Logged models. There is a permit for each experiment that is searched.
///
/// # Errors
/// The page token's values are none of this search.
pub async fn logged_models(
    state: &State,
    _permits: &[Permit<verbs::View>],
    search: &Search,
) -> Result<Page<LoggedModel>> {
    let found = search::find(&state.database, &Visible::everything(), search).await?;
    let ids: Vec<LoggedModelId> = found.ids.into_iter().map(LoggedModelId).collect();
    Ok((logged_models::get_all(&state.database, &ids).await?, found.next))
}

/// Those of these runs that may be seen: what one may not see is not there. `permit` is asked for
/// each experiment.
async fn seen(
    state: &State,
    permit: impl AsyncFn(ExperimentId) -> Result<Permit<verbs::View>, Problem>,
    runs: &[RunId],
) -> Result<Vec<RunId>> {
    let mut may: HashMap<ExperimentId, bool> = HashMap::new();
    let mut seen = Vec::with_capacity(runs.len());
    for (run, experiment) in points::homes(&state.database, runs).await? {
        if let Entry::Vacant(unknown) = may.entry(experiment) {
            match permit(experiment).await {
                Ok(_) => unknown.insert(true),
                Err(problem) if problem.code == ErrorCode::NotFound => unknown.insert(false),
                Err(problem) => return Err(problem.into()),
            };
        }
        if may.get(&experiment) == Some(&true) {
            seen.push(run);
        }
    }
    Ok(seen)
}

/// The points of a metric of a run, from behind one on.
///
/// # Errors
/// The caller may see the run, and not that.
pub async fn history(
    state: &State,
    permit: impl AsyncFn(ExperimentId) -> Result<Permit<verbs::View>, Problem>,
    (run, key): (RunId, &str),
    after: Option<Point>,
    limit: Option<i64>,
) -> Result<Vec<Point>> {
    if seen(state, permit, &[run]).await?.is_empty() {
        return Ok(Vec::new());
    }
    Ok(points::history(&state.database, run, key, after, limit).await?)
}

/// The first points of a metric of several runs.
///
/// # Errors
/// The caller may see a run, and not that.
pub async fn histories(
    state: &State,
    permit: impl AsyncFn(ExperimentId) -> Result<Permit<verbs::View>, Problem>,
    runs: &[RunId],
    key: &str,
    limit: i64,
) -> Result<Vec<Point>> {
    let runs = seen(state, permit, runs).await?;
    Ok(points::of_runs(&state.database, &runs, key, limit).await?)
}

/// Of each run at most `most` points of a metric, evenly over the range of steps.
///
/// # Errors
/// The caller may see a run, and not that.
pub async fn samples(
    state: &State,
    permit: impl AsyncFn(ExperimentId) -> Result<Permit<verbs::View>, Problem>,
    (runs, key): (&[RunId], &str),
    range: Option<(i64, i64)>,
    most: i64,
) -> Result<Vec<Point>> {
    let runs = seen(state, permit, runs).await?;
    Ok(points::sample(&state.database, &runs, key, range, most).await?)
}

/// The datasets that runs of these experiments used. There is a permit for each.
///
/// # Errors
/// The database is away.
pub async fn datasets(
    state: &State,
    _permits: &[Permit<verbs::View>],
    experiments: &[ExperimentId],
) -> Result<Vec<DatasetSummary>> {
    Ok(points::datasets(&state.database, experiments).await?)
}
