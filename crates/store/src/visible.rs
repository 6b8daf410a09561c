//! What a caller may see, as the functions `sees_…` of SQL ask it.

use domain::access::{Clause, Place, Visible};
use serde_json::{Map, Value, json};

/// A [`Visible`] as arguments of a query.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// Whether there is nothing to ask.
    pub all: bool,
    pub allow: Value,
    pub deny: Value,
}

impl From<&Visible> for Filter {
    fn from(visible: &Visible) -> Self {
        let Visible { allow, deny } = visible;
        let is_everything = |clause: &Clause| {
            clause.place == Place::Everything && clause.env.is_none() && clause.tag.is_none()
        };
        Self {
            all: deny.is_empty() && allow.iter().any(is_everything),
            allow: allow.iter().map(json_of).collect(),
            deny: deny.iter().map(json_of).collect(),
        }
    }
}

fn json_of(clause: &Clause) -> Value {
    let mut json = Map::new();
    let mut put = |key: &str, value: Value| json.insert(key.to_owned(), value);
    match clause.place {
        Place::Everything => None,
        Place::Team(id) => put("team", json!(id.to_string())),
        Place::Model(id) => put("id", json!(id.to_string())),
        Place::Endpoint(id) => put("id", json!(id.to_string())),
        Place::Experiment(id) => put("id", json!(id.to_string())),
    };
    if let Some(env) = &clause.env {
        put("env", json!(env));
    }
    if let Some((key, value)) = &clause.tag {
        put("tag", json!([key, value]));
    }
    Value::Object(json)
}
