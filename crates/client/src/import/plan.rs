//! What is to be carried: everything, or what was named with all that belongs to it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use domain::Problem;

use super::{Import, unread};
use crate::{
    Error,
    mlflow::wire::{Experiment, LoggedModel, ModelVersion, RegisteredModel, Run},
};

/// An experiment, and how much of it.
pub(super) struct PlannedExperiment {
    pub experiment: Experiment,
    pub part: Part,
}

/// How much of an experiment.
pub(super) enum Part {
    /// All runs and logged models.
    Whole,
    /// These.
    Some { runs: Vec<Run>, models: Vec<LoggedModel> },
}

/// A registered model with its versions.
pub(super) struct PlannedModel {
    pub model: RegisteredModel,
    pub versions: Vec<ModelVersion>,
}

/// What is to be carried.
pub(super) struct Plan {
    pub experiments: Vec<PlannedExperiment>,
    pub models: Vec<PlannedModel>,
}

impl Import<'_> {
    pub(super) async fn plan(&self) -> Result<Plan, Error> {
        let options = self.options;
        let everything = options.experiments.is_empty() && options.models.is_empty();
        self.watch.begin("reading lists", 0);
        let all = self.source.experiments().await?;
        let named = named(&all, &options.experiments)?;
        let models = match everything || !options.models.is_empty() {
            true => self.models().await?,
            false => Vec::new(),
        };
        let mut parts = match options.models.is_empty() {
            true => BTreeMap::new(),
            false => self.origins(&models).await?,
        };
        let mut experiments = Vec::new();
        for experiment in all {
            let id = &experiment.experiment_id;
            let part = match everything || named.contains(id) {
                true => Part::Whole,
                false => match parts.remove(id) {
                    Some((runs, models)) => Part::Some { runs, models },
                    None => continue,
                },
            };
            experiments.push(PlannedExperiment { experiment, part });
        }
        Ok(Plan { experiments, models })
    }

    /// The registered models that are wanted, with their versions.
    async fn models(&self) -> Result<Vec<PlannedModel>, Error> {
        let wanted: HashSet<&str> = self.options.models.iter().map(String::as_str).collect();
        let all = self.source.models().await?;
        for name in &wanted {
            if !all.iter().any(|model| model.name == *name) {
                let message = format!("the source has no registered model `{name}`");
                return Err(Problem::invalid("model", message).into());
            }
        }
        let mut planned = Vec::new();
        for model in all {
            if !wanted.is_empty() && !wanted.contains(model.name.as_str()) {
                continue;
            }
            match unread(self.source.versions(&model.name).await)? {
                Ok(versions) => planned.push(PlannedModel { model, versions }),
                Err(reason) => self.left("model", model.name, reason),
            }
        }
        Ok(planned)
    }

    /// The runs and logged models that these models' versions come from, by experiment.
    async fn origins(
        &self,
        models: &[PlannedModel],
    ) -> Result<BTreeMap<String, (Vec<Run>, Vec<LoggedModel>)>, Error> {
        let mut found: BTreeMap<String, (Vec<Run>, Vec<LoggedModel>)> = BTreeMap::new();
        let (mut runs, mut logged) = (BTreeSet::new(), BTreeSet::new());
        for version in models.iter().flat_map(|model| &model.versions) {
            runs.insert(version.run_id.clone());
            runs.extend(version.source.strip_prefix("runs:/").and_then(first));
            logged.extend(version.model_id.clone());
            let named = version.source.strip_prefix("models:/").and_then(first);
            logged.extend(named.filter(|id| id.starts_with("m-")));
        }
        for id in logged.iter().filter(|id| !id.is_empty()) {
            match unread(self.source.logged_model(id).await)? {
                Ok(model) => {
                    runs.extend(model.info.source_run_id.clone());
                    found.entry(model.info.experiment_id.clone()).or_default().1.push(model);
                }
                Err(reason) => self.left("logged model", id, reason),
            }
        }
        for id in runs.iter().filter(|id| !id.is_empty()) {
            match unread(self.source.run(id).await)? {
                Ok(run) => {
                    found.entry(run.info.experiment_id.clone()).or_default().0.push(run);
                }
                Err(reason) => self.left("run", id, reason),
            }
        }
        Ok(found)
    }
}

/// The first part of a path.
fn first(path: &str) -> Option<String> {
    path.trim_start_matches('/').split('/').next().map(ToOwned::to_owned)
}

/// The numbers of the experiments that were named, each by its name or its number.
fn named(all: &[Experiment], wanted: &[String]) -> Result<HashSet<String>, Problem> {
    let mut found = HashSet::new();
    for wanted in wanted {
        let by_name = all.iter().find(|experiment| experiment.name == *wanted);
        let by_id = || all.iter().find(|experiment| experiment.experiment_id == *wanted);
        let experiment = by_name.or_else(by_id).ok_or_else(|| {
            let message = format!("the source has no experiment `{wanted}`");
            Problem::invalid("experiment", message).hint("give its name or its number")
        })?;
        found.insert(experiment.experiment_id.clone());
    }
    Ok(found)
}
