//! What would break, or lose its origin, if something were deleted.

use auth::{Permit, verbs};
use domain::{
    ModelName, Problem, Resource,
    lineage::Dependent,
    tracking::{ExperimentId, RunId},
};
use store::{lineage, tracking::experiments};

use crate::{
    Result, State,
    models::{self, listed},
    versions,
};

/// How many one answer names.
const SHOWN: i64 = 200;

/// What depends on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependents {
    /// What stands against the deletion first.
    pub items: Vec<Dependent>,
    /// Whether there are more.
    pub truncated: bool,
}

impl Dependents {
    /// Those that the caller may know of.
    async fn of(mut items: Vec<Dependent>, may_view: impl AsyncFn(&Resource) -> bool) -> Self {
        let truncated = items.len() as i64 > SHOWN;
        items.truncate(usize::try_from(SHOWN).unwrap_or(usize::MAX));
        let mut seen = Vec::with_capacity(items.len());
        for dependent in items {
            if may_view(&dependent.home).await {
                seen.push(dependent);
            }
        }
        Self { items: seen, truncated }
    }
}

/// What depends on a model.
///
/// # Errors
/// It is not there.
pub async fn of_model(
    state: &State,
    permit: &Permit<verbs::View>,
    may_view: impl AsyncFn(&Resource) -> bool,
    model: &ModelName,
) -> Result<Dependents> {
    let model = models::get(state, permit, model).await?;
    let found = lineage::of_model(&state.database, model.id, SHOWN + 1).await?;
    Ok(Dependents::of(found, may_view).await)
}

/// What depends on a version.
///
/// # Errors
/// It is not there.
pub async fn of_version(
    state: &State,
    permit: &Permit<verbs::View>,
    may_view: impl AsyncFn(&Resource) -> bool,
    model: &ModelName,
    number: i32,
) -> Result<Dependents> {
    let version = versions::get(state, permit, model, number).await?;
    let found = lineage::of_version(&state.database, version.id, SHOWN + 1).await?;
    Ok(Dependents::of(found, may_view).await)
}

/// What depends on a run. Nothing stands against its deletion: what it made outlives it.
///
/// # Errors
/// The database is away.
pub async fn of_run(
    state: &State,
    _permit: &Permit<verbs::View>,
    may_view: impl AsyncFn(&Resource) -> bool,
    run: RunId,
) -> Result<Dependents> {
    let found = lineage::of_run(&state.database, run, SHOWN + 1).await?;
    Ok(Dependents::of(found, may_view).await)
}

/// What depends on an experiment from outside of it.
///
/// # Errors
/// It is not there, or deleted.
pub async fn of_experiment(
    state: &State,
    _permit: &Permit<verbs::View>,
    may_view: impl AsyncFn(&Resource) -> bool,
    experiment: ExperimentId,
) -> Result<Dependents> {
    let there = experiments::get(&state.database, experiment).await?;
    if there.is_none_or(|there| there.deleted_at.is_some()) {
        return Err(Problem::not_found("experiment", experiment).at("experiment_id").into());
    }
    let found = lineage::of_experiment(&state.database, experiment, SHOWN + 1).await?;
    Ok(Dependents::of(found, may_view).await)
}

/// Refuses to delete what something needs.
pub(crate) fn require_none(what: &str, needing: &[Dependent], hint: &str) -> Result<()> {
    if needing.is_empty() {
        return Ok(());
    }
    let message = format!("{what} is needed by {}", listed(needing));
    Err(Problem::conflict(message).hint(hint).into())
}
