//! `/experiments`, without search.

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig, get, post},
};
use auth::{Access, Caller, Permit, Verb};
use domain::{
    Problem, Resource,
    access::Kind,
    tracking::{ExperimentId, Tag},
};
use serde::Deserialize;
use serde_json::json;
use tracking::{
    State,
    experiments::{self, NewExperiment},
};

use crate::{
    encode::experiment_json,
    refusal::{Answer, Refusal},
    request::{Args, required},
};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/experiments/create", post().to(create))
        .route("/experiments/get", get().to(fetch))
        .route("/experiments/get-by-name", get().to(by_name))
        .route("/experiments/update", post().to(update))
        .route("/experiments/delete", post().to(delete))
        .route("/experiments/restore", post().to(restore))
        .route("/experiments/set-experiment-tag", post().to(set_tag))
        .route("/experiments/delete-experiment-tag", post().to(delete_tag));
}

/// A permit for an experiment that is found out on the way.
pub fn within<V: Verb>(
    access: &Access,
    caller: &Caller,
) -> impl AsyncFnOnce(ExperimentId) -> Result<Permit<V>, Problem> {
    async move |experiment| {
        access.authorize(caller, Resource::Experiment(experiment.to_string())).await
    }
}

/// An id of an experiment. Any whole number is one, though there may be none of it.
pub fn experiment_id(text: &str) -> Result<ExperimentId, Refusal> {
    text.parse().map_err(|_: Problem| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Refusal::absent(format!("No Experiment with id={text} exists"));
        }
        let shown: String = text.chars().take(80).collect();
        Refusal::invalid(format!(
            "Invalid experiment ID '{shown}'. Experiment ID must be a valid integer."
        ))
    })
}

/// A tag or a param as it is sent.
#[derive(Debug, Deserialize)]
pub struct Pair {
    pub key: Option<String>,
    pub value: Option<String>,
}

/// The tags of a request; each must have a key.
pub fn tags(pairs: Vec<Pair>) -> Result<Vec<Tag>, Refusal> {
    let pairs = pairs.into_iter().enumerate();
    pairs
        .map(|(index, pair)| {
            let key = required(pair.key, &format!("tags[{index}].key"))?;
            Ok(Tag { key, value: pair.value.unwrap_or_default() })
        })
        .collect()
}

/// The answer that says nothing.
pub fn done() -> HttpResponse {
    HttpResponse::Ok().json(json!({}))
}

#[derive(Debug, Deserialize)]
struct Create {
    name: Option<String>,
    artifact_location: Option<String>,
    #[serde(default)]
    tags: Vec<Pair>,
}

async fn create(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Create>,
) -> Answer {
    let permit = access.authorize_new(&caller, Kind::Experiment, None)?;
    let new = NewExperiment {
        name: required(args.name, "name")?,
        artifact_location: args.artifact_location.filter(|location| !location.is_empty()),
        tags: tags(args.tags)?,
    };
    let id = experiments::create(&state, &permit, &new).await.map_err(Refusal::creating)?;
    Ok(HttpResponse::Ok().json(json!({"experiment_id": id.to_string()})))
}

#[derive(Debug, Deserialize)]
struct Which {
    experiment_id: Option<String>,
}

impl Which {
    fn id(self) -> Result<ExperimentId, Refusal> {
        experiment_id(&required(self.experiment_id, "experiment_id")?)
    }
}

async fn fetch(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Which>,
) -> Answer {
    let id = args.id()?;
    let permit = access.authorize(&caller, Resource::Experiment(id.to_string())).await?;
    let experiment = experiments::get(&state, &permit, id).await?;
    Ok(HttpResponse::Ok().json(json!({"experiment": experiment_json(&experiment)})))
}

#[derive(Debug, Deserialize)]
struct Name {
    experiment_name: Option<String>,
}

async fn by_name(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Name>,
) -> Answer {
    let name = required(args.experiment_name, "experiment_name")?;
    let experiment = experiments::by_name(&state, within(&access, &caller), &name).await?;
    Ok(HttpResponse::Ok().json(json!({"experiment": experiment_json(&experiment)})))
}

#[derive(Debug, Deserialize)]
struct Update {
    experiment_id: Option<String>,
    new_name: Option<String>,
}

async fn update(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Update>,
) -> Answer {
    let id = experiment_id(&required(args.experiment_id, "experiment_id")?)?;
    let name = required(args.new_name, "new_name")?;
    let permit = access.authorize(&caller, Resource::Experiment(id.to_string())).await?;
    experiments::rename(&state, &permit, id, &name).await.map_err(Refusal::creating)?;
    Ok(done())
}

async fn delete(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Which>,
) -> Answer {
    let id = args.id()?;
    let permit = access.authorize(&caller, Resource::Experiment(id.to_string())).await?;
    experiments::delete(&state, &permit, id).await?;
    Ok(done())
}

async fn restore(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<Which>,
) -> Answer {
    let id = args.id()?;
    let permit = access.authorize(&caller, Resource::Experiment(id.to_string())).await?;
    experiments::restore(&state, &permit, id).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
struct TagArgs {
    experiment_id: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

async fn set_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<TagArgs>,
) -> Answer {
    let id = experiment_id(&required(args.experiment_id, "experiment_id")?)?;
    let key = required(args.key, "key")?;
    let tag = Tag { key, value: args.value.unwrap_or_default() };
    let permit = access.authorize(&caller, Resource::Experiment(id.to_string())).await?;
    experiments::set_tag(&state, &permit, id, &tag).await?;
    Ok(done())
}

async fn delete_tag(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Args(args): Args<TagArgs>,
) -> Answer {
    let id = experiment_id(&required(args.experiment_id, "experiment_id")?)?;
    let key = required(args.key, "key")?;
    let permit = access.authorize(&caller, Resource::Experiment(id.to_string())).await?;
    experiments::delete_tag(&state, &permit, id, &key).await?;
    Ok(done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Code;

    #[test]
    fn a_number_that_no_experiment_has_is_absent_and_a_word_is_wrong() {
        assert_eq!(experiment_id("7").unwrap(), ExperimentId(7));
        for absent in ["-1", "99999999999999999999"] {
            assert_eq!(experiment_id(absent).unwrap_err().code, Code::ResourceDoesNotExist);
        }
        for wrong in ["abc", "", "1.5", "-"] {
            assert_eq!(experiment_id(wrong).unwrap_err().code, Code::InvalidParameterValue);
        }
    }
}
