//! Logged models: made, filled with files, finalised; found by id.
//!
//! What a run logs about one (params, tags, metrics) is data; that it was made, finalised or
//! deleted is audited. Ask [`home`] whose it is, and get a permit for that experiment.

use std::{collections::BTreeMap, str::FromStr};

use auth::{Permit, verbs};
use domain::{
    ErrorCode, Problem,
    tracking::{ExperimentId, LoggedModelId, RunId},
};
use serde_json::json;
pub use store::tracking::logged_models::{LoggedModel, Metric};
use store::{
    Change,
    tracking::logged_models::{self, NewLoggedModel},
};

use crate::{Result, State, runs};

/// The longest key of a param or a tag.
const LONGEST_KEY: usize = 255;
/// The longest value of a param.
const LONGEST_PARAM: usize = 6000;
/// The longest value of a tag.
const LONGEST_TAG: usize = 8000;
/// The longest name, and the longest kind.
const LONGEST_NAME: usize = 500;

/// What a new logged model is made of, as its maker says.
#[derive(Debug, Clone, Default)]
pub struct New {
    /// What it is called; we find a name if there is none.
    pub name: Option<String>,
    /// The run that makes it.
    pub source_run: Option<String>,
    /// What kind of model it is.
    pub model_type: Option<String>,
    /// What it is made with.
    pub params: Vec<(String, String)>,
    /// Its tags.
    pub tags: Vec<(String, String)>,
}

/// How the upload of a logged model's files stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Files are on their way.
    Pending,
    /// All are there.
    Ready,
    /// It broke off.
    Failed,
}

impl Status {
    /// In MLflow's words, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::Failed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }
}

impl FromStr for Status {
    type Err = Problem;

    fn from_str(word: &str) -> Result<Self, Problem> {
        let all = [Self::Pending, Self::Ready, Self::Failed];
        all.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            let shown: String = word.chars().take(80).collect();
            let all = all.map(Self::as_str).join(", ");
            Problem::invalid("status", format!("`{shown}`: expected one of {all}"))
        })
    }
}

/// An id, and the experiment of the logged model that has it. Deleted ones count only if asked for.
///
/// # Errors
/// There is no such logged model.
pub async fn home(
    state: &State,
    id: &str,
    deleted_too: bool,
) -> Result<(LoggedModelId, ExperimentId)> {
    // An id of another form is one that was never given.
    let parsed: LoggedModelId = id.parse().map_err(|_| absent(id))?;
    let home = logged_models::home(&state.database, parsed, deleted_too).await?;
    Ok((parsed, home.ok_or_else(|| absent(id))?))
}

/// What is told of a logged model that is not there.
pub fn absent(id: impl std::fmt::Display) -> Problem {
    let shown: String = id.to_string().chars().take(80).collect();
    Problem::new(ErrorCode::NotFound, format!("Logged model with ID '{shown}' not found."))
}

/// One logged model.
///
/// # Errors
/// It is not there.
pub async fn get(
    state: &State,
    _permit: &Permit<verbs::View>,
    id: LoggedModelId,
) -> Result<LoggedModel> {
    read(state, id).await
}

async fn read(state: &State, id: LoggedModelId) -> Result<LoggedModel> {
    let found = logged_models::get_all(&state.database, &[id]).await?;
    Ok(found.into_iter().next().ok_or_else(|| absent(id))?)
}

/// Makes a logged model, whose files are yet to come.
///
/// # Errors
/// No such experiment, or it is deleted; a name, param or tag that cannot be.
pub async fn create(
    state: &State,
    permit: &Permit<verbs::Edit>,
    experiment: ExperimentId,
    new: New,
) -> Result<LoggedModel> {
    let id = LoggedModelId::new();
    let name = new.name.unwrap_or_else(|| nameless(id));
    check_name(&name)?;
    if let Some(kind) = &new.model_type {
        within("model_type", kind, LONGEST_NAME)?;
    }
    let source_run = new.source_run.map(|run| parse_run(&run)).transpose()?;
    let params = unique_params(new.params)?;
    let tags = checked_tags(new.tags)?;
    let mut change = Change::begin(&state.database).await?;
    let (location, deleted) =
        logged_models::location(&mut change, experiment).await?.ok_or_else(|| {
            Problem::new(ErrorCode::NotFound, format!("No Experiment with id={experiment} exists"))
        })?;
    if deleted {
        let message = format!(
            "The experiment {experiment} must be in the 'active' state. Current state is deleted."
        );
        return Err(Problem::invalid("experiment_id", message).into());
    }
    let artifact_uri = format!("{}/models/{id}/artifacts", location.trim_end_matches('/'));
    let model_type = new.model_type;
    let new =
        NewLoggedModel { id, experiment, name, source_run, model_type, artifact_uri, params, tags };
    logged_models::insert(&mut change, &new, permit.actor()).await?;
    let facts = json!({"model_id": id.to_string(), "name": new.name});
    change.commit(&permit.event("logged_model.created", facts)).await?;
    read(state, id).await
}

/// A name for what nobody named.
fn nameless(id: LoggedModelId) -> String {
    let id = id.to_string();
    format!("model-{}", id.get(id.len().saturating_sub(8)..).unwrap_or(&id))
}

fn parse_run(run: &str) -> Result<RunId, Problem> {
    run.parse().map_err(|_| runs::absent(run).at("source_run_id"))
}

/// Says how the upload of its files ended.
///
/// # Errors
/// It is not there.
pub async fn finalise(
    state: &State,
    permit: &Permit<verbs::Edit>,
    id: LoggedModelId,
    status: Status,
) -> Result<LoggedModel> {
    let mut change = Change::begin(&state.database).await?;
    if !logged_models::set_status(&mut change, id, status.as_str()).await? {
        return Err(absent(id).into());
    }
    let facts = json!({"model_id": id.to_string(), "status": status.as_str()});
    change.commit(&permit.event("logged_model.finalised", facts)).await?;
    read(state, id).await
}

/// Deletes a logged model, until its retention time is over.
///
/// # Errors
/// It is not there.
pub async fn delete(
    state: &State,
    permit: &Permit<verbs::Delete>,
    id: LoggedModelId,
) -> Result<()> {
    let mut change = Change::begin(&state.database).await?;
    if !logged_models::delete(&mut change, id).await? {
        return Err(absent(id).into());
    }
    let facts = json!({"model_id": id.to_string()});
    change.commit(&permit.event("logged_model.deleted", facts)).await?;
    Ok(())
}

/// Sets tags; others stay. Of a key that is given twice the last value counts.
///
/// # Errors
/// A key or value that is too long.
pub async fn set_tags(
    state: &State,
    _permit: &Permit<verbs::Edit>,
    id: LoggedModelId,
    tags: Vec<(String, String)>,
) -> Result<()> {
    let tags = checked_tags(tags)?;
    Ok(logged_models::set_tags(&state.database, id, &tags).await?)
}

/// Deletes a tag.
///
/// # Errors
/// There is none of that key.
pub async fn delete_tag(
    state: &State,
    _permit: &Permit<verbs::Edit>,
    id: LoggedModelId,
    key: &str,
) -> Result<()> {
    if logged_models::delete_tag(&state.database, id, key).await? {
        return Ok(());
    }
    let shown: String = key.chars().take(LONGEST_KEY).collect();
    let message = format!("No tag with key '{shown}' found for model with ID '{id}'.");
    Err(Problem::new(ErrorCode::NotFound, message).into())
}

/// Logs params, all or none, once each.
///
/// # Errors
/// A param has another value already; a key or value that is too long.
pub async fn log_params(
    state: &State,
    _permit: &Permit<verbs::Edit>,
    id: LoggedModelId,
    params: Vec<(String, String)>,
) -> Result<()> {
    let params = unique_params(params)?;
    Ok(logged_models::log_params(&state.database, id, &params).await?)
}

pub(crate) fn unique_params(
    params: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut unique = BTreeMap::new();
    for (key, value) in params {
        check_pair("params", &key, &value, LONGEST_PARAM)?;
        if let Some(other) = unique.insert(key.clone(), value.clone())
            && other != value
        {
            let message = format!("the param `{key}` is given twice, with different values");
            return Err(Problem::invalid("params", message));
        }
    }
    Ok(unique)
}

pub(crate) fn checked_tags(
    tags: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, Problem> {
    for (key, value) in &tags {
        check_pair("tags", key, value, LONGEST_TAG)?;
    }
    Ok(tags.into_iter().collect())
}

fn check_pair(field: &'static str, key: &str, value: &str, most: usize) -> Result<(), Problem> {
    if key.is_empty() {
        return Err(Problem::invalid(
            field,
            format!("a key in '{field}' is empty: expected a name"),
        ));
    }
    within(field, key, LONGEST_KEY)?;
    let shown: String = key.chars().take(LONGEST_KEY).collect();
    within(field, value, most).map_err(|problem| {
        let message = format!("'{shown}': {}", problem.message);
        Problem { message, ..problem }
    })
}

fn within(field: &'static str, text: &str, most: usize) -> Result<(), Problem> {
    let length = text.chars().count();
    if length > most {
        let message =
            format!("'{field}' exceeded the maximum length: {length} characters, at most {most}");
        return Err(Problem::invalid(field, message));
    }
    Ok(())
}

/// The characters that would make a name ambiguous in a URI or a filter.
const NOT_IN_NAMES: [char; 6] = ['/', ':', '.', '%', '"', '\''];

pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    within("name", name, LONGEST_NAME)?;
    if name.is_empty() || name.contains(NOT_IN_NAMES) {
        let shown: String = name.chars().take(80).collect();
        let message = format!(
            "Invalid model name ({shown:?}) provided. Model name must be a non-empty string and cannot contain the following characters: {NOT_IN_NAMES:?}"
        );
        return Err(Problem::invalid("name", message));
    }
    Ok(())
}
