//! History: what moved when, and how things stood at a moment.

use auth::{Permit, verbs};
use domain::{AliasName, Cursor, ErrorCode, Limit, ModelName, Page, Problem, Stage, Timestamp};
use store::{
    aliases,
    history::{self, Filter, Move},
    models::Model,
    stages,
    versions::{self, Version},
};

use crate::{Error, Result, State, models, stages::canonical};

/// How a model stood at a moment.
#[derive(Debug)]
pub struct Standing {
    /// The move that each alias had behind it, by alias: where it pointed, since when, who put it there.
    pub aliases: Vec<aliases::Move>,
    /// The move that brought each version to its stage, by stage; those where versions begin are left out.
    pub stages: Vec<stages::Move>,
}

/// Lists the moves of a model's aliases and of its versions' stages, newest first.
///
/// # Errors
/// The model is not there; a moment that is not over.
pub async fn list(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    mut filter: Filter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Move>> {
    let model = models::get(state, permit, model).await?;
    if let Some(at) = filter.as_of {
        require_past(state, at)?;
    }
    // A stage that is gone is in the history all the same.
    filter.stage = filter.stage.map(|stage| canonical(&model, stage.as_str()).unwrap_or(stage));
    Ok(history::list(&state.database, model.id, &filter, cursor, limit).await?)
}

/// Who was each alias, and which versions were in each stage, at a moment.
///
/// # Errors
/// The model is not there, or was not there yet; a moment that is not over.
pub async fn standing(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    at: Timestamp,
) -> Result<Standing> {
    let model = model_then(state, permit, model, at).await?;
    Ok(Standing {
        aliases: history::aliases_at(&state.database, model.id, at).await?,
        stages: history::stages_at(&state.database, model.id, at).await?,
    })
}

/// A model with the aliases and the newest version that it had at a moment. The rest is as it is now.
///
/// # Errors
/// As [`standing`].
pub async fn model(
    state: &State,
    permit: &Permit<verbs::View>,
    name: &ModelName,
    at: Timestamp,
) -> Result<Model> {
    let model = model_then(state, permit, name, at).await?;
    let then = history::aliases_at(&state.database, model.id, at).await?;
    let latest_version = history::latest_version_at(&state.database, model.id, at).await?;
    let aliases = then.into_iter().filter_map(|done| Some((done.alias, done.to?))).collect();
    Ok(Model { aliases, latest_version, ..model })
}

/// Where each alias pointed at a moment, by alias.
///
/// # Errors
/// As [`standing`].
pub async fn aliases(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    at: Timestamp,
) -> Result<Vec<aliases::Move>> {
    let model = model_then(state, permit, model, at).await?;
    Ok(history::aliases_at(&state.database, model.id, at).await?)
}

/// Where an alias pointed at a moment.
///
/// # Errors
/// As [`standing`]; it pointed nowhere.
pub async fn alias(
    state: &State,
    permit: &Permit<verbs::View>,
    model: &ModelName,
    alias: &AliasName,
    at: Timestamp,
) -> Result<aliases::Move> {
    let then = aliases(state, permit, model, at).await?;
    then.into_iter().find(|done| done.alias == *alias).ok_or_else(|| {
        let message = format!("`{model}@{alias}` pointed nowhere at {}", shown(at));
        Problem::new(ErrorCode::NotFound, message).at("alias").into()
    })
}

/// A version with the stage and the aliases that it had at a moment, also if it is deleted by now.
/// Its files never change; what else is known of it is as it is now.
///
/// # Errors
/// As [`standing`]; the version was not there yet, or deleted at that moment.
pub async fn version(
    state: &State,
    permit: &Permit<verbs::View>,
    name: &ModelName,
    number: i32,
    at: Timestamp,
) -> Result<Version> {
    let model = model_then(state, permit, name, at).await?;
    let absent = |message: String| -> Error {
        Problem::new(ErrorCode::NotFound, message).at("version").into()
    };
    let found = versions::get_even_deleted(&state.database, name, number).await?;
    let version = found.ok_or_else(|| absent(format!("`{name}` has no version {number}")))?;
    if version.created_at > at {
        let made = shown(version.created_at);
        return Err(absent(format!("`{name}/{number}` was registered later, at {made}")));
    }
    let stage: Option<Stage> = history::stage_at(&state.database, model.id, number, at).await?;
    let stage =
        stage.ok_or_else(|| absent(format!("`{name}/{number}` was deleted at {}", shown(at))))?;
    let then = history::aliases_at(&state.database, model.id, at).await?;
    let its = then.into_iter().filter(|done| done.to == Some(number));
    Ok(Version { stage, aliases: its.map(|done| done.alias.to_string()).collect(), ..version })
}

/// A model that was there at a moment.
async fn model_then(
    state: &State,
    permit: &Permit<verbs::View>,
    name: &ModelName,
    at: Timestamp,
) -> Result<Model> {
    require_past(state, at)?;
    let model = models::get(state, permit, name).await?;
    if model.created_at > at {
        let message = format!("`{name}` was made later, at {}", shown(model.created_at));
        return Err(Problem::new(ErrorCode::NotFound, message).at("model").into());
    }
    Ok(model)
}

fn require_past(state: &State, at: Timestamp) -> Result<(), Problem> {
    if at <= state.database.now() {
        return Ok(());
    }
    let message = format!("{} is not over yet: nobody knows what will be then", shown(at));
    Err(Problem::invalid("as_of", message).hint("leave it out to ask for the present"))
}

fn shown(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
