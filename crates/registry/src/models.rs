//! Models: the names that versions and aliases hang on.

use auth::{Permit, verbs};
use domain::{Cursor, Limit, ModelName, Page, Problem, TagKey, TagValue};
use serde_json::{Value, json};
use store::{
    Change, lineage,
    models::{self, Deleted, Model, Tags},
};

use crate::{Error, Result, State, dependents, publish::publish};

/// What a new model is made of.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Its name.
    pub name: ModelName,
    /// What it is for.
    pub description: String,
    /// Its tags.
    pub tags: Tags,
}

/// What shall be different about a model; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Its description.
    pub description: Option<String>,
    /// All its tags.
    pub tags: Option<Tags>,
}

/// Lists models by name.
///
/// # Errors
/// The database is away.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    search: Option<&str>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Model>> {
    Ok(models::list(&state.database, permit.visible(), search, cursor, limit).await?)
}

/// One model.
///
/// # Errors
/// It is not there.
pub async fn get(state: &State, _permit: &Permit<verbs::View>, name: &ModelName) -> Result<Model> {
    models::get(&state.database, name).await?.ok_or_else(|| absent(name))
}

/// Makes a model without versions.
///
/// # Errors
/// The name is taken.
pub async fn create(
    state: &State,
    permit: &Permit<verbs::Register>,
    new: &NewModel,
) -> Result<Model> {
    let mut change = Change::begin(&state.database).await?;
    let model =
        models::insert(&mut change, &new.name, &new.description, permit.owner(), &new.tags).await?;
    let event = permit.event("model.registered", registered(&model));
    publish(change, event.changed(None, Some(&model.describe()))).await?;
    Ok(model)
}

/// Changes what may change of a model.
///
/// # Errors
/// It is not there.
pub async fn update(
    state: &State,
    permit: &Permit<verbs::Edit>,
    name: &ModelName,
    edit: Edit,
) -> Result<Model> {
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, name).await?;
    let description = edit.description.unwrap_or_else(|| before.description.clone());
    let tags = edit.tags.unwrap_or_else(|| before.tags.clone());
    models::update(&mut change, before.id, &description, &tags).await?;
    let after = lock(&mut change, name).await?;
    let event = permit.event("model.edited", json!({"model": name}));
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Deletes a model with its versions and aliases, until it is restored or its retention time is over.
///
/// # Errors
/// It is not there; an endpoint needs it.
pub async fn delete(state: &State, permit: &Permit<verbs::Delete>, name: &ModelName) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = lock(&mut change, name).await?;
    let needing = lineage::needing_model(&mut change, model.id).await?;
    dependents::require_none(&format!("`{name}`"), &needing, "delete these endpoints first")?;
    models::delete(&mut change, model.id).await?;
    let event = permit.event("model.deleted", json!({"model": name}));
    publish(change, event.changed(Some(&model.describe()), None)).await
}

/// Renames a model. Whoever follows it goes on following it.
///
/// # Errors
/// It is not there; the new name is taken.
pub async fn rename(
    state: &State,
    permit: &Permit<verbs::Edit>,
    name: &ModelName,
    new_name: &ModelName,
) -> Result<Model> {
    let mut change = Change::begin(&state.database).await?;
    let before = lock(&mut change, name).await?;
    models::rename(&mut change, before.id, new_name).await?;
    let after = lock(&mut change, new_name).await?;
    let event = permit.event("model.renamed", json!({"model": new_name, "from": name}));
    publish(change, event.changed(Some(&before.describe()), Some(&after.describe()))).await?;
    Ok(after)
}

/// Sets one tag of a model.
///
/// # Errors
/// The model is not there.
pub async fn set_tag(
    state: &State,
    permit: &Permit<verbs::Edit>,
    name: &ModelName,
    key: &TagKey,
    value: &TagValue,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = lock(&mut change, name).await?;
    models::set_tag(&mut change, model.id, key.as_str(), value.as_str()).await?;
    let detail = json!({"model": name, "key": key, "value": value});
    publish(change, permit.event("model_tag.set", detail)).await
}

/// Deletes one tag of a model. Nothing happens where it has none.
///
/// # Errors
/// The model is not there.
pub async fn delete_tag(
    state: &State,
    permit: &Permit<verbs::Edit>,
    name: &ModelName,
    key: &str,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    let model = lock(&mut change, name).await?;
    if !models::delete_tag(&mut change, model.id, key).await? {
        return Ok(());
    }
    publish(change, permit.event("model_tag.deleted", json!({"model": name, "key": key}))).await
}

/// Lists the models that are deleted and can be restored, the last one first.
///
/// # Errors
/// The database is away.
pub async fn deleted(
    state: &State,
    permit: &Permit<verbs::View>,
    limit: Limit,
) -> Result<Vec<Deleted>> {
    Ok(models::deleted(&state.database, permit.visible(), limit).await?)
}

/// Restores the model of that name that was deleted last, with its versions and aliases.
///
/// # Errors
/// None is deleted, or its retention time is over; another model has the name by now.
pub async fn restore(
    state: &State,
    permit: &Permit<verbs::Edit>,
    name: &ModelName,
) -> Result<Model> {
    let mut change = Change::begin(&state.database).await?;
    let model = models::restore(&mut change, name).await?.ok_or_else(|| {
        Problem::not_found("deleted model", name)
            .at("model")
            .hint("GET /api/v1/deleted-models lists them")
    })?;
    let event = permit.event("model.restored", json!({"model": name}));
    publish(change, event.changed(None, Some(&model.describe()))).await?;
    Ok(model)
}

/// The facts of a model that was made just now.
pub(crate) fn registered(model: &Model) -> Value {
    json!({"model": model.name, "description": model.description, "tags": model.tags})
}

/// A model that must be there, locked until the change ends.
pub(crate) async fn lock(change: &mut Change, name: &ModelName) -> Result<Model> {
    models::lock(change, name).await?.ok_or_else(|| absent(name))
}

fn absent(name: &ModelName) -> Error {
    domain::Resource::Model(name.to_string()).absent().into()
}

/// Names as they stand in a message: `a`, `b`.
pub(crate) fn listed(names: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
