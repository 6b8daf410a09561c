//! Experiments that come from elsewhere.

use auth::{Permit, verbs};
use domain::{
    ImportKind, ImportSourceId, Problem, Resource,
    tracking::{ExperimentId, Tag, check_experiment_name, check_experiment_tag},
};
use serde_json::json;
use store::{
    Change,
    imports::{self, Imported, Stamped},
    tracking::experiments::{self, Experiment},
};

use super::{Placed, instant, occupied, open};
use crate::{Result, State};

/// The experiment that every server has.
const DEFAULT: ExperimentId = ExperimentId(0);

/// An experiment as its source describes it.
#[derive(Debug, Clone)]
pub struct ImportedExperiment {
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Whether it is deleted.
    pub deleted: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_at: i64,
    /// When it was changed last.
    pub updated_at: i64,
}

/// Makes an experiment, or brings the one that was imported before to what the source says now. It
/// keeps its number if that is free. The experiment 0 of both servers is one.
///
/// # Errors
/// An experiment of that name is here that was not imported from this source; a name or a tag that
/// cannot be.
pub async fn experiment(
    state: &State,
    permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    theirs: ExperimentId,
    new: &ImportedExperiment,
) -> Result<Placed> {
    check_experiment_name(&new.name)?;
    new.tags.iter().try_for_each(check_experiment_tag)?;
    let created_at = instant("created_at", new.created_at)?;
    let updated_at = instant("updated_at", new.updated_at)?;
    let (mut change, source) = open(state, source).await?;
    let known =
        imports::get(&mut change, source.id, ImportKind::Experiment, &theirs.to_string()).await?;
    let before = match &known {
        Some(item) => experiments::lock(&mut change, item.ours.parse()?).await?,
        None => None,
    };
    let (id, created) = match &before {
        Some(before) => (before.id, false),
        None => place(&mut change, permit, theirs, new).await?,
    };
    let gone: Vec<String> = match &known {
        Some(item) if before.is_some() => item.tags.clone(),
        _ => Vec::new(),
    };
    set_tags(&mut change, id, &new.tags, gone).await?;
    if let Some(before) = &before {
        follow(&mut change, before, new).await?;
    } else if created && new.deleted {
        experiments::delete(&mut change, id).await?;
    }
    if id != DEFAULT {
        imports::stamp(&mut change, Stamped::Experiment(id.0), created_at, updated_at).await?;
    }
    let item = Imported {
        theirs: theirs.to_string(),
        ours: id.to_string(),
        born: Some(new.created_at),
        tags: new.tags.iter().map(|tag| tag.key.clone()).collect(),
        mark: None,
    };
    imports::put(&mut change, source.id, ImportKind::Experiment, &item).await?;
    let after = json!({"experiment": id.to_string(), "name": new.name, "deleted": new.deleted});
    let mut event = permit.event(
        "experiment.imported",
        json!({"name": new.name, "from": source.url, "their_id": theirs.to_string()}),
    );
    event.resource = Resource::Experiment(id.to_string());
    let before = before.map(|before| before.describe());
    change.commit(&event.changed(before.as_ref(), Some(&after))).await?;
    Ok(Placed { ours: id.to_string(), created })
}

/// Where a new one goes, and whether it was made.
async fn place(
    change: &mut Change,
    permit: &Permit<verbs::Administer>,
    theirs: ExperimentId,
    new: &ImportedExperiment,
) -> Result<(ExperimentId, bool)> {
    if let Some(there) = experiments::id_of(change, &new.name).await? {
        if there == DEFAULT && theirs == DEFAULT {
            return Ok((DEFAULT, false));
        }
        let what = format!("an experiment named `{}`", new.name);
        let problem = occupied(change, ImportKind::Experiment, what, &there.to_string()).await?;
        let hint = "rename one of the two, and import again";
        return Err(problem.at("name").hint(hint).into());
    }
    if experiments::insert_as(change, theirs, &new.name, (permit.actor(), None)).await? {
        return Ok((theirs, true));
    }
    let id = experiments::insert(change, &new.name, None, (permit.actor(), None), &[]).await?;
    Ok((id, true))
}

/// Sets what the source has, and deletes what it had and has not any more.
async fn set_tags(
    change: &mut Change,
    id: ExperimentId,
    tags: &[Tag],
    had: Vec<String>,
) -> Result<()> {
    for key in had.iter().filter(|key| !tags.iter().any(|tag| tag.key == **key)) {
        experiments::delete_tag(change, id, key).await?;
    }
    for tag in tags {
        experiments::set_tag(change, id, tag).await?;
    }
    Ok(())
}

/// Name and life of one that is here already. The experiment 0 keeps both: it is not the source's alone.
async fn follow(change: &mut Change, before: &Experiment, new: &ImportedExperiment) -> Result<()> {
    if before.id == DEFAULT {
        return Ok(());
    }
    if before.name != new.name {
        experiments::rename(change, before.id, &new.name).await?;
    }
    match (before.deleted_at.is_some(), new.deleted) {
        (false, true) => experiments::delete(change, before.id).await?,
        (true, false) => experiments::restore(change, before.id).await?,
        (true, true) | (false, false) => {}
    }
    Ok(())
}

/// Our number of an experiment of the source.
pub(super) async fn ours(
    change: &mut Change,
    source: ImportSourceId,
    theirs: ExperimentId,
) -> Result<Experiment> {
    let known = imports::get(change, source, ImportKind::Experiment, &theirs.to_string()).await?;
    let id: Option<ExperimentId> = known.map(|item| item.ours.parse()).transpose()?;
    let found = match id {
        Some(id) => experiments::lock(change, id).await?,
        None => None,
    };
    Ok(found.ok_or_else(|| -> Problem { super::missing("experiment", theirs) })?)
}
