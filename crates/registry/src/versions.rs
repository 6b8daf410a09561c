//! Versions: immutable file trees. How they are made is in [`crate::register`].

use std::{ops::Range, time::Duration};

use artifacts::Download;
use auth::{Permit, verbs};
use domain::{
    Cursor, ErrorCode, FileEntry, FilePath, Limit, Manifest, ModelName, Page, Problem, Stage,
    VersionStatus,
};
use serde_json::json;
use store::{
    Change,
    models::{Model, Tags},
    versions::{self, Version},
};

use crate::{
    Result, State,
    models::{self, listed},
    publish::publish,
    rules,
};

/// How many versions are named where one is asked for that is not there.
const SHOWN: u32 = 10;

/// What shall be different about a version; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// What is special about it.
    pub description: Option<String>,
    /// MLflow's stage.
    pub stage: Option<Stage>,
    /// All its tags.
    pub tags: Option<Tags>,
}

/// Lists a model's versions, newest first.
///
/// # Errors
/// The model is not there.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Version>> {
    let model = models::get(state, permit, model).await?;
    Ok(versions::list(&state.database, model.id, cursor, limit).await?)
}

/// One version.
///
/// # Errors
/// It is not there.
pub async fn get(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    number: i32,
) -> Result<Version> {
    if let Some(version) = versions::get(&state.database, model, number).await? {
        return Ok(version);
    }
    let newest = list(state, permit, model, None, Limit::new(Some(SHOWN))?).await?;
    let newest: Vec<_> = newest.items.iter().map(|version| version.number).collect();
    Err(absent(model, number, &newest).into())
}

/// One version, as soon as its trial is over or `wait` has passed.
///
/// # Errors
/// It is not there.
pub async fn tried(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    number: i32,
    wait: Duration,
) -> Result<Version> {
    let read = async || get(state, permit, model, number).await;
    state.settled(wait, read, |version| version.status != VersionStatus::Pending).await
}

/// The files of a version.
///
/// # Errors
/// It is not there.
pub async fn files(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    number: i32,
) -> Result<Manifest> {
    let version = get(state, permit, model, number).await?;
    Ok(versions::manifest(&state.database, version.id).await?)
}

/// One file of a version.
///
/// # Errors
/// The version or the file is not there.
pub async fn file(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    number: i32,
    path: &FilePath,
) -> Result<FileEntry> {
    let manifest = files(state, permit, model, number).await?;
    manifest.get(path).copied().ok_or_else(|| {
        let message = format!("`{model}/{number}` has no file `{path}`");
        Problem::new(ErrorCode::NotFound, message)
            .at("path")
            .hint("GET …/files lists the files that it has")
            .into()
    })
}

/// The bytes of a version's file, or a range of them.
///
/// # Errors
/// They are gone or damaged; the store is away.
pub async fn open(
    state: &State,
    _permit: &Permit<verbs::View>,
    file: &FileEntry,
    range: Option<Range<u64>>,
) -> Result<Download> {
    Ok(match range {
        Some(range) => state.artifacts.open_range(&file.digest, range).await?,
        None => state.artifacts.open(&file.digest).await?,
    })
}

/// Changes what may change of a version.
///
/// # Errors
/// It is not there; promotion rules stand against the stage.
pub async fn update(
    state: &State,
    permit: &Permit<verbs::Edit>,
    model: &ModelName,
    number: i32,
    edit: Edit,
) -> Result<Version> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let before = lock(&mut change, &model, number).await?;
    let description = edit.description.unwrap_or_else(|| before.description.clone());
    let stage = edit.stage.unwrap_or(before.stage);
    let tags = edit.tags.unwrap_or_else(|| before.tags.clone());
    if stage != before.stage {
        rules::require(&mut change, &model, &before, stage.as_str()).await?;
    }
    versions::update(&mut change, before.id, &description, stage, &tags).await?;
    let after = lock(&mut change, &model, number).await?;
    let event = permit.event("version.edited", json!({"model": model.name, "version": number}));
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Deletes a version. Its number is not given again.
///
/// # Errors
/// It is not there; an alias or an endpoint needs it.
pub async fn delete(
    state: &State,
    permit: &Permit<verbs::Delete>,
    model: &ModelName,
    number: i32,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = lock(&mut change, &model, number).await?;
    let needed_by = versions::dependents(&mut change, version.id).await?;
    if !needed_by.is_empty() {
        let message = format!("`{}/{number}` is needed by {}", model.name, listed(&needed_by));
        return Err(Problem::conflict(message)
            .hint("move these aliases and delete these endpoints first; endpoints keep the versions of past releases, to go back to")
            .into());
    }
    versions::delete(&mut change, version.id).await?;
    let event = permit.event("version.deleted", json!({"model": model.name, "version": number}));
    publish(change, event.changed(Some(&version.describe()), None)).await
}

/// A version that must be there, locked until the change ends.
pub(crate) async fn lock(change: &mut Change, model: &Model, number: i32) -> Result<Version> {
    match versions::lock_by_number(change, model.id, number).await? {
        Some(version) => Ok(version),
        None => {
            let newest = versions::newest(change, model.id, SHOWN.into()).await?;
            Err(absent(&model.name, number, &newest).into())
        }
    }
}

/// What to say of a version that is not there: which ones are.
fn absent(model: &ModelName, number: i32, newest: &[i32]) -> Problem {
    let what = if newest.is_empty() {
        "it has none".to_owned()
    } else {
        format!("its newest are {}", listed(newest))
    };
    let message = format!("`{model}` has no version {number}: {what}");
    Problem::new(ErrorCode::NotFound, message).at("version")
}
