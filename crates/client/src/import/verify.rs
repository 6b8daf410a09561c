//! Comparing both sides field by field, by MLflow's own API on both.

use std::collections::{BTreeMap, HashMap};

use domain::ImportKind;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    AT_ONCE, Import, Left,
    files::Owner,
    plan::{Part, Plan, PlannedExperiment, PlannedModel},
    report::Verified,
    unread,
};
use crate::{
    Error,
    mlflow::{
        Root, Source,
        wire::{Experiment, LoggedModel, ModelVersion, RegisteredModel, Run, pairs},
    },
};

impl Import<'_> {
    /// Reads both sides again, and notes where they differ.
    pub(super) async fn verify(&self, plan: &Plan) -> Result<(), Error> {
        let ours = self.server.as_mlflow()?;
        self.report().verified = Some(Verified::default());
        let here: HashMap<String, Experiment> = ours
            .experiments()
            .await?
            .into_iter()
            .map(|here| (here.experiment_id.clone(), here))
            .collect();
        for planned in &plan.experiments {
            let theirs = &planned.experiment;
            let id = theirs.experiment_id.clone();
            let known = self.known(ImportKind::Experiment, std::slice::from_ref(&id)).await?;
            let Some(known) = known.get(&id) else { continue };
            self.watch.begin(&format!("comparing `{}`", theirs.name), 0);
            // The experiment 0 is of both servers.
            if id != "0" {
                let here = here.get(&known.ours).map(experiment);
                self.same("experiment", &theirs.name, experiment(theirs), here);
            }
            self.verify_runs(&ours, planned).await?;
            self.verify_logged_models(&ours, planned).await?;
        }
        for planned in &plan.models {
            self.verify_model(&ours, planned).await?;
        }
        Ok(())
    }

    fn verified(&self, note: impl FnOnce(&mut Verified)) {
        if let Some(verified) = &mut self.report().verified {
            note(verified);
        }
    }

    fn differs(&self, kind: &str, name: &str, reason: String) {
        let left = Left { kind: kind.to_owned(), name: name.to_owned(), reason };
        self.verified(|verified| verified.differences.push(left));
    }

    /// Notes each field in which the two differ.
    fn same(&self, kind: &str, name: &str, theirs: Value, ours: Option<Value>) {
        self.verified(|verified| verified.compared += 1);
        let Some(ours) = ours else {
            return self.differs(kind, name, "it is not here".to_owned());
        };
        let empty = Map::new();
        let fields = theirs.as_object().unwrap_or(&empty);
        for (field, theirs) in fields.iter().filter(|(field, theirs)| ours[*field] != **theirs) {
            let shown = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            let reason =
                format!("`{field}` is {} there and {} here", shown(theirs), shown(&ours[field]));
            self.differs(kind, name, reason);
        }
    }

    async fn verify_runs(&self, ours: &Source, planned: &PlannedExperiment) -> Result<(), Error> {
        if let Part::Some { runs, .. } = &planned.part {
            return self.verify_page(ours, runs.clone()).await;
        }
        let mut token: Option<String> = None;
        loop {
            let page = self.source.runs(&planned.experiment.experiment_id, token.as_deref()).await;
            let Ok((page, next)) = unread(page)? else { return Ok(()) };
            self.verify_page(ours, page).await?;
            if next.is_none() || next == token {
                return Ok(());
            }
            token = next;
        }
    }

    async fn verify_page(&self, ours: &Source, page: Vec<Run>) -> Result<(), Error> {
        let done: Vec<Result<(), Error>> = stream::iter(page)
            .map(|run| async move { self.verify_run(ours, &run).await })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        done.into_iter().collect()
    }

    async fn verify_run(&self, ours: &Source, theirs: &Run) -> Result<(), Error> {
        let id = &theirs.info.run_id;
        let here = unread(ours.run(id).await)?.ok();
        self.same("run", id, run(theirs), here.as_ref().map(run));
        if here.is_none() {
            return Ok(());
        }
        for metric in &theirs.data.metrics {
            let one = unread(points(self.source, id, &metric.key).await)?;
            let other = unread(points(ours, id, &metric.key).await)?;
            let count = one.as_ref().map_or(0, Vec::len) as u64;
            self.verified(|verified| verified.points += count);
            if one != other {
                let name = format!("{id}: {}", metric.key);
                let count = |points: &Result<Vec<_>, _>| points.as_ref().map_or(0, Vec::len);
                let reason =
                    format!("{} points there, {} here, or other ones", count(&one), count(&other));
                self.differs("metric", &name, reason);
            }
        }
        let root = Root::of_run(id, &theirs.info.artifact_uri);
        self.verify_files(Owner::Run, id, &root).await
    }

    async fn verify_files(&self, owner: Owner, id: &str, root: &Root) -> Result<(), Error> {
        if self.unreadable().contains(id) {
            return Ok(());
        }
        let Ok((found, _)) = unread(self.source.files(root).await)? else { return Ok(()) };
        if found.is_empty() {
            return Ok(());
        }
        let here = self.files_here(owner, id).await?;
        for found in found {
            let name = format!("{id}: {}", found.path);
            let there = self.digest_there(root, &found).await?;
            let here = here.get(&found.path).map(|(digest, _)| *digest);
            self.verified(|verified| verified.files += 1);
            match (there, here) {
                (Ok(there), Some(here)) if there == here => {}
                (Ok(there), here) => {
                    let here = here.map_or_else(|| "nothing".to_owned(), |here| here.to_string());
                    self.differs("file", &name, format!("{there} there and {here} here"));
                }
                (Err(reason), _) => self.differs("file", &name, reason),
            }
        }
        Ok(())
    }

    async fn verify_logged_models(
        &self,
        ours: &Source,
        planned: &PlannedExperiment,
    ) -> Result<(), Error> {
        let mut token: Option<String> = None;
        loop {
            let (page, next) = match &planned.part {
                Part::Some { models, .. } => (models.clone(), None),
                Part::Whole => {
                    let id = &planned.experiment.experiment_id;
                    let page = self.source.logged_models(id, token.as_deref()).await;
                    let Ok(page) = unread(page)? else { return Ok(()) };
                    page
                }
            };
            for theirs in &page {
                let id = &theirs.info.model_id;
                let here = unread(ours.logged_model(id).await)?.ok();
                self.same(
                    "logged model",
                    id,
                    logged_model(theirs),
                    here.as_ref().map(logged_model),
                );
                if here.is_some() {
                    let root = Root::of_model(id, &theirs.info.artifact_uri);
                    self.verify_files(Owner::Model, id, &root).await?;
                }
            }
            if next.is_none() || next == token {
                return Ok(());
            }
            token = next;
        }
    }

    async fn verify_model(&self, ours: &Source, planned: &PlannedModel) -> Result<(), Error> {
        let name = &planned.model.name;
        let known = self.known(ImportKind::Model, std::slice::from_ref(name)).await?;
        if known.is_empty() {
            return Ok(());
        }
        let here = unread(ours.registered_model(name).await)?.ok();
        self.same("model", name, model(&planned.model), here.as_ref().map(model));
        let Ok(here) = unread(ours.versions(name).await)? else { return Ok(()) };
        let here: BTreeMap<&str, &ModelVersion> =
            here.iter().map(|version| (version.version.as_str(), version)).collect();
        for theirs in &planned.versions {
            let id = format!("{name}/{}", theirs.version);
            let here = here.get(theirs.version.as_str()).map(|here| version(here));
            self.same("version", &id, version(theirs), here);
        }
        Ok(())
    }
}

/// All points of a metric, in an order of their own: timestamp, step, and the bits of the value.
async fn points(
    of: &Source,
    run: &str,
    key: &str,
) -> Result<Vec<(i64, i64, u64)>, crate::mlflow::SourceError> {
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let (page, next) = of.history(run, key, token.as_deref()).await?;
        all.extend(page.iter().map(|point| {
            // One NaN is as good as another, and so are the zeros.
            let value = if point.value.0.is_nan() { f64::NAN } else { point.value.0 + 0.0 };
            (point.timestamp, point.step, value.to_bits())
        }));
        if next.is_none() || next == token {
            all.sort_unstable();
            return Ok(all);
        }
        token = next;
    }
}

fn experiment(it: &Experiment) -> Value {
    json!({
        "name": it.name, "lifecycle_stage": it.lifecycle_stage, "tags": pairs(&it.tags),
        "creation_time": it.creation_time, "last_update_time": it.last_update_time,
    })
}

fn run(it: &Run) -> Value {
    let info = &it.info;
    let mut datasets: Vec<String> = it.inputs.dataset_inputs.iter().map(text).collect();
    datasets.sort();
    json!({
        "run_name": info.run_name, "user_id": info.user_id, "status": info.status,
        "start_time": info.start_time, "end_time": info.end_time,
        "lifecycle_stage": info.lifecycle_stage, "params": pairs(&it.data.params),
        "tags": pairs(&it.data.tags), "metrics": it.data.metrics, "datasets": datasets,
        "inputs": it.inputs.model_inputs.iter().map(|link| &link.model_id).collect::<Vec<_>>(),
        "outputs": it.outputs.model_outputs,
    })
}

fn text(it: &impl Serialize) -> String {
    serde_json::to_string(it).unwrap_or_default()
}

fn logged_model(it: &LoggedModel) -> Value {
    let info = &it.info;
    let mut metrics: Vec<String> = it.data.metrics.iter().map(text).collect();
    metrics.sort();
    json!({
        "name": info.name, "status": info.status, "model_type": info.model_type,
        "source_run_id": info.source_run_id, "creation_timestamp_ms": info.creation_timestamp_ms,
        "tags": pairs(&info.tags), "params": pairs(&it.data.params), "metrics": metrics,
    })
}

fn model(it: &RegisteredModel) -> Value {
    json!({
        "description": it.description, "tags": pairs(&it.tags), "aliases": it.aliases,
        "creation_timestamp": it.creation_timestamp,
    })
}

fn version(it: &ModelVersion) -> Value {
    json!({
        "description": it.description, "tags": pairs(&it.tags), "current_stage": it.current_stage,
        "run_id": it.run_id, "status": it.status, "creation_timestamp": it.creation_timestamp,
    })
}
