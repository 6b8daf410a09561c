//! Registered models that come from an MLflow server: their versions keep their numbers.
//!
//! As in `tracking::import`, all of it can be repeated, and what was not imported from that very
//! source is never touched. An alias or a stage that was moved here since stays where it is.

use std::collections::BTreeMap;

use auth::{Permit, verbs};
use domain::{
    AliasName, ImportKind, ImportSourceId, ModelName, Problem, Resource, Timestamp, VersionId,
};
use serde_json::json;
use store::{
    Change,
    imports::{self, Imported, Source, Stamped},
    models::{self, Model, Tags},
    versions::{self, Version},
};

use crate::{
    Result, State, aliases,
    publish::publish,
    register::{Submission, stored},
    rules::Gate,
    stages::{self, Order},
};

/// A registered model as its source describes it.
#[derive(Debug, Clone)]
pub struct ImportedModel {
    /// What it is for.
    pub description: String,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A version as its source describes it, with its files, which are here.
#[derive(Debug, Clone)]
pub struct ImportedVersion {
    /// What it is made of.
    pub submission: Submission,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Makes a model, or brings the one that was imported before to what the source says now. Answers
/// whether it was made.
///
/// # Errors
/// A model of that name is here that was not imported from this source, or the source has another
/// one of that name by now.
pub async fn model(
    state: &State,
    permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    name: &ModelName,
    new: &ImportedModel,
) -> Result<bool> {
    let (mut change, source) = open(state, source).await?;
    let known = imports::get(&mut change, source.id, ImportKind::Model, name.as_str()).await?;
    let before = models::lock(&mut change, name).await?;
    let born = new.created_at.timestamp_millis();
    let (id, description, tags) = match &before {
        Some(before) => {
            let item = of_ours(&mut change, before, known.as_ref()).await?;
            same_birth(&item, born, &format!("model `{name}`"))?;
            (before.id, new.description.clone(), merged(&before.tags, &item.tags, &new.tags))
        }
        None => {
            imports::forget_model(&mut change, source.id, name.as_str()).await?;
            let (by, text) = (permit.actor(), &new.description);
            let made = models::insert(&mut change, name, text, (by, None), &new.tags).await?;
            (made.id, new.description.clone(), new.tags.clone())
        }
    };
    models::update(&mut change, id, &description, &tags).await?;
    imports::stamp(&mut change, Stamped::Model(id.0), new.created_at, new.updated_at).await?;
    let item = Imported {
        theirs: name.to_string(),
        ours: id.to_string(),
        born: Some(born),
        tags: new.tags.keys().cloned().collect(),
        mark: None,
    };
    imports::put(&mut change, source.id, ImportKind::Model, &item).await?;
    let after = crate::models::lock(&mut change, name).await?;
    let mut event = permit.event("model.imported", json!({"model": name, "from": source.url}));
    event.resource = Resource::Model(name.to_string());
    let was = before.as_ref().map(Model::describe);
    publish(change, event.changed(was.as_ref(), Some(&after.describe()))).await?;
    Ok(before.is_none())
}

async fn open(state: &State, source: ImportSourceId) -> Result<(Change, Source)> {
    let mut change = Change::begin(&state.database).await?;
    let found = imports::lock(&mut change, source).await?;
    let source = found.ok_or_else(|| Problem::not_found("import source", source).at("source"))?;
    Ok((change, source))
}

/// That a model of ours is the one that was imported.
async fn of_ours(change: &mut Change, model: &Model, known: Option<&Imported>) -> Result<Imported> {
    let ours = model.id.to_string();
    if let Some(item) = known.filter(|item| item.ours == ours) {
        return Ok(item.clone());
    }
    let why = match imports::origin(change, ImportKind::Model, &ours).await? {
        Some(url) => format!("it was imported from {url}"),
        None => "it was not imported".to_owned(),
    };
    let message = format!("a model named `{}` is here already: {why}", model.name);
    Err(Problem::conflict(message)
        .at("name")
        .hint("rename one of the two, and import again")
        .into())
}

fn same_birth(item: &Imported, born: i64, what: &str) -> Result<(), Problem> {
    if item.born.is_none_or(|known| known == born) {
        return Ok(());
    }
    let message =
        format!("the {what} that was imported before is not the one that the source has now");
    Err(Problem::conflict(message).hint("rename or delete the one that is here, and import again"))
}

/// What is here, without what the source had and has not any more, with what it has.
fn merged(here: &Tags, had: &[String], has: &Tags) -> Tags {
    let mut tags = here.clone();
    tags.retain(|key, _| !had.contains(key));
    tags.extend(has.clone());
    tags
}

/// Makes a version under the number that it has, or brings the one that was imported before to what
/// the source says now. Its files never change. Answers whether it was made.
///
/// # Errors
/// The model was not carried; a version of that number is here that was not imported from this
/// source; files whose bytes are not here.
pub async fn version(
    state: &State,
    permit: &Permit<verbs::Administer>,
    source: ImportSourceId,
    (name, number): (&ModelName, i32),
    new: ImportedVersion,
) -> Result<bool> {
    if number < 1 {
        return Err(Problem::invalid("version", "expected a number from 1").into());
    }
    let tags = new.submission.tags.clone();
    let description = new.submission.description.clone();
    let manifest = stored(state, new.submission).await?;
    let (mut change, source) = open(state, source).await?;
    let model = crate::models::lock(&mut change, name).await?;
    let parent = imports::get(&mut change, source.id, ImportKind::Model, name.as_str()).await?;
    of_ours(&mut change, &model, parent.as_ref()).await?;
    let theirs = format!("{name}/{number}");
    let known = imports::get(&mut change, source.id, ImportKind::Version, &theirs).await?;
    let before = versions::lock_by_number(&mut change, model.id, number).await?;
    let born = new.created_at.timestamp_millis();
    let id = match &before {
        Some(before) => {
            let item = same_version(&theirs, before, known)?;
            same_birth(&item, born, &format!("version `{theirs}`"))?;
            let tags = merged(&before.tags, &item.tags, &tags);
            versions::update(&mut change, before.id, &description, &tags).await?;
            before.id
        }
        None => {
            let by = permit.actor();
            let made = versions::insert(&mut change, model.id, &manifest, by).await?;
            imports::renumber(&mut change, model.id, made.id, number, model.last_version).await?;
            made.id
        }
    };
    imports::stamp(&mut change, Stamped::Version(id.0), new.created_at, new.updated_at).await?;
    let item = Imported {
        theirs,
        ours: id.to_string(),
        born: Some(born),
        tags: tags.keys().cloned().collect(),
        mark: None,
    };
    imports::put(&mut change, source.id, ImportKind::Version, &item).await?;
    let after = crate::versions::lock(&mut change, &model, number).await?;
    let detail = json!({
        "model": name, "version": number, "digest": after.digest, "from": source.url,
        "source": after.origin.source,
    });
    let mut event = permit.event("version.imported", detail);
    event.resource = Resource::Model(name.to_string());
    let was = before.as_ref().map(Version::describe);
    publish(change, event.changed(was.as_ref(), Some(&after.describe()))).await?;
    Ok(before.is_none())
}

/// That a version of ours is the one that was imported.
fn same_version(
    theirs: &str,
    here: &Version,
    known: Option<Imported>,
) -> Result<Imported, Problem> {
    let VersionId(id) = here.id;
    known.filter(|item| item.ours == id.to_string()).ok_or_else(|| {
        Problem::conflict(format!("a version `{theirs}` is here already that was not imported"))
            .at("version")
            .hint("delete it here, or leave this one of the source behind")
    })
}

/// Puts a version into the stage that it has at the source, unless somebody moved it here since.
/// Answers whether it was moved.
///
/// # Errors
/// The version is not there; somebody moved it; the model has no such stage; promotion rules stand
/// against it.
pub async fn stage(
    state: &State,
    (view, promote): (&Permit<verbs::View>, &Permit<verbs::Promote>),
    source: ImportSourceId,
    (name, number): (&ModelName, i32),
    to: &str,
) -> Result<bool> {
    let theirs = format!("{name}/{number}");
    let id = [theirs.clone()];
    let known = imports::find(&state.database, source, ImportKind::Stage, &id).await?.pop();
    if known.as_ref().is_some_and(|item| item.ours == to) {
        return Ok(false);
    }
    let now = crate::versions::get(state, view, name, number).await?.stage;
    let last = known.map_or_else(|| domain::Stage::NONE.to_owned(), |item| item.ours);
    let moves = now.as_str() != to;
    if moves && now.as_str() != last {
        let message = format!("`{theirs}` was moved to the stage `{now}` here: it stays there");
        return Err(Problem::conflict(message).at("stage").into());
    }
    if moves {
        let order = Order {
            stage: to.to_owned(),
            archive_existing: false,
            reason: Some("imported".to_owned()),
        };
        stages::transition(state, promote, Gate::Closed, name, number, &order).await?;
    }
    imports::point(&state.database, source, ImportKind::Stage, &theirs, to).await?;
    Ok(moves)
}

/// An alias that could not be put where the source has it.
#[derive(Debug)]
pub struct Kept {
    /// Which.
    pub alias: String,
    /// Why.
    pub problem: Problem,
}

/// Puts the aliases of a model where the source has them, and unsets those that the source unset;
/// what somebody moved here since stays. Answers how many were moved, and those that were not.
///
/// # Errors
/// The model is not there.
pub async fn aliases(
    state: &State,
    (view, promote): (&Permit<verbs::View>, &Permit<verbs::Promote>),
    source: ImportSourceId,
    name: &ModelName,
    given: &BTreeMap<AliasName, i32>,
) -> Result<(usize, Vec<Kept>)> {
    let prefix = format!("{name}@");
    let known = imports::beginning(&state.database, source, ImportKind::Alias, &prefix).await?;
    let known: BTreeMap<AliasName, i32> = known
        .iter()
        .filter_map(|item| {
            Some((item.theirs.strip_prefix(&prefix)?.parse().ok()?, item.ours.parse().ok()?))
        })
        .collect();
    let here = crate::models::get(state, view, name).await?.aliases;
    let (mut moved, mut kept) = (0, Vec::new());
    for alias in given.keys().chain(known.keys().filter(|alias| !given.contains_key(*alias))) {
        let (to, last, now) = (given.get(alias), known.get(alias), here.get(alias));
        if to == last {
            continue;
        }
        match put_alias(state, promote, name, alias, (to, last, now)).await {
            Ok(done) => moved += usize::from(done),
            Err(error) => {
                kept.push(Kept { alias: alias.to_string(), problem: error.into() });
                continue;
            }
        }
        let theirs = format!("{prefix}{alias}");
        match to {
            Some(number) => {
                let (kind, ours) = (ImportKind::Alias, number.to_string());
                imports::point(&state.database, source, kind, &theirs, &ours).await?;
            }
            None => {
                imports::forget(&state.database, source, ImportKind::Alias, &theirs).await?;
            }
        }
    }
    Ok((moved, kept))
}

/// Where the source has it, where it was put last, and where it is.
type Places<'a> = (Option<&'a i32>, Option<&'a i32>, Option<&'a i32>);

async fn put_alias(
    state: &State,
    promote: &Permit<verbs::Promote>,
    name: &ModelName,
    alias: &AliasName,
    (to, last, now): Places<'_>,
) -> Result<bool> {
    if now == to {
        return Ok(false);
    }
    if now != last {
        let stands = now.map_or_else(|| "unset".to_owned(), |number| format!("moved to {number}"));
        let message = format!("`{name}@{alias}` was {stands} here: it stays so");
        return Err(Problem::conflict(message).at("aliases").into());
    }
    match to {
        Some(number) => {
            aliases::promote(state, promote, Gate::Closed, name, alias, *number, Some("imported"))
                .await?;
        }
        None => aliases::unset(state, promote, name, alias).await?,
    }
    Ok(true)
}
