//! Versions: immutable file trees. How they are made is in [`crate::register`].

use std::{ops::Range, sync::Arc, time::Duration};

use artifacts::Download;
use auth::{Permit, verbs};
use domain::{
    AliasName, AuditEvent, Batching, Cursor, ErrorCode, FileEntry, FilePath, Limit, Manifest,
    ModelName, Page, Problem, Runtime, Servable, TagKey, TagValue, VersionId, VersionStatus,
    serving::Isolation,
};
use serde_json::json;
use store::{
    Change, lineage,
    models::{Model, Tags},
    versions::{self, Deleted, Version},
};

use crate::{
    Result, State, aliases, dependents,
    models::{self, listed},
    publish::publish,
    stages,
};

/// How many versions are named where one is asked for that is not there.
const SHOWN: u32 = 10;

/// What shall be different about a version; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// What is special about it.
    pub description: Option<String>,
    /// All its tags.
    pub tags: Option<Tags>,
    /// How requests for it share runs.
    pub batching: Option<Batching>,
    /// Where it runs; absent in it: as its node says.
    pub isolation: Option<Option<Isolation>>,
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

/// The version that an alias points to; absent where there is no such model, or it has no such alias.
/// Out of memory where [`crate::watch`] runs: never older than what this process has changed, and a
/// moment older than what others have.
///
/// # Errors
/// The database is away.
pub async fn of_alias(
    state: &State,
    _permit: &Permit<verbs::View>,
    model: &ModelName,
    alias: &AliasName,
) -> Result<Option<Arc<Version>>> {
    state.lookups.ask(&state.database, model, alias).await
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

/// Whose a version is, by its id: the model and the number, to ask for a permit.
///
/// # Errors
/// It is not there.
pub async fn home(state: &State, id: VersionId) -> Result<(ModelName, i32)> {
    let found = versions::get_by_id(&state.database, id).await?;
    let version = found.ok_or_else(|| no_version(id))?;
    Ok((version.model, version.number))
}

/// What is told of a version, by its id, that is not there.
#[must_use]
pub fn no_version(id: VersionId) -> Problem {
    Problem::not_found("version", id)
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

/// The address that reads a version's file for a short while, past this server, under this name.
/// Absent where there is no such way.
///
/// # Errors
/// Its bytes are gone or damaged; the database is away.
pub async fn address(
    state: &State,
    _permit: &Permit<verbs::View>,
    file: &FileEntry,
    name: &str,
    media_type: &str,
) -> Result<Option<String>> {
    Ok(state.artifacts.address(&file.digest, name, media_type).await?)
}

/// Changes what may change of a version.
///
/// # Errors
/// It is not there.
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
    let tags = edit.tags.unwrap_or_else(|| before.tags.clone());
    versions::update(&mut change, before.id, &description, &tags).await?;
    if let Some(batching) = edit.batching.filter(|batching| *batching != before.batching) {
        may_batch(&before, &batching)?;
        versions::set_batching(&mut change, before.id, &batching).await?;
    }
    if let Some(isolation) = edit.isolation.filter(|isolation| *isolation != before.isolation) {
        may_run(before.runtime, isolation)?;
        versions::set_isolation(&mut change, before.id, isolation).await?;
    }
    let after = lock(&mut change, &model, number).await?;
    let event = permit.event("version.edited", json!({"model": model.name, "version": number}));
    tell_tags(&mut change, &event, &before, &after).await?;
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Whether a version that is run so may run there.
pub(crate) fn may_run(runtime: Runtime, isolation: Option<Isolation>) -> Result<()> {
    if isolation == Some(Isolation::InProcess) && runtime.is_apart() {
        let message = "a version of this kind runs in a process of its own always";
        return Err(Problem::conflict(message).at("isolation").into());
    }
    Ok(())
}

/// Whether a version's requests may share runs like that.
fn may_batch(version: &Version, batching: &Batching) -> Result<()> {
    let is_tried = version.status == VersionStatus::Ready && version.servable != Servable::Checking;
    let is_alone = batching.max_batch.is_none_or(|rows| rows.get() == 1) && batching.wait.is_zero();
    if !is_tried || version.batchable || is_alone {
        return Ok(());
    }
    let message = format!(
        "requests for `{}/{}` never share a run: its trial found that rows run together do not get the answers that each gets alone, or that its tensors have no common first dimension of any size",
        version.model, version.number
    );
    Err(Problem::conflict(message).at("batching").hint("leave `batching` out").into())
}

/// Tells of each tag that is another now as if it had been set or deleted by itself.
async fn tell_tags(
    change: &mut Change,
    edited: &AuditEvent,
    before: &Version,
    after: &Version,
) -> Result<()> {
    let resource = edited.resource.to_string();
    let (model, number) = (&after.model, after.number);
    for key in before.tags.keys().filter(|key| !after.tags.contains_key(*key)) {
        let gone = json!({"model": model, "version": number, "key": key});
        change.emit("version_tag.deleted", &resource, &gone).await?;
    }
    for (key, value) in
        after.tags.iter().filter(|(key, value)| before.tags.get(*key) != Some(value))
    {
        let set = json!({"model": model, "version": number, "key": key, "value": value});
        change.emit("version_tag.set", &resource, &set).await?;
    }
    Ok(())
}

/// Sets one tag of a version.
///
/// # Errors
/// The version is not there.
pub async fn set_tag(
    state: &State,
    permit: &Permit<verbs::Edit>,
    model: &ModelName,
    number: i32,
    key: &TagKey,
    value: &TagValue,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = lock(&mut change, &model, number).await?;
    versions::set_tag(&mut change, version.id, key.as_str(), value.as_str()).await?;
    let detail = json!({"model": model.name, "version": number, "key": key, "value": value});
    publish(change, permit.event("version_tag.set", detail)).await
}

/// Deletes one tag of a version. Nothing happens where it has none.
///
/// # Errors
/// The version is not there.
pub async fn delete_tag(
    state: &State,
    permit: &Permit<verbs::Edit>,
    model: &ModelName,
    number: i32,
    key: &str,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = lock(&mut change, &model, number).await?;
    if !versions::delete_tag(&mut change, version.id, key).await? {
        return Ok(());
    }
    let detail = json!({"model": model.name, "version": number, "key": key});
    publish(change, permit.event("version_tag.deleted", detail)).await
}

/// Deletes a version, until it is restored or its retention time is over. Its number is not given again.
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
    require_unneeded(&mut change, &version).await?;
    remove(change, permit, &version).await
}

/// Deletes a version with the aliases that point to it, as MLflow does.
///
/// # Errors
/// It is not there; an endpoint needs it, or one of its aliases.
pub async fn delete_with_aliases(
    state: &State,
    permit: &Permit<verbs::Delete>,
    promote: &Permit<verbs::Promote>,
    model: &ModelName,
    number: i32,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = lock(&mut change, &model, number).await?;
    for alias in &version.aliases {
        let event = aliases::take(&mut change, promote, &model, &alias.parse()?).await?;
        change.emit(event.change, &event.resource.to_string(), &event.detail).await?;
        change.record(&event).await?;
    }
    require_unneeded(&mut change, &version).await?;
    remove(change, permit, &version).await
}

async fn require_unneeded(change: &mut Change, version: &Version) -> Result<()> {
    let what = format!("`{}/{}`", version.model, version.number);
    let hint = "move these aliases and delete these endpoints first; endpoints keep the versions of past releases, to go back to";
    dependents::require_none(&what, &lineage::needing_version(change, version.id).await?, hint)
}

async fn remove(
    mut change: Change,
    permit: &Permit<verbs::Delete>,
    version: &Version,
) -> Result<()> {
    versions::delete(&mut change, version.id).await?;
    let detail = json!({"model": version.model, "version": version.number});
    let event = permit.event("version.deleted", detail);
    stages::leave(&mut change, permit, version, &event).await?;
    publish(change, event.changed(Some(&version.describe()), None)).await
}

/// Lists the versions of a model that are deleted and can be restored, the last one first.
///
/// # Errors
/// The model is not there.
pub async fn deleted(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    limit: Limit,
) -> Result<Vec<Deleted>> {
    let model = models::get(state, permit, model).await?;
    Ok(versions::deleted(&state.database, model.id, limit).await?)
}

/// Restores a deleted version.
///
/// # Errors
/// It is not deleted, or its retention time is over.
pub async fn restore(
    state: &State,
    permit: &Permit<verbs::Edit>,
    model: &ModelName,
    number: i32,
) -> Result<Version> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::lock(&mut change, model).await?;
    let version = versions::restore(&mut change, model.id, number).await?.ok_or_else(|| {
        let message = format!("`{}` has no deleted version {number} to restore", model.name);
        Problem::new(ErrorCode::NotFound, message)
            .at("version")
            .hint("GET /api/v1/models/{name}/deleted-versions lists them")
    })?;
    let detail = json!({"model": model.name, "version": number});
    let event = permit.event("version.restored", detail);
    stages::come_back(&mut change, permit, &version, &event).await?;
    publish(change, event.changed(None, Some(&version.describe()))).await?;
    Ok(version)
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
