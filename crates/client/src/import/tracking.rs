//! Experiments, and in them runs and logged models.

use std::collections::{HashMap, HashSet};

use domain::ImportKind;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AT_ONCE, Import, Known, Renumbered,
    files::Owner,
    mark,
    plan::{Part, Plan, PlannedExperiment},
    refused,
    runs::{Linked, Rest, half},
    unread,
};
use crate::{
    Error,
    mlflow::{
        Root,
        wire::{Experiment, LoggedModel, Run, pairs},
    },
};

/// Links that are remembered before they are made.
const LINKS_AT_ONCE: usize = 1000;

impl Import<'_> {
    /// Carries experiments, their runs and their logged models, in this order: a model names runs, and
    /// runs are linked to models.
    pub(super) async fn carry_tracking(&self, plan: &Plan) -> Result<(), Error> {
        let mut links = Vec::new();
        let taken = match self.options.dry_run {
            true => self.names_here().await?,
            false => HashMap::new(),
        };
        let mut carried: Vec<&PlannedExperiment> = Vec::new();
        for planned in &plan.experiments {
            if self.carry_experiment(&planned.experiment, &taken).await? {
                carried.push(planned);
            }
        }
        for (at, planned) in carried.iter().enumerate() {
            let name = &planned.experiment.name;
            let of = carried.len();
            self.watch.begin(&format!("runs of `{name}` ({} of {of})", at + 1), 0);
            self.carry_runs(planned, &mut links).await?;
        }
        for (at, planned) in carried.iter().enumerate() {
            let name = &planned.experiment.name;
            let of = carried.len();
            self.watch.begin(&format!("logged models of `{name}` ({} of {of})", at + 1), 0);
            self.carry_logged_models(planned).await?;
        }
        for links in links.chunks(LINKS_AT_ONCE) {
            let mut marks = Vec::new();
            for linked in links {
                if self.carry_links(linked).await? {
                    marks.push((linked.run.clone(), linked.mark.clone()));
                }
            }
            self.mark_all(ImportKind::Run, marks).await?;
        }
        Ok(())
    }

    /// The experiments that Bottega has, by name.
    async fn names_here(&self) -> Result<HashMap<String, String>, Error> {
        let here = self.server.as_mlflow()?.experiments().await?;
        Ok(here.into_iter().map(|here| (here.name, here.experiment_id)).collect())
    }

    /// Carries an experiment. `false`: it cannot be, and neither can what is in it.
    async fn carry_experiment(
        &self,
        experiment: &Experiment,
        taken: &HashMap<String, String>,
    ) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Placed {
            ours: String,
            created: bool,
        }
        let id = experiment.experiment_id.clone();
        let mark = mark(experiment)?;
        let mut known = self.known(ImportKind::Experiment, std::slice::from_ref(&id)).await?;
        let known = known.remove(&id);
        if self.is_here(known.as_ref(), &mark) {
            self.report().experiments.here += 1;
            self.renumbered(experiment, known.map_or_else(|| id.clone(), |known| known.ours));
            return Ok(true);
        }
        if self.options.dry_run {
            let there = taken.get(&experiment.name);
            if known.is_none() && there.is_some_and(|there| there != "0" || id != "0") {
                let reason = "an experiment of that name is here already: it was not imported";
                self.left("experiment", &experiment.name, reason);
                return Ok(false);
            }
            let mut report = self.report();
            match known {
                Some(_) => report.experiments.changed += 1,
                None => report.experiments.carried += 1,
            }
            return Ok(true);
        }
        let body = json!({
            "name": experiment.name, "tags": pairs(&experiment.tags),
            "deleted": experiment.lifecycle_stage == "deleted",
            "created_at": experiment.creation_time, "updated_at": experiment.last_update_time,
        });
        let address = self.below(&["experiments", &id]);
        let placed: Placed = match refused(self.server.put(&address, &body).await)? {
            Ok(placed) => placed,
            Err(reason) => {
                let name = format!("{} ({id}), with all that is in it", experiment.name);
                self.left("experiment", name, reason);
                return Ok(false);
            }
        };
        self.mark_all(ImportKind::Experiment, vec![(id, mark)]).await?;
        match placed.created {
            true => self.report().experiments.carried += 1,
            false => self.report().experiments.changed += 1,
        }
        self.renumbered(experiment, placed.ours);
        Ok(true)
    }

    fn renumbered(&self, experiment: &Experiment, ours: String) {
        if ours != experiment.experiment_id {
            let (name, from) = (experiment.name.clone(), experiment.experiment_id.clone());
            self.report().renumbered.push(Renumbered { name, from, to: ours });
        }
    }

    async fn carry_runs(
        &self,
        planned: &PlannedExperiment,
        links: &mut Vec<Linked>,
    ) -> Result<(), Error> {
        let experiment = &planned.experiment;
        let name = &experiment.name;
        if let Part::Some { runs, .. } = &planned.part {
            return self.carry_page(runs.clone(), links).await;
        }
        let mut seen = HashSet::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.source.runs(&experiment.experiment_id, token.as_deref()).await;
            let (mut page, next) = match unread(page)? {
                Ok(page) => page,
                Err(reason) => {
                    self.left("runs of experiment", name, reason);
                    return Ok(());
                }
            };
            // What moved to a later page while we read is seen twice.
            page.retain(|run| seen.insert(run.info.run_id.clone()));
            self.carry_page(page, links).await?;
            if next.is_none() || next == token {
                return Ok(());
            }
            token = next;
        }
    }

    async fn carry_page(&self, page: Vec<Run>, links: &mut Vec<Linked>) -> Result<(), Error> {
        let ids: Vec<String> = page.iter().map(|run| run.info.run_id.clone()).collect();
        let known = self.known(ImportKind::Run, &ids).await?;
        let done: Vec<Result<(String, Option<Rest>), Error>> = stream::iter(page)
            .map(|run| {
                let known = known.get(&run.info.run_id);
                async move {
                    let id = run.info.run_id.clone();
                    let rest = self.carry_run(run, known).await?;
                    self.watch.done();
                    Ok((id, rest))
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut marks = Vec::new();
        let mut failure = None;
        for done in done {
            match done {
                Ok((id, Some(Rest::Mark(mark)))) => marks.push((id, mark)),
                Ok((id, Some(Rest::Links(linked)))) => {
                    marks.push((id, half(&linked.mark)));
                    links.push(linked);
                }
                Ok((_, None)) => {}
                Err(error) => failure = Some(error),
            }
        }
        self.mark_all(ImportKind::Run, marks).await?;
        failure.map_or(Ok(()), Err)
    }

    async fn carry_logged_models(&self, planned: &PlannedExperiment) -> Result<(), Error> {
        let experiment = &planned.experiment;
        if let Part::Some { models, .. } = &planned.part {
            return self.carry_models_page(models.clone()).await;
        }
        let mut seen = HashSet::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.source.logged_models(&experiment.experiment_id, token.as_deref()).await;
            let (mut page, next) = match unread(page)? {
                Ok(page) => page,
                Err(reason) => {
                    self.left("logged models of experiment", &experiment.name, reason);
                    return Ok(());
                }
            };
            page.retain(|model| seen.insert(model.info.model_id.clone()));
            self.carry_models_page(page).await?;
            if next.is_none() || next == token {
                return Ok(());
            }
            token = next;
        }
    }

    async fn carry_models_page(&self, page: Vec<LoggedModel>) -> Result<(), Error> {
        let ids: Vec<String> = page.iter().map(|model| model.info.model_id.clone()).collect();
        let known = self.known(ImportKind::LoggedModel, &ids).await?;
        let done: Vec<Result<Option<(String, String)>, Error>> = stream::iter(page)
            .map(|model| {
                let known = known.get(&model.info.model_id);
                async move {
                    let mark = self.carry_logged_model(&model, known).await?;
                    self.watch.done();
                    Ok(mark.map(|mark| (model.info.model_id, mark)))
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let (done, failed): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
        let marks = done.into_iter().filter_map(|done| done.ok().flatten()).collect();
        self.mark_all(ImportKind::LoggedModel, marks).await?;
        failed.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    /// Carries a logged model; answers what it is to be marked with.
    async fn carry_logged_model(
        &self,
        model: &LoggedModel,
        known: Option<&Known>,
    ) -> Result<Option<String>, Error> {
        let id = &model.info.model_id;
        let mark = mark(model)?;
        let is_here = self.is_here(known, &mark);
        {
            let mut report = self.report();
            let counts = &mut report.logged_models;
            match known {
                _ if is_here => counts.here += 1,
                Some(_) => counts.changed += 1,
                None => counts.carried += 1,
            }
        }
        if self.options.dry_run {
            return Ok(None);
        }
        let mut is_whole = true;
        if !is_here {
            match refused(self.put_logged_model(model).await)? {
                Ok(missing) => {
                    is_whole = missing.is_empty();
                    for run in missing {
                        let reason = format!("the run {run}, which measured them, was not carried");
                        self.left("metrics of logged model", id, reason);
                    }
                }
                Err(reason) => {
                    self.left("logged model", id, reason);
                    self.unreadable().insert(id.clone());
                    let mut report = self.report();
                    match known {
                        Some(_) => report.logged_models.changed -= 1,
                        None => report.logged_models.carried -= 1,
                    }
                    return Ok(None);
                }
            }
        }
        let root = Root::of_model(id, &model.info.artifact_uri);
        self.carry_files(Owner::Model, id, &root).await?;
        Ok((is_whole && !is_here).then_some(mark))
    }

    /// Answers the runs that measured it and are not here.
    async fn put_logged_model(&self, model: &LoggedModel) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Missing {
            missing: Vec<String>,
        }
        let info = &model.info;
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let metrics = model.data.metrics.iter().filter(|metric| metric.run_id.is_some());
        let metrics: Vec<Value> = metrics
            .map(|metric| {
                json!({
                    "key": metric.key, "value": metric.value, "timestamp": metric.timestamp,
                    "step": metric.step, "run_id": metric.run_id,
                    "dataset_name": filled(&metric.dataset_name),
                    "dataset_digest": filled(&metric.dataset_digest),
                })
            })
            .collect();
        let body = json!({
            "experiment": info.experiment_id, "name": info.name,
            "source_run_id": filled(&info.source_run_id), "model_type": info.model_type,
            "status": info.status, "status_message": filled(&info.status_message),
            "created_at": info.creation_timestamp_ms, "updated_at": info.last_updated_timestamp_ms,
            "params": pairs(&model.data.params), "tags": pairs(&info.tags), "metrics": metrics,
        });
        let address = self.below(&["logged-models", &info.model_id]);
        let Missing { missing } = self.server.put(&address, &body).await?;
        Ok(missing)
    }
}
