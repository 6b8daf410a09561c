//! Registered models and their versions, as MLflow's clients read them.

use domain::Timestamp;
use serde_json::{Map, Value, json};
use store::{
    models::{Model, Tags},
    versions::Version,
};

/// A registered model with the newest version in each of its stages.
#[must_use]
pub fn registered_model_json(model: &Model, latest: &[Version]) -> Value {
    let mut json = Map::new();
    json.insert("name".to_owned(), json!(model.name));
    json.insert("creation_timestamp".to_owned(), millis(model.created_at));
    json.insert("last_updated_timestamp".to_owned(), millis(model.updated_at));
    text(&mut json, "user_id", Some(&model.owner));
    text(&mut json, "description", Some(&model.description));
    list(&mut json, "latest_versions", latest.iter().map(model_version_json));
    list(&mut json, "tags", pairs(&model.tags));
    let aliases = model.aliases.iter();
    let aliases =
        aliases.map(|(alias, version)| json!({"alias": alias, "version": version.to_string()}));
    list(&mut json, "aliases", aliases);
    Value::Object(json)
}

/// A version of a registered model. It is `READY` as soon as its bytes are stored; whether an
/// endpoint may serve it is told by our own API.
#[must_use]
pub fn model_version_json(version: &Version) -> Value {
    let mut json = Map::new();
    json.insert("name".to_owned(), json!(version.model));
    json.insert("version".to_owned(), json!(version.number.to_string()));
    json.insert("creation_timestamp".to_owned(), millis(version.created_at));
    json.insert("last_updated_timestamp".to_owned(), millis(version.updated_at));
    json.insert("current_stage".to_owned(), json!(version.stage));
    json.insert("status".to_owned(), json!("READY"));
    text(&mut json, "user_id", Some(&version.created_by));
    let source = version.origin.source.clone().unwrap_or_else(|| download_uri(version));
    text(&mut json, "source", Some(&source));
    // Clients tell an empty text from none.
    let run = version.lineage.run_id.as_deref().unwrap_or_default();
    let run_link = version.origin.run_link.as_deref().unwrap_or_default();
    let texts =
        [("description", version.description.as_str()), ("run_id", run), ("run_link", run_link)];
    json.extend(texts.map(|(key, text)| (key.to_owned(), json!(text))));
    let model_id = version.origin.logged_model_id.map(|id| id.to_string());
    text(&mut json, "model_id", model_id.as_deref());
    list(&mut json, "tags", pairs(&version.tags));
    list(&mut json, "aliases", version.aliases.iter().map(|alias| json!(alias)));
    Value::Object(json)
}

/// Where a client reads a version's files: here, whatever became of the run that they came from;
/// or at its source, if its bytes are not here.
#[must_use]
pub fn download_uri(version: &Version) -> String {
    match &version.origin.source {
        Some(source) if version.origin.is_external => source.clone(),
        _ => format!("mlflow-artifacts:/models/{}", version.id.0.as_simple()),
    }
}

fn millis(at: Timestamp) -> Value {
    json!(at.timestamp_millis())
}

fn text(json: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        json.insert(key.to_owned(), json!(value));
    }
}

fn list(json: &mut Map<String, Value>, key: &str, values: impl Iterator<Item = Value>) {
    let values: Vec<Value> = values.collect();
    if !values.is_empty() {
        json.insert(key.to_owned(), Value::Array(values));
    }
}

fn pairs(tags: &Tags) -> impl Iterator<Item = Value> {
    tags.iter().map(|(key, value)| json!({"key": key, "value": value}))
}
