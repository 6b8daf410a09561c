//! What webhooks can hear of, and how the outbox's events are told.
//!
//! Names are an entity and an action, as MLflow's. Those that MLflow has carry exactly its payloads;
//! ours carry what our own API says of the same things.

use chrono::SecondsFormat;
use domain::{Problem, Timestamp};
use serde_json::{Value, json};
use store::webhooks::{
    EventName,
    feed::{Happened, Told},
};

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Of what kind of thing.
    pub entity: &'static str,
    /// What became of it.
    pub action: &'static str,
}

const fn event(entity: &'static str, action: &'static str) -> Event {
    Event { entity, action }
}

/// The events that MLflow has too.
pub const MLFLOW: [Event; 6] = [
    event("registered_model", "created"),
    event("model_version", "created"),
    event("model_version_tag", "set"),
    event("model_version_tag", "deleted"),
    event("model_version_alias", "created"),
    event("model_version_alias", "deleted"),
];

/// The events that only Bottega has.
pub const OURS: [Event; 8] = [
    event("model_version_stage", "moved"),
    event("endpoint", "created"),
    event("endpoint", "deleted"),
    event("endpoint", "blocked"),
    event("endpoint", "rolled_back"),
    event("release", "created"),
    event("release", "completed"),
    event("release", "failed"),
];

/// Events of MLflow's that belong to parts which this server does not have.
const ABSENT: [&str; 6] = [
    "prompt",
    "prompt_version",
    "prompt_tag",
    "prompt_version_tag",
    "prompt_alias",
    "budget_policy",
];

impl Event {
    /// The event of these two names.
    ///
    /// # Errors
    /// There is none.
    pub fn find(entity: &str, action: &str) -> Result<Self, Problem> {
        let mut all = MLFLOW.iter().chain(&OURS);
        if let Some(event) = all.find(|event| event.entity == entity && event.action == action) {
            return Ok(*event);
        }
        if ABSENT.contains(&entity) {
            let message = format!(
                "`{entity}` has no events here: this server keeps no prompts and no budgets"
            );
            return Err(Problem::invalid("events", message).hint(format!("there are {}", names())));
        }
        let actions: Vec<_> = MLFLOW
            .iter()
            .chain(&OURS)
            .filter(|event| event.entity == entity)
            .map(|event| event.action)
            .collect();
        let shown = |text: &str| text.chars().take(80).collect::<String>();
        let message = match actions.as_slice() {
            [] => format!("there is no event `{}`", shown(&format!("{entity}.{action}"))),
            _ => format!("Invalid action '{}' for entity '{}'", shown(action), shown(entity)),
        };
        let problem = Problem::invalid("events", message);
        Err(if actions.is_empty() {
            problem.hint(format!("there are {}", names()))
        } else {
            problem.hint(format!("`{entity}` has {}", actions.join(", ")))
        })
    }

    /// Reads `model_version.created`.
    ///
    /// # Errors
    /// There is no such event.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let (entity, action) = text.split_once('.').unwrap_or((text, ""));
        Self::find(entity, action)
    }

    /// As rows have it.
    #[must_use]
    pub fn name(self) -> EventName {
        (self.entity.to_owned(), self.action.to_owned())
    }

    /// A body such as a delivery of this event has, about things that are not there.
    #[must_use]
    pub fn example(self, at: Timestamp) -> Value {
        body(self, at, &example(self))
    }
}

fn names() -> String {
    let all = MLFLOW.iter().chain(&OURS);
    all.map(|event| format!("{}.{}", event.entity, event.action)).collect::<Vec<_>>().join(", ")
}

fn body(event: Event, at: Timestamp, data: &Value) -> Value {
    json!({
        "entity": event.entity,
        "action": event.action,
        "timestamp": at.to_rfc3339_opts(SecondsFormat::Micros, false),
        "data": data,
    })
}

fn example(event: Event) -> Value {
    let (name, version) = ("example_model", "1");
    match (event.entity, event.action) {
        ("registered_model", _) => json!({
            "name": name, "tags": {"example_key": "example_value"},
            "description": "An example registered model",
        }),
        ("model_version", _) => json!({
            "name": name, "version": version, "source": "models:/123", "run_id": "abcd1234abcd5678",
            "tags": {"example_key": "example_value"}, "description": "An example model version",
        }),
        ("model_version_tag", "set") => {
            json!({"name": name, "version": version, "key": "example_key", "value": "example_value"})
        }
        ("model_version_tag", _) => json!({"name": name, "version": version, "key": "example_key"}),
        ("model_version_alias", "created") => {
            json!({"name": name, "alias": "example_alias", "version": version})
        }
        ("model_version_alias", _) => json!({"name": name, "alias": "example_alias"}),
        ("model_version_stage", _) => {
            json!({"name": name, "version": version, "from": "None", "to": "Production"})
        }
        ("release", "failed") => {
            json!({"endpoint": "example", "release": 1, "outcome": "the model could not be loaded"})
        }
        ("release", _) => json!({"endpoint": "example", "release": 1}),
        ("endpoint", "blocked") => {
            json!({"endpoint": "example", "reason": "the trial of `example_model/1` is not over"})
        }
        _ => json!({"endpoint": "example"}),
    }
}

/// What webhooks are told of an event of the outbox; nothing where none can ask for it.
#[must_use]
pub fn tell(happened: &Happened) -> Vec<Told> {
    let Some((event, data)) = translate(happened) else { return Vec::new() };
    let body = body(event, happened.at, &data);
    vec![Told { entity: event.entity, action: event.action, body }]
}

fn translate(happened: &Happened) -> Option<(Event, Value)> {
    let facts = &happened.payload;
    let name = &facts["model"];
    let told = match happened.topic.as_str() {
        "model.registered" => (
            event("registered_model", "created"),
            json!({
                "name": name, "tags": or(&facts["tags"], json!({})),
                "description": or(&facts["description"], json!("")),
            }),
        ),
        "version.registered" => (event("model_version", "created"), version(facts)),
        "version_tag.set" => (
            event("model_version_tag", "set"),
            json!({
                "name": name, "version": number(&facts["version"]), "key": facts["key"],
                "value": facts["value"],
            }),
        ),
        "version_tag.deleted" => (
            event("model_version_tag", "deleted"),
            json!({"name": name, "version": number(&facts["version"]), "key": facts["key"]}),
        ),
        "alias.moved" if facts["to"].is_null() => (
            event("model_version_alias", "deleted"),
            json!({"name": name, "alias": facts["alias"]}),
        ),
        "alias.moved" => (
            event("model_version_alias", "created"),
            json!({"name": name, "alias": facts["alias"], "version": number(&facts["to"])}),
        ),
        "stage.moved" => (
            event("model_version_stage", "moved"),
            json!({
                "name": name, "version": number(&facts["version"]), "from": facts["from"],
                "to": facts["to"],
            }),
        ),
        topic => return of_endpoint(topic, happened),
    };
    Some(told)
}

fn version(facts: &Value) -> Value {
    let text = |name: &str| facts[name].as_str().filter(|text| !text.is_empty());
    let (name, number) = (facts["model"].as_str().unwrap_or_default(), number(&facts["version"]));
    let own = format!("models:/{name}/{number}");
    json!({
        "name": name, "version": number, "source": text("source").unwrap_or(&own),
        "run_id": text("run_id"), "tags": or(&facts["tags"], json!({})),
        "description": text("description"),
    })
}

fn of_endpoint(topic: &str, happened: &Happened) -> Option<(Event, Value)> {
    let (entity, action) = topic.split_once('.')?;
    let event = OURS.iter().find(|ours| ours.entity == entity && ours.action == action).copied()?;
    let facts = &happened.payload;
    let mut data = json!({"endpoint": happened.resource.strip_prefix("endpoint:")?});
    for field in ["release", "follows", "reason", "outcome"] {
        if !facts[field].is_null() {
            // Some say the whole release, some its number.
            let nested = &facts[field]["release"];
            data[field] = if nested.is_null() { facts[field].clone() } else { nested.clone() };
        }
    }
    Some((event, data))
}

/// MLflow writes version numbers as texts.
fn number(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn or(value: &Value, default: Value) -> Value {
    if value.is_null() { default } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(topic: &str, resource: &str, payload: Value) -> Option<Value> {
        let happened = Happened {
            at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            topic: topic.to_owned(),
            resource: resource.to_owned(),
            payload,
        };
        tell(&happened).pop().map(|told| told.body)
    }

    #[test]
    fn mlflows_events_carry_mlflows_payloads() {
        assert_eq!(
            told("model.registered", "model:fraud", json!({"model": "fraud"})).unwrap(),
            json!({
                "entity": "registered_model", "action": "created",
                "timestamp": "2026-01-02T03:04:05.678901+00:00",
                "data": {"name": "fraud", "tags": {}, "description": ""},
            })
        );
        let data = |topic, payload| told(topic, "model:fraud", payload).unwrap()["data"].take();
        assert_eq!(
            data(
                "version.registered",
                json!({"model": "fraud", "version": 3, "run_id": "r", "source": "runs:/r/m", "tags": {"a": "b"}, "description": ""})
            ),
            json!({"name": "fraud", "version": "3", "source": "runs:/r/m", "run_id": "r", "tags": {"a": "b"}, "description": null})
        );
        assert_eq!(
            data("alias.moved", json!({"model": "fraud", "alias": "champion", "from": 1, "to": 2})),
            json!({"name": "fraud", "alias": "champion", "version": "2"})
        );
        assert_eq!(
            data(
                "alias.moved",
                json!({"model": "fraud", "alias": "champion", "from": 1, "to": null})
            ),
            json!({"name": "fraud", "alias": "champion"})
        );
        assert_eq!(
            data(
                "version_tag.set",
                json!({"model": "fraud", "version": 3, "key": "k", "value": "v"})
            ),
            json!({"name": "fraud", "version": "3", "key": "k", "value": "v"})
        );
    }

    #[test]
    fn releases_are_told_by_number_whoever_made_them() {
        for release in [json!(2), json!({"release": 2, "state": "progressing"})] {
            let body = told("release.created", "endpoint:fraud.dev", json!({"release": release}));
            assert_eq!(body.unwrap()["data"], json!({"endpoint": "fraud.dev", "release": 2}));
        }
        assert_eq!(told("version.tried", "model:fraud", json!({})), None);
        assert_eq!(told("nonsense", "", json!([])), None);
    }

    #[test]
    fn every_event_is_found_by_its_name_and_has_an_example() {
        for event in MLFLOW.iter().chain(&OURS) {
            let text = format!("{}.{}", event.entity, event.action);
            assert_eq!(Event::parse(&text).unwrap(), *event);
            assert!(event.example(Timestamp::UNIX_EPOCH)["data"].is_object());
        }
        for (text, says) in [
            ("prompt.created", "no prompts"),
            ("model_version.moved", "Invalid action 'moved' for entity 'model_version'"),
            ("x", "no event"),
            ("", "no event"),
        ] {
            let problem = Event::parse(text).unwrap_err();
            assert!(problem.message.contains(says), "{}", problem.message);
        }
    }
}
