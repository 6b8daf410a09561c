//! Registered models, their versions and aliases. Files come from runs and logged models that were
//! carried before.

use std::collections::BTreeMap;

use domain::{ImportKind, ModelRef, VersionSelector};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Import, Known, mark,
    plan::{Plan, PlannedModel},
    refused, unread,
};
use crate::{
    Error,
    mlflow::wire::{ModelVersion, pairs},
    path,
};

/// Where a version's files are.
enum Place {
    /// In a folder of a run that was carried.
    Run { id: String, path: String },
    /// In a folder of a logged model that was carried.
    Model { id: String, path: String },
    /// In another version, as `name/3`.
    Version(String),
    /// Nowhere that the source can read.
    Elsewhere(String),
}

/// A version whose files are in another one, which may come later.
struct Later<'p> {
    version: &'p ModelVersion,
    mark: String,
    known: bool,
}

impl Import<'_> {
    pub(super) async fn carry_models(&self, plan: &Plan) -> Result<(), Error> {
        self.watch.begin("registered models", plan.models.len() as u64);
        let names: Vec<String> = plan.models.iter().map(|it| it.model.name.clone()).collect();
        let known = self.known(ImportKind::Model, &names).await?;
        let mut later = Vec::new();
        let mut open = Vec::new();
        for planned in &plan.models {
            if let Some(mark) = self.carry_model(planned, &known, &mut later).await? {
                open.push((planned, mark));
            }
            self.watch.done();
        }
        for Later { version, mark, known } in later {
            self.carry_version(version, mark, known, None).await?;
        }
        let mut marks = Vec::new();
        for (planned, mark) in open {
            if self.carry_aliases(planned).await? {
                marks.push((planned.model.name.clone(), mark));
            }
        }
        self.mark_all(ImportKind::Model, marks).await
    }

    /// Carries a model and its versions; answers what it is to be marked with once its aliases are put.
    async fn carry_model<'p>(
        &self,
        planned: &'p PlannedModel,
        known: &super::KnownItems,
        later: &mut Vec<Later<'p>>,
    ) -> Result<Option<String>, Error> {
        let model = &planned.model;
        let known = known.get(&model.name);
        let mark = mark(model)?;
        let is_here = self.is_here(known, &mark);
        if !is_here && !self.put_model(planned, known).await? {
            return Ok(None);
        }
        if is_here {
            self.report().models.here += 1;
        }
        let id = |version: &ModelVersion| format!("{}/{}", version.name, version.version);
        let ids: Vec<String> = planned.versions.iter().map(id).collect();
        let known = self.known(ImportKind::Version, &ids).await?;
        for version in &planned.versions {
            let mark = super::mark(version)?;
            let known = known.get(&id(version));
            if self.is_here(known, &mark) {
                self.report().versions.here += 1;
                continue;
            }
            self.carry_version(version, mark, known.is_some(), Some(later)).await?;
        }
        Ok((!is_here && !self.options.dry_run).then_some(mark))
    }

    /// `false`: it cannot be carried, and neither can its versions.
    async fn put_model(
        &self,
        planned: &PlannedModel,
        known: Option<&Known>,
    ) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Carried {
            created: bool,
        }
        let model = &planned.model;
        if self.options.dry_run {
            let there = self.server.get::<Value>(&path(&["models", &model.name]), &[]).await;
            match (known, there) {
                (None, Ok(_)) => {
                    let reason = "a model of that name is here already: it was not imported";
                    self.left("model", &model.name, reason);
                    return Ok(false);
                }
                (None, _) => self.report().models.carried += 1,
                (Some(_), _) => self.report().models.changed += 1,
            }
            return Ok(true);
        }
        let body = json!({
            "description": model.description, "tags": pairs(&model.tags),
            "created_at": model.creation_timestamp, "updated_at": model.last_updated_timestamp,
        });
        let put = self.server.put(&self.below(&["models", &model.name]), &body).await;
        match refused::<Carried>(put)? {
            Ok(Carried { created: true }) => self.report().models.carried += 1,
            Ok(Carried { created: false }) => self.report().models.changed += 1,
            Err(reason) => {
                let name = format!("{}, with its versions", model.name);
                self.left("model", name, reason);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Carries a version. With `later`, one whose files are in a version that is not here yet is put there.
    async fn carry_version<'p>(
        &self,
        version: &'p ModelVersion,
        mark: String,
        known: bool,
        later: Option<&mut Vec<Later<'p>>>,
    ) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Carried {
            created: bool,
            files: u64,
            stage_kept: Option<String>,
        }
        let name = format!("{}/{}", version.name, version.version);
        if self.options.dry_run {
            let mut report = self.report();
            match known {
                true => report.versions.changed += 1,
                false => report.versions.carried += 1,
            }
            return Ok(());
        }
        let place = match self.place(version).await? {
            Ok(place) => place,
            Err(reason) => {
                self.left("version", name, reason);
                return Ok(());
            }
        };
        if let (Place::Version(_), Some(later)) = (&place, later) {
            later.push(Later { version, mark, known });
            return Ok(());
        }
        let address = self.below(&["models", &version.name, "versions", &version.version]);
        let put = self.server.put(&address, &body(version, &place)).await;
        let carried: Carried = match refused(put)? {
            Ok(carried) => carried,
            Err(reason) => {
                self.left("version", name, reason);
                return Ok(());
            }
        };
        match carried.created {
            true => self.report().versions.carried += 1,
            false => self.report().versions.changed += 1,
        }
        if let Place::Elsewhere(reason) = &place {
            self.left("files of version", &name, reason);
        } else if carried.files == 0 {
            let reason = format!("the source has none at `{}`", version.source);
            self.left("files of version", &name, reason);
        }
        if let Some(reason) = carried.stage_kept {
            self.left("stage of version", name, reason);
            return Ok(());
        }
        self.mark_all(ImportKind::Version, vec![(name, mark)]).await
    }

    /// Finds out where a version's files are here. `Err`: whose they are was not carried.
    async fn place(&self, version: &ModelVersion) -> Result<Result<Place, String>, Error> {
        let source = version.source.as_str();
        if let Some(rest) = source.strip_prefix("models:/") {
            let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
            if first.starts_with("m-") && first.parse::<domain::tracking::LoggedModelId>().is_ok() {
                return self.of_model(first, below, source).await;
            }
            let of = rest.parse::<ModelRef>().ok();
            if let Some(ModelRef { model, version: VersionSelector::Number(number) }) = of {
                return Ok(Ok(Place::Version(format!("{model}/{number}"))));
            }
            return Ok(Ok(elsewhere(source)));
        }
        if let Some(rest) = source.strip_prefix("runs:/") {
            let rest = rest.trim_start_matches('/');
            let (run, below) = rest.split_once('/').unwrap_or((rest, ""));
            return self.of_run(run, below, source).await;
        }
        // `mlflow-artifacts:/3/models/m-…/artifacts`: the id is in the path.
        let parts: Vec<&str> = source.trim_end_matches('/').split('/').collect();
        let model = parts.windows(3).position(
            |window| matches!(window, ["models", id, "artifacts"] if id.starts_with("m-")),
        );
        if let Some(at) = model {
            let id = parts.get(at + 1).copied().unwrap_or_default();
            let below = parts.get(at + 3..).unwrap_or_default().join("/");
            return self.of_model(id, &below, source).await;
        }
        if version.run_id.is_empty() {
            return Ok(Ok(elsewhere(source)));
        }
        match unread(self.source.run(&version.run_id).await)? {
            Ok(run) => {
                let root = run.info.artifact_uri.trim_end_matches('/');
                let below = source.strip_prefix(root).filter(|_| !root.is_empty());
                match below.filter(|below| below.is_empty() || below.starts_with('/')) {
                    Some(below) => {
                        self.of_run(&version.run_id, below.trim_matches('/'), source).await
                    }
                    None => Ok(Ok(elsewhere(source))),
                }
            }
            Err(_) => Ok(Ok(elsewhere(source))),
        }
    }

    async fn of_run(
        &self,
        run: &str,
        below: &str,
        source: &str,
    ) -> Result<Result<Place, String>, Error> {
        if self.unreadable().contains(run) {
            return Ok(Ok(elsewhere(source)));
        }
        let id = run.to_owned();
        if self.known(ImportKind::Run, std::slice::from_ref(&id)).await?.is_empty() {
            return Ok(Err(format!("its files are of the run {run}, which was not carried")));
        }
        Ok(Ok(Place::Run { id, path: below.trim_end_matches('/').to_owned() }))
    }

    async fn of_model(
        &self,
        model: &str,
        below: &str,
        source: &str,
    ) -> Result<Result<Place, String>, Error> {
        let id = model.to_owned();
        if self.known(ImportKind::LoggedModel, std::slice::from_ref(&id)).await?.is_empty() {
            return Ok(Err(format!(
                "its files are of the logged model {model}, which was not carried"
            )));
        }
        if self.unreadable().contains(model) {
            return Ok(Ok(elsewhere(source)));
        }
        Ok(Ok(Place::Model { id, path: below.trim_end_matches('/').to_owned() }))
    }

    /// Puts a model's aliases. Answers whether all of them are where the source has them.
    async fn carry_aliases(&self, planned: &PlannedModel) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Moved {
            moved: u64,
            kept: Vec<Kept>,
        }
        #[derive(Deserialize)]
        struct Kept {
            alias: String,
            reason: String,
        }
        let name = &planned.model.name;
        let mut aliases = BTreeMap::new();
        for alias in &planned.model.aliases {
            match alias.version.parse::<i32>() {
                Ok(number) => drop(aliases.insert(alias.alias.as_str(), number)),
                Err(_) => {
                    let reason = format!("`{}` is no number of a version", alias.version);
                    self.left("alias", format!("{name}@{}", alias.alias), reason);
                }
            }
        }
        let address = self.below(&["models", name, "aliases"]);
        let put = self.server.put(&address, &json!({"aliases": aliases})).await;
        match refused::<Moved>(put)? {
            Ok(Moved { moved, kept }) => {
                self.report().aliases += moved;
                let is_whole = kept.is_empty();
                for kept in kept {
                    self.left("alias", format!("{name}@{}", kept.alias), kept.reason);
                }
                Ok(is_whole)
            }
            Err(reason) => {
                self.left("aliases of model", name, reason);
                Ok(false)
            }
        }
    }
}

fn elsewhere(source: &str) -> Place {
    let shown: String = source.chars().take(200).collect();
    Place::Elsewhere(format!(
        "they are at `{shown}`, where the source's server does not read them: the version is known here, and never served"
    ))
}

fn body(version: &ModelVersion, place: &Place) -> Value {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let files_of = match place {
        Place::Run { id, path } => json!({"run": {"id": id, "path": path}}),
        Place::Model { id, path } => json!({"logged_model": {"id": id, "path": path}}),
        Place::Version(name) => json!({"version": name}),
        Place::Elsewhere(_) => Value::Null,
    };
    json!({
        "description": version.description, "tags": pairs(&version.tags),
        "stage": filled(&version.current_stage), "run_id": filled(&version.run_id),
        "model_id": version.model_id.as_deref().and_then(filled),
        "run_link": filled(&version.run_link), "source": version.source, "files_of": files_of,
        "created_at": version.creation_timestamp, "updated_at": version.last_updated_timestamp,
    })
}
