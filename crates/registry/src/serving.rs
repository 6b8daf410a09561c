//! How a release serves: what is asked for, laid over what was so.

use domain::{
    Problem,
    serving::{Hooks, Routing, Settings},
};
use serde_json::{Map, Value};
use store::{
    Change,
    endpoints::Endpoint,
    releases::Release,
    versions::{self, Version},
};

use crate::{Error, Result, State};

/// Where settings stand in a request.
const FIELD: &str = "serving";

/// Settings with what is asked for in their place. What is left out stays, `null` is taken away; so
/// it is with the fields of a group, as `routing` is one.
///
/// # Errors
/// A field that there is not, or a value out of its range.
pub(crate) fn changed(before: &Settings, asked: &Map<String, Value>) -> Result<Settings, Problem> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(before) else {
        return Err(Problem::internal());
    };
    for (name, value) in asked {
        match (fields.get_mut(name), value) {
            (Some(Value::Object(group)), Value::Object(parts)) => {
                group.extend(parts.iter().map(|(name, part)| (name.clone(), part.clone())));
            }
            _ => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    rest::decode_at(FIELD, Value::Object(fields))
}

/// Whether nodes keep to what is new in settings. What a release before had stays, whatever nodes were told since.
///
/// # Errors
/// A body's limit is over the nodes' own.
pub(crate) fn within(settings: &Settings, before: &Settings, most: u64) -> Result<(), Problem> {
    let over = settings.body_limit.filter(|limit| limit.get() > most);
    match over.filter(|_| settings.body_limit != before.body_limit) {
        None => Ok(()),
        Some(limit) => {
            let message = format!("{limit} is more than nodes take: expected at most {most} bytes");
            let hint = "raise --max-body-bytes of every node first, or set less";
            Err(Problem::invalid("serving.body_limit", message).hint(hint))
        }
    }
}

/// The versions that a release serves by weights, and beside them those that its settings name.
///
/// # Errors
/// One of these is not there or cannot be served, or one of all cannot be served so.
pub(crate) async fn with_named(
    change: &mut Change,
    mut shares: Vec<(Version, i32)>,
    serving: &Settings,
) -> Result<Vec<(Version, i32)>> {
    let Some((model, name)) = shares.first().map(|(main, _)| (main.model_id, main.model.clone()))
    else {
        return Ok(shares);
    };
    for number in serving.versions() {
        if shares.iter().any(|(version, _)| version.number == number) {
            continue;
        }
        let Some(version) = versions::find_by_number(change, model, number).await? else {
            let message =
                format!("the settings name version {number}, which the model `{name}` has not");
            return Err(Problem::invalid(FIELD, message).into());
        };
        if let Some(obstacle) = version.obstacle() {
            return Err(Problem::conflict(obstacle).at(FIELD).into());
        }
        shares.push((version, 0));
    }
    for (version, _) in &shares {
        if let Some(signature) = &version.signature {
            serving.check(signature)?;
        }
    }
    let signatures: Vec<_> =
        shares.iter().map(|(version, _)| (version.number, version.signature.clone())).collect();
    serving.check_together(&signatures)?;
    Ok(shares)
}

/// Whether the servers that new hooks ask may be reached, and told what they are to be told. What cannot be
/// read is refused later, with what it would change.
///
/// # Errors
/// One may not.
pub(crate) async fn check_servers(
    state: &State,
    asked: &Map<String, Value>,
) -> Result<(), Problem> {
    let hooks = asked.get("hooks").and_then(|hooks| serde_json::from_value(hooks.clone()).ok());
    let hooks: Hooks = hooks.unwrap_or_default();
    for (place, http) in hooks.servers() {
        state.remote()?.check(&place, http.url.as_str(), &http.headers).await?;
    }
    Ok(())
}

/// What holds until something else is asked for: the settings of the release before. Where another
/// model comes, its versions have nothing to do with those that they name.
///
/// # Errors
/// They name versions of the model before, and nothing is said of routing.
pub(crate) fn inherited(
    present: Option<&Release>,
    main: &Version,
    asked: &Map<String, Value>,
) -> Result<Settings, Problem> {
    let Some(present) = present else { return Ok(Settings::default()) };
    let other = present.shares.iter().find(|share| share.model != main.model);
    match other {
        Some(share) if !present.serving.versions().is_empty() => {
            if !asked.contains_key("routing") {
                let message = format!("its settings name versions of `{}`", share.model);
                let hint = format!("say what is for `{}`: give `serving.routing`", main.model);
                return Err(Problem::conflict(message).at(FIELD).hint(hint));
            }
            Ok(Settings { routing: Routing::default(), ..present.serving.clone() })
        }
        _ => Ok(present.serving.clone()),
    }
}

/// What a release serves, without those that only its settings name.
///
/// # Errors
/// There is no release; one of its versions may not be deployed any more.
pub(crate) async fn kept(
    change: &mut Change,
    endpoint: &Endpoint,
    present: Option<&Release>,
) -> Result<Vec<(Version, i32)>> {
    let Some(present) = present else {
        let message = format!("`{}` serves nothing yet: give `model`", endpoint.endpoint);
        return Err(Problem::invalid("model", message).into());
    };
    let named = present.serving.versions();
    let mut kept = Vec::new();
    for share in &present.shares {
        if share.weight == 0 && named.contains(&share.number) {
            continue;
        }
        let version = versions::find(change, share.version).await?;
        let version = version.ok_or_else(Problem::internal).map_err(Error::from)?;
        if let Some(obstacle) = version.obstacle() {
            return Err(Problem::conflict(obstacle).at("model").into());
        }
        kept.push((version, share.weight));
    }
    Ok(kept)
}
