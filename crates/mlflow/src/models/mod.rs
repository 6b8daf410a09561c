//! The model registry: registered models, their versions, aliases and stages.

pub mod files;
mod json;
mod registered;
mod source;
mod versions;

use actix_web::web::ServiceConfig;
use auth::{Access, Caller, Permit, Verb};
use domain::{
    ModelName, Resource, TagKey, TagValue,
    tracking::{check_key, check_length},
};
use registry::Error;
use serde::Deserialize;
use store::models::Tags;

pub use json::{download_uri, model_version_json, registered_model_json};

use crate::{
    refusal::{Code, Refusal},
    request::required,
};

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config.configure(registered::routes).configure(versions::routes);
}

/// A tag on the wire.
#[derive(Debug, Deserialize)]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

impl Tag {
    fn checked(self) -> Result<(TagKey, TagValue), Refusal> {
        let (key, value) = (required(self.key, "key")?, self.value.unwrap_or_default());
        check_key("key", &key)?;
        check_length("key", &key, 250)?;
        check_length("value", &value, 100_000)?;
        Ok((key.parse()?, value.parse()?))
    }
}

/// The tags of something new: of several with one key the last holds.
fn tags(given: Option<Vec<Tag>>) -> Result<Tags, Refusal> {
    let mut tags = Tags::new();
    for tag in given.unwrap_or_default() {
        let (key, value) = tag.checked()?;
        tags.insert(key.to_string(), value.as_str().to_owned());
    }
    Ok(registry::text::tags(tags)?)
}

fn description(given: Option<String>) -> Result<String, Refusal> {
    let longest = registry::text::DESCRIPTION;
    Ok(registry::text::bounded("description", given.unwrap_or_default(), longest)?)
}

fn name(given: Option<String>, field: &str) -> Result<ModelName, Refusal> {
    let given = required(given, field)?;
    if given.contains(['/', ':']) {
        let shown: String = given.chars().take(300).collect();
        return Err(Refusal::invalid(format!(
            "Invalid model name '{shown}'. Names cannot contain '/' or ':'."
        )));
    }
    Ok(given.parse()?)
}

fn version(given: Option<String>) -> Result<i32, Refusal> {
    let given = required(given, "version")?;
    given.parse().map_err(|_| {
        let shown: String = given.chars().take(100).collect();
        Refusal::invalid(format!("Parameter 'version' must be an integer, got '{shown}'."))
    })
}

async fn permit<V: Verb>(
    access: &Access,
    caller: &Caller,
    name: &ModelName,
) -> Result<Permit<V>, Refusal> {
    let permit = access.authorize(caller, Resource::Model(name.to_string())).await;
    permit.map_err(|problem| told(name, None)(problem.into()))
}

/// What the registry refused, with MLflow's words where a model or a version is not there.
fn told(name: &ModelName, version: Option<i32>) -> impl Fn(Error) -> Refusal {
    move |error| {
        let problem = domain::Problem::from(error);
        let field = problem.field.clone();
        let refusal = Refusal::from(problem);
        let message = match (refusal.code, field.as_deref(), version) {
            (Code::ResourceDoesNotExist, Some("model" | "version"), Some(version)) => {
                format!("Model Version (name={name}, version={version}) not found")
            }
            (Code::ResourceDoesNotExist, Some("model"), None) => {
                format!("Registered Model with name={name} not found")
            }
            _ => return refusal,
        };
        Refusal { message, ..refusal }
    }
}
