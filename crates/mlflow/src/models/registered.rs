//! `registered-models/…`

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig, delete, get, patch, post, resource},
};
use auth::{Access, Caller, Permit, verbs};
use domain::{AliasName, ModelName, Resource};
use registry::{
    State, aliases,
    models::{self, Edit, NewModel},
    rules::Gate,
    stages, versions,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::models::Model;

use super::{
    Tag, description, model_version_json, name, permit, registered_model_json, source::is_prompt,
    tags, told, version,
};
use crate::{
    refusal::{Answer, Code, Refusal},
    request::{Args, required},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/registered-models/create", post().to(create))
        .route("/registered-models/get", get().to(show))
        .route("/registered-models/rename", post().to(rename))
        .route("/registered-models/update", patch().to(update))
        .route("/registered-models/delete", delete().to(remove))
        .service(
            resource("/registered-models/get-latest-versions")
                .route(get().to(latest))
                .route(post().to(latest)),
        )
        .route("/registered-models/set-tag", post().to(set_tag))
        .route("/registered-models/delete-tag", delete().to(delete_tag))
        .service(
            resource("/registered-models/alias")
                .route(get().to(of_alias))
                .route(post().to(set_alias))
                .route(delete().to(delete_alias)),
        );
}

#[derive(Debug, Deserialize)]
struct Create {
    name: Option<String>,
    description: Option<String>,
    tags: Option<Vec<Tag>>,
}

async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(new): Args<Create>,
) -> Answer {
    let name = name(new.name, "name")?;
    let permit = permit::<verbs::Register>(&access, &caller, &name).await?;
    let new = NewModel {
        name: name.clone(),
        description: description(new.description)?,
        tags: tags(new.tags)?,
    };
    let refusal = match models::create(&state, &permit, &new).await {
        Ok(model) => return Ok(answer(&registered_model_json(&model, &[]))),
        Err(error) => Refusal::creating(error),
    };
    if refusal.code != Code::ResourceAlreadyExists {
        return Err(refusal);
    }
    let permit = super::permit::<verbs::View>(&access, &caller, &name).await?;
    // It may be gone by now.
    let there = models::get(&state, &permit, &name).await.ok();
    let is_there = there.is_some_and(|model| is_prompt(&model.tags));
    Err(taken(&name, is_prompt(&new.tags), is_there))
}

/// Prompts are kept among models: who makes one is told which is in the way.
fn taken(name: &ModelName, wants_prompt: bool, is_prompt: bool) -> Refusal {
    let message = match (wants_prompt, is_prompt) {
        (false, false) => format!("Registered Model (name={name}) already exists."),
        (true, true) => format!("Prompt (name={name}) already exists."),
        (true, false) => format!(
            "Tried to create a prompt with name '{name}', but the name is already taken by a registered model."
        ),
        (false, true) => format!(
            "Tried to create a registered model with name '{name}', but the name is already taken by a prompt."
        ),
    };
    Refusal::new(Code::ResourceAlreadyExists, message)
}

#[derive(Debug, Deserialize)]
struct Named {
    name: Option<String>,
}

async fn show(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(Named { name: given }): Args<Named>,
) -> Answer {
    let name = name(given, "name")?;
    let permit = permit::<verbs::View>(&access, &caller, &name).await?;
    let model = models::get(&state, &permit, &name).await.map_err(told(&name, None))?;
    whole(&caller, &access, &state, &model).await
}

#[derive(Debug, Deserialize)]
struct Rename {
    name: Option<String>,
    new_name: Option<String>,
}

async fn rename(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(Rename { name: old, new_name }): Args<Rename>,
) -> Answer {
    let (old, new) = (name(old, "name")?, name(new_name, "new_name")?);
    let permit = permit::<verbs::Edit>(&access, &caller, &old).await?;
    let model = models::rename(&state, &permit, &old, &new).await.map_err(|error| {
        let refusal = told(&old, None)(error);
        if refusal.code == Code::ResourceConflict { taken(&new, false, false) } else { refusal }
    })?;
    whole(&caller, &access, &state, &model).await
}

#[derive(Debug, Deserialize)]
struct Update {
    name: Option<String>,
    description: Option<String>,
}

async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(update): Args<Update>,
) -> Answer {
    let name = name(update.name, "name")?;
    let permit = permit::<verbs::Edit>(&access, &caller, &name).await?;
    let edit = Edit { description: Some(description(update.description)?), tags: None };
    let model = models::update(&state, &permit, &name, edit).await.map_err(told(&name, None))?;
    whole(&caller, &access, &state, &model).await
}

async fn remove(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(Named { name: given }): Args<Named>,
) -> Answer {
    let name = name(given, "name")?;
    let permit = permit::<verbs::Delete>(&access, &caller, &name).await?;
    models::delete(&state, &permit, &name).await.map_err(told(&name, None))?;
    Ok(nothing())
}

#[derive(Debug, Deserialize)]
struct Latest {
    name: Option<String>,
    #[serde(default)]
    stages: Vec<String>,
}

async fn latest(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(Latest { name: given, stages: wanted }): Args<Latest>,
) -> Answer {
    let name = name(given, "name")?;
    let permit = permit::<verbs::View>(&access, &caller, &name).await?;
    let model = models::get(&state, &permit, &name).await.map_err(told(&name, None))?;
    let mut stages = Vec::new();
    for stage in &wanted {
        stages.push(stages::canonical(&model, stage)?);
    }
    let newest = stages::newest_in_each(&state, &permit, &model).await?;
    let found: Vec<Value> = newest
        .iter()
        .filter(|version| stages.is_empty() || stages.contains(&version.stage))
        .map(model_version_json)
        .collect();
    Ok(HttpResponse::Ok().json(match found.is_empty() {
        true => json!({}),
        false => json!({"model_versions": found}),
    }))
}

#[derive(Debug, Deserialize)]
struct ModelTag {
    name: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

async fn set_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(tag): Args<ModelTag>,
) -> Answer {
    let name = name(tag.name, "name")?;
    let permit = permit::<verbs::Edit>(&access, &caller, &name).await?;
    let (key, value) = Tag { key: tag.key, value: tag.value }.checked()?;
    models::set_tag(&state, &permit, &name, &key, &value).await.map_err(told(&name, None))?;
    Ok(nothing())
}

async fn delete_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(tag): Args<ModelTag>,
) -> Answer {
    let name = name(tag.name, "name")?;
    let permit = permit::<verbs::Edit>(&access, &caller, &name).await?;
    let key = required(tag.key, "key")?;
    models::delete_tag(&state, &permit, &name, &key).await.map_err(told(&name, None))?;
    Ok(nothing())
}

#[derive(Debug, Deserialize)]
struct ModelAlias {
    name: Option<String>,
    alias: Option<String>,
    version: Option<String>,
}

async fn of_alias(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<ModelAlias>,
) -> Answer {
    let name = name(asked.name, "name")?;
    let alias = required(asked.alias, "alias")?;
    let permit = permit::<verbs::View>(&access, &caller, &name).await?;
    // What serves asks this all the time: one look for an alias that is set.
    if let Ok(alias) = alias.parse::<AliasName>()
        && let Some(found) = versions::of_alias(&state, &permit, &name, &alias).await?
    {
        return Ok(HttpResponse::Ok().json(json!({"model_version": model_version_json(&found)})));
    }
    let model = models::get(&state, &permit, &name).await.map_err(told(&name, None))?;
    let number = if alias.eq_ignore_ascii_case("latest") {
        model
            .latest_version
            .ok_or_else(|| Refusal::absent(format!("Latest version not found for model {name}.")))?
    } else {
        let found = model.aliases.iter().find(|(set, _)| set.as_str() == alias);
        let (_, number) = found.ok_or_else(|| {
            let shown: String = alias.chars().take(300).collect();
            Refusal::invalid(format!("Registered model alias {shown} not found."))
        })?;
        *number
    };
    let found =
        versions::get(&state, &permit, &name, number).await.map_err(told(&name, Some(number)))?;
    Ok(HttpResponse::Ok().json(json!({"model_version": model_version_json(&found)})))
}

async fn set_alias(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<ModelAlias>,
) -> Answer {
    let name = name(asked.name, "name")?;
    let alias: AliasName = required(asked.alias, "alias")?.parse()?;
    let number = version(asked.version)?;
    let permit = moving(&access, &caller, &name, &alias).await?;
    aliases::promote(&state, &permit, Gate::Closed, &name, &alias, number, None)
        .await
        .map_err(told(&name, Some(number)))?;
    Ok(nothing())
}

/// The permit to move an alias.
async fn moving(
    access: &Access,
    caller: &Caller,
    name: &ModelName,
    alias: &AliasName,
) -> Result<Permit<verbs::Promote>, Refusal> {
    let model = Resource::Model(name.to_string());
    let permit = access.authorize_with(caller, model, None, Some(alias)).await;
    permit.map_err(|problem| told(name, None)(problem.into()))
}

/// Nothing happens where it is not set.
async fn delete_alias(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(asked): Args<ModelAlias>,
) -> Answer {
    let name = name(asked.name, "name")?;
    let alias: AliasName = required(asked.alias, "alias")?.parse()?;
    let may = moving(&access, &caller, &name, &alias).await?;
    match aliases::unset(&state, &may, &name, &alias).await.map_err(told(&name, None)) {
        Err(refusal) if refusal.code == Code::ResourceDoesNotExist => {
            // Either the alias or the model is not there: only the latter is an error.
            let permit = permit::<verbs::View>(&access, &caller, &name).await?;
            models::get(&state, &permit, &name).await.map_err(told(&name, None))?;
            Ok(nothing())
        }
        Err(refusal) => Err(refusal),
        Ok(()) => Ok(nothing()),
    }
}

/// Answers with a model and the newest version in each of its stages.
async fn whole(caller: &Caller, access: &Access, state: &State, model: &Model) -> Answer {
    let permit = permit::<verbs::View>(access, caller, &model.name).await?;
    let newest = stages::newest_in_each(state, &permit, model).await?;
    Ok(answer(&registered_model_json(model, &newest)))
}

fn answer(model: &Value) -> HttpResponse {
    HttpResponse::Ok().json(json!({"registered_model": model}))
}

fn nothing() -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}
