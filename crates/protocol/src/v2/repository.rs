//! Which models a server has, over REST and over gRPC.

use domain::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::grpc::messages;

/// The body of `POST /v2/repository/index`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndexRequest {
    /// Whether to tell of ready ones only.
    pub ready: bool,
}

/// One version of one model, or a model of which no version is there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIndex {
    /// The model.
    pub name: String,
    /// The version; empty while there is none.
    pub version: String,
    /// How far it is.
    pub state: ModelState,
    /// Why it is not ready.
    pub reason: String,
}

/// How far a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ModelState {
    /// It answers.
    Ready,
    /// It is on its way.
    Loading,
    /// It does not answer.
    Unavailable,
}

impl ModelState {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Loading => "LOADING",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// The body of `POST /v2/repository/models/{name}/load` and `…/unload`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlRequest {
    /// Parameters.
    pub parameters: Map<String, Value>,
}

impl ControlRequest {
    /// The same over gRPC, where only the names matter.
    pub fn of_names(names: impl IntoIterator<Item = String>) -> Self {
        Self { parameters: names.into_iter().map(|name| (name, Value::Null)).collect() }
    }

    /// Refuses parameters, but for one that asks for nothing here.
    ///
    /// # Errors
    /// A parameter that would change what is loaded.
    pub fn check(&self, harmless: Option<&str>) -> Result<(), Problem> {
        match self.parameters.keys().find(|name| harmless != Some(name.as_str())) {
            Some(name) => {
                let message =
                    format!("parameter `{name}` is not supported: a version never changes");
                Err(Problem::invalid(format!("parameters.{name}"), message).hint(
                    "`bottega push` makes another version, `bottega deploy` puts it to the endpoint",
                ))
            }
            None => Ok(()),
        }
    }
}

impl From<ModelIndex> for messages::repository_index_response::ModelIndex {
    fn from(ModelIndex { name, version, state, reason }: ModelIndex) -> Self {
        Self { name, version, state: state.as_str().to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_have_the_names_that_clients_know() {
        for state in [ModelState::Ready, ModelState::Loading, ModelState::Unavailable] {
            assert_eq!(json!(state), state.as_str());
        }
    }

    #[test]
    fn what_would_change_a_model_is_refused_by_name() {
        let request: ControlRequest =
            serde_json::from_value(json!({"parameters": {"unload_dependents": false}})).unwrap();
        assert_eq!(request.check(Some("unload_dependents")), Ok(()));
        let refused = request.check(None).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("parameters.unload_dependents"));
        let config = ControlRequest::of_names(["config".to_owned()]);
        assert!(config.check(Some("unload_dependents")).is_err());
    }
}
