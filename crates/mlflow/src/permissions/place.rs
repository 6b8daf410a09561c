//! What MLflow's permissions are on.

use domain::{ModelName, Problem, Resource, access::Kind};

use crate::{
    experiments::experiment_id,
    refusal::{Code, Refusal},
};

/// An experiment, a registered model, or all of these: MLflow's `resource_type` and
/// `resource_pattern`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    kind: Kind,
    /// Absent: all of the kind.
    one: Option<String>,
}

const EXPERIMENT: &str = "experiment";
const MODEL: &str = "registered_model";

/// Types of MLflow's that have no permissions of their own here, and what is said of them.
const OTHERS: &[(&[&str], &str)] = &[
    (
        &["run", "trace", "assessment", "logged_model", "review_queue"],
        "what is in an experiment has the experiment's permissions: use 'experiment'",
    ),
    (
        &["registered_model_version", "prompt_version"],
        "versions have their model's permissions: use 'registered_model'",
    ),
    (&["prompt"], "prompts are registered models here: use 'registered_model'"),
    (
        &["workspace"],
        "this server has no workspaces: an administrator is made by users/update-admin, and a member of a team by `bottega teams add`",
    ),
    (
        &[
            "scorer",
            "scorer_version",
            "gateway_secret",
            "gateway_endpoint",
            "gateway_model_definition",
            "mcp_server",
            "mcp_server_version",
        ],
        "this server has none",
    ),
];

impl Place {
    /// What a type and a pattern mean.
    pub fn new(resource_type: &str, pattern: &str) -> Result<Self, Refusal> {
        match resource_type {
            EXPERIMENT if pattern == "*" => Ok(Self { kind: Kind::Experiment, one: None }),
            EXPERIMENT => Self::experiment(pattern),
            MODEL if pattern == "*" => Ok(Self { kind: Kind::Model, one: None }),
            MODEL => Self::model(pattern),
            other => Err(no_type(other)),
        }
    }

    /// One experiment.
    pub fn experiment(id: &str) -> Result<Self, Refusal> {
        let one = Some(experiment_id(id)?.to_string());
        Ok(Self { kind: Kind::Experiment, one })
    }

    /// One model.
    pub fn model(name: &str) -> Result<Self, Refusal> {
        let name: ModelName = name.parse()?;
        Ok(Self { kind: Kind::Model, one: Some(name.to_string()) })
    }

    /// Where a grant is; absent where MLflow has no word for it.
    pub fn of(resource: &str, kind: Option<Kind>) -> Option<Self> {
        match (resource.parse().ok()?, kind) {
            (Resource::Experiment(id), None) => {
                Some(Self { kind: Kind::Experiment, one: Some(id) })
            }
            (Resource::Model(name), None) => Some(Self { kind: Kind::Model, one: Some(name) }),
            (Resource::Platform, Some(kind @ (Kind::Experiment | Kind::Model))) => {
                Some(Self { kind, one: None })
            }
            _ => None,
        }
    }

    /// What a grant for it is on.
    pub fn resource(&self) -> Resource {
        match (&self.one, self.kind) {
            (Some(id), Kind::Experiment) => Resource::Experiment(id.clone()),
            (Some(name), _) => Resource::Model(name.clone()),
            (None, _) => Resource::Platform,
        }
    }

    /// The kind that a grant for it is for alone, where it is for all of a kind.
    pub fn kind(&self) -> Option<Kind> {
        self.one.is_none().then_some(self.kind)
    }

    /// What decisions ask about it.
    pub fn on<'a>(&self, resource: &'a Resource) -> auth::On<'a> {
        match self.one {
            Some(_) => auth::On::One(resource),
            None => auth::On::Any(self.kind),
        }
    }

    /// MLflow's `resource_type`.
    pub const fn resource_type(&self) -> &'static str {
        if matches!(self.kind, Kind::Experiment) { EXPERIMENT } else { MODEL }
    }

    /// MLflow's `resource_pattern`.
    pub fn pattern(&self) -> &str {
        self.one.as_deref().unwrap_or("*")
    }

    /// A refusal, in MLflow's words where the thing is not there.
    pub fn told(&self, problem: Problem) -> Refusal {
        let is_model = problem.field.as_deref() == Some("model");
        let refusal = Refusal::from(problem);
        if is_model && refusal.code == Code::ResourceDoesNotExist {
            let message = format!("Registered Model with name={} not found", self.pattern());
            return Refusal { message, ..refusal };
        }
        refusal
    }
}

fn no_type(given: &str) -> Refusal {
    let shown: String = given.chars().take(100).collect();
    let known = OTHERS.iter().find(|(types, _)| types.contains(&given));
    Refusal::invalid(match known {
        Some((_, why)) => format!("resource_type '{shown}' is not supported: {why}"),
        None => format!(
            "Invalid resource type '{shown}'. Valid resource types are: ('{EXPERIMENT}', '{MODEL}')"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_thing_or_all_of_a_kind_and_is_read_back_from_a_grant() {
        for (resource_type, pattern, resource) in [
            ("experiment", "0", "experiment:0"),
            ("experiment", "*", "*"),
            ("registered_model", "fraud", "model:fraud"),
            ("registered_model", "*", "*"),
        ] {
            let place = Place::new(resource_type, pattern).unwrap();
            assert_eq!(place.resource().to_string(), resource);
            assert_eq!((place.resource_type(), place.pattern()), (resource_type, pattern));
            assert_eq!(Place::of(resource, place.kind()), Some(place));
        }
        for (resource, kind) in [
            ("*", None),
            ("team:risk", Some(Kind::Model)),
            ("*", Some(Kind::Endpoint)),
            ("endpoint:fraud", None),
        ] {
            assert_eq!(Place::of(resource, kind), None, "{resource}");
        }
    }

    #[test]
    fn what_has_no_permissions_of_its_own_is_refused_with_what_to_use() {
        for (given, said) in [
            ("run", "use 'experiment'"),
            ("prompt", "use 'registered_model'"),
            ("workspace", "no workspaces"),
            ("gateway_secret", "has none"),
            ("nonsense", "Valid resource types are: ('experiment', 'registered_model')"),
        ] {
            let refusal = Place::new(given, "*").unwrap_err();
            assert_eq!(refusal.code, Code::InvalidParameterValue);
            assert!(refusal.message.contains(said), "{}", refusal.message);
        }
        assert_eq!(Place::new("experiment", "x").unwrap_err().code, Code::InvalidParameterValue);
    }
}
