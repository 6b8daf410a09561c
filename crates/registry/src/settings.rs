//! Settings of the platform that are changed while it runs.

use auth::{Permit, verbs};
use domain::{ErrorCode, Problem, Timestamp, pickle::Policy};
use serde_json::{Value, json};
use store::{Change, settings, trials};

use crate::{Result, State, publish::publish};

/// All settings that there are, each with the value that it has until somebody gives it one.
const SETTINGS: [(&str, Policy); 1] = [("pickle", Policy::SafeOnly)];

/// A setting as it stands.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
    /// Who gave it that value, and when; absent where nobody did.
    pub updated: Option<(String, Timestamp)>,
}

/// All settings, by name.
///
/// # Errors
/// The database is away.
pub async fn list(state: &State, _permit: &Permit<verbs::View>) -> Result<Vec<Setting>> {
    let mut given = settings::list(&state.database).await?;
    Ok(SETTINGS
        .into_iter()
        .map(|(key, default)| match given.iter().position(|setting| setting.key == key) {
            Some(at) => {
                let found = given.swap_remove(at);
                let updated = Some((found.updated_by, found.updated_at));
                Setting { key, value: found.value, updated }
            }
            None => Setting { key, value: json!(default), updated: None },
        })
        .collect())
}

/// One setting.
///
/// # Errors
/// There is none of that name.
pub async fn get(state: &State, permit: &Permit<verbs::View>, key: &str) -> Result<Setting> {
    let found = list(state, permit).await?.into_iter().find(|setting| setting.key == key);
    found.ok_or_else(|| absent(key).into())
}

/// Gives a setting a value.
///
/// # Errors
/// There is none of that name; the value is none of its values.
pub async fn set(
    state: &State,
    permit: &Permit<verbs::Administer>,
    key: &str,
    value: &Value,
) -> Result<Setting> {
    let (key, default) = known(key)?;
    let value: Policy = value
        .as_str()
        .ok_or_else(|| Problem::invalid("value", format!("`{value}`: expected a text")))?
        .parse()
        .map_err(|problem: Problem| problem.at("value"))?;
    let mut change = Change::begin(&state.database).await?;
    let before = settings::get(&mut change, key).await?.map_or(json!(default), |it| it.value);
    let set = settings::set(&mut change, key, &json!(value), permit.actor()).await?;
    // Those that were not even tried may be tried now.
    trials::again(&mut change, None).await?;
    let event =
        permit.event("setting.changed", json!({"setting": key, "from": before, "to": value}));
    publish(change, event.changed(Some(&before), Some(&set.value))).await?;
    Ok(Setting { key, value: set.value, updated: Some((set.updated_by, set.updated_at)) })
}

fn known(key: &str) -> Result<(&'static str, Policy), Problem> {
    SETTINGS.into_iter().find(|(known, _)| *known == key).ok_or_else(|| absent(key))
}

fn absent(key: &str) -> Problem {
    let all: Vec<_> = SETTINGS.iter().map(|(key, _)| format!("`{key}`")).collect();
    let message = format!("there is no setting `{key}`: there are {}", all.join(", "));
    Problem::new(ErrorCode::NotFound, message).at("setting")
}
