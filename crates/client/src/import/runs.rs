//! One run: what it is, its points, its links.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Import, Known, files::Owner, mark, refused, unread};
use crate::{
    Error,
    mlflow::{
        Root,
        wire::{Metric, ModelLink, Run, pairs},
    },
};

/// Points that are sent at once.
const POINTS_AT_ONCE: usize = 10_000;

/// What a run has in Bottega.
#[derive(Deserialize)]
struct Tally {
    created: bool,
    params: u64,
    tags: u64,
    datasets: u64,
    points: HashMap<String, PointTally>,
}

#[derive(Deserialize, Clone, Copy)]
struct PointTally {
    points: u64,
    newest: i64,
}

/// A run that is here but for its links to logged models, which may come later.
pub(super) struct Linked {
    pub run: String,
    pub inputs: Vec<ModelLink>,
    pub outputs: Vec<ModelLink>,
    /// What it is marked with once they are there.
    pub mark: String,
}

/// What is left to do for a run whose own things are here.
pub(super) enum Rest {
    /// It is to be marked.
    Mark(String),
    /// Its links are to be made first.
    Links(Linked),
}

/// What a run is marked with while its links are missing.
pub(super) fn half(mark: &str) -> String {
    format!("half:{mark}")
}

impl Import<'_> {
    /// Carries a run but for its links. `None`: nothing is to be marked.
    pub(super) async fn carry_run(
        &self,
        run: Run,
        known: Option<&Known>,
    ) -> Result<Option<Rest>, Error> {
        let id = run.info.run_id.clone();
        let mark = mark(&run)?;
        let goes_on = matches!(run.info.status.as_str(), "RUNNING" | "SCHEDULED");
        let is_here = self.is_here(known, &mark);
        let is_half = self.is_here(known, &half(&mark));
        if self.options.dry_run {
            let mut report = self.report();
            match known {
                _ if is_here || is_half => report.runs.here += 1,
                Some(_) => report.runs.changed += 1,
                None => report.runs.carried += 1,
            }
            return Ok(None);
        }
        if goes_on || !(is_here || is_half) {
            let tally = match refused(self.put_run(&run).await)? {
                Ok(tally) => tally,
                Err(reason) => {
                    self.left("run", id, reason);
                    return Ok(None);
                }
            };
            self.compare(&run, &tally);
            for metric in &run.data.metrics {
                let here = tally.points.get(&metric.key).copied();
                self.carry_points(&id, &metric.key, here).await?;
            }
            let mut report = self.report();
            match tally.created {
                true => report.runs.carried += 1,
                false if is_here => report.runs.here += 1,
                false => report.runs.changed += 1,
            }
        } else {
            self.report().runs.here += 1;
        }
        let root = Root::of_run(&id, &run.info.artifact_uri);
        self.carry_files(Owner::Run, &id, &root).await?;
        let Run { inputs, outputs, .. } = run;
        if inputs.model_inputs.is_empty() && outputs.model_outputs.is_empty() {
            return Ok(Some(Rest::Mark(mark)));
        }
        if is_here && !goes_on {
            return Ok(None);
        }
        let (inputs, outputs) = (inputs.model_inputs, outputs.model_outputs);
        Ok(Some(Rest::Links(Linked { run: id, inputs, outputs, mark })))
    }

    async fn put_run(&self, run: &Run) -> Result<Tally, Error> {
        let info = &run.info;
        let datasets = run.inputs.dataset_inputs.iter().map(|input| {
            let dataset = &input.dataset;
            json!({
                "name": dataset.name, "digest": dataset.digest, "source_type": dataset.source_type,
                "source": dataset.source, "schema": dataset.schema, "profile": dataset.profile,
                "tags": pairs(&input.tags),
            })
        });
        let body = json!({
            "experiment": info.experiment_id, "name": info.run_name, "user_id": info.user_id,
            "status": info.status, "start_time": info.start_time, "end_time": info.end_time,
            "deleted": info.lifecycle_stage == "deleted", "params": pairs(&run.data.params),
            "tags": pairs(&run.data.tags), "datasets": datasets.collect::<Vec<_>>(),
        });
        self.server.put(&self.below(&["runs", &info.run_id]), &body).await
    }

    /// Whether all that was sent is there.
    fn compare(&self, run: &Run, tally: &Tally) {
        let datasets = run.inputs.dataset_inputs.len();
        for (what, theirs, ours) in [
            ("params", pairs(&run.data.params).len(), tally.params),
            ("tags", pairs(&run.data.tags).len(), tally.tags),
            ("datasets", datasets, tally.datasets),
        ] {
            if (theirs as u64) > ours {
                let reason = format!("the source has {theirs}, here are {ours}");
                self.left(&format!("{what} of run"), &run.info.run_id, reason);
            }
        }
    }

    /// Carries the points of a metric that are not here.
    async fn carry_points(
        &self,
        run: &str,
        key: &str,
        here: Option<PointTally>,
    ) -> Result<(), Error> {
        let before = here.map_or(0, |here| here.points);
        // The source lists by time: what it has behind our newest point comes first of all.
        let since = here.map_or(i64::MIN, |here| here.newest);
        let mut now = before;
        for since in [since, i64::MIN] {
            let what = format!("{run}: {key}");
            let sent = refused(self.send_points(run, key, since, now).await)?;
            let (read, total) = match sent {
                Ok(Ok(counts)) => counts,
                Ok(Err(reason)) | Err(reason) => {
                    self.left("metric", what, reason);
                    break;
                }
            };
            now = total;
            if now >= read {
                break;
            }
            if since == i64::MIN {
                let reason = format!("the source has {read} points, here are {now}");
                self.left("metric", what, reason);
            }
        }
        self.report().points += now.saturating_sub(before);
        Ok(())
    }

    /// Sends the points from an instant on. Answers how many points the source has, and how many are here.
    async fn send_points(
        &self,
        run: &str,
        key: &str,
        since: i64,
        here: u64,
    ) -> Result<Result<(u64, u64), String>, Error> {
        #[derive(Deserialize)]
        struct Now {
            points: u64,
        }
        let (mut read, mut total) = (0, here);
        let mut token: Option<String> = None;
        loop {
            let page = self.source.history(run, key, token.as_deref()).await;
            let (page, next) = match unread(page)? {
                Ok(page) => page,
                Err(reason) => return Ok(Err(reason)),
            };
            read += page.len() as u64;
            let new: Vec<&Metric> = page.iter().filter(|point| point.timestamp >= since).collect();
            for points in new.chunks(POINTS_AT_ONCE) {
                let points: Vec<Value> = points
                    .iter()
                    .map(|point| {
                        json!({"step": point.step, "timestamp": point.timestamp, "value": point.value})
                    })
                    .collect();
                let body = json!({"key": key, "points": points});
                let now: Now =
                    self.server.post(&self.below(&["runs", run, "points"]), &body).await?;
                total = now.points;
            }
            if next.is_none() || next == token {
                return Ok(Ok((read, total)));
            }
            token = next;
        }
    }

    /// Makes the links of a run to logged models. Answers whether all are made that can be.
    pub(super) async fn carry_links(&self, linked: &Linked) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Missing {
            missing: Vec<String>,
        }
        let inputs: Vec<&str> = linked.inputs.iter().map(|link| link.model_id.as_str()).collect();
        let body = json!({"inputs": inputs, "outputs": linked.outputs});
        let address = self.below(&["runs", &linked.run, "models"]);
        let missing: Missing = match refused(self.server.put(&address, &body).await)? {
            Ok(answer) => answer,
            Err(reason) => {
                self.left("links of run", &linked.run, reason);
                return Ok(false);
            }
        };
        let mut is_whole = true;
        for model in missing.missing {
            // What is deleted at the source is still named by its runs.
            if unread(self.source.logged_model(&model).await)?.is_ok() {
                is_whole = false;
                let name = format!("{}: {model}", linked.run);
                self.left("link of run", name, "the logged model was not carried");
            }
        }
        Ok(is_whole)
    }
}
