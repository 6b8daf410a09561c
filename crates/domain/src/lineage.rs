//! Where things come from and what they lead to: datasets, runs, logged models, versions, aliases and
//! stages, endpoints, and what joins them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    AliasName, EndpointId, ModelId, Problem, Resource, Stage, VersionId,
    tracking::{ExperimentId, LoggedModelId},
    version::words,
};

words! {
    /// What a node of the graph is.
    Kind, "kind" {
        /// Data that a run read or a version was trained on.
        Dataset = "dataset",
        /// A run.
        Run = "run",
        /// A logged model.
        LoggedModel = "logged_model",
        /// A version of a model.
        Version = "version",
        /// An alias of a model.
        Alias = "alias",
        /// A stage of a model with versions in it.
        Stage = "stage",
        /// An endpoint.
        Endpoint = "endpoint",
    }
}

words! {
    /// How one thing leads to another.
    Relation, "relation" {
        /// The run read the dataset.
        Input = "input",
        /// The version was trained on the dataset, as its author says.
        TrainedOn = "trained_on",
        /// The run made it.
        Produced = "produced",
        /// The run loaded the logged model.
        Loaded = "loaded",
        /// The version is the logged model, registered.
        Registered = "registered",
        /// The version is a copy of the other.
        Copied = "copied",
        /// The alias points to the version.
        Named = "named",
        /// The version is in the stage.
        Staged = "staged",
        /// The endpoint follows the alias, the stage or the model.
        Followed = "followed",
        /// The endpoint is pinned to the version.
        Pinned = "pinned",
        /// The endpoint's live release serves the version.
        Live = "live",
        /// The release that the endpoint is being brought to serves the version.
        Next = "next",
        /// An earlier release of the endpoint served the version, and can be gone back to.
        Past = "past",
    }
}

/// Which way the graph is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To where it comes from.
    Up,
    /// To what it leads to.
    Down,
}

/// What a node is known by, whatever it is called today.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// Its name, absent where only the digest was told, and its digest.
    Dataset(Option<String>, String),
    /// As versions name it: a run of another server has an id of another form.
    Run(String),
    /// A logged model.
    LoggedModel(LoggedModelId),
    /// A version.
    Version(VersionId),
    /// An alias of a model.
    Alias(ModelId, AliasName),
    /// A stage of a model.
    Stage(ModelId, Stage),
    /// An endpoint.
    Endpoint(EndpointId),
}

/// A step from what was first to what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Link {
    /// What was first.
    pub from: Key,
    /// What came of it.
    pub to: Key,
    /// How.
    pub relation: Relation,
    /// What the run used the dataset for.
    pub context: Option<String>,
    /// The release that serves the version.
    pub release: Option<i32>,
}

impl Link {
    /// The end that is reached in this direction.
    #[must_use]
    pub const fn end(&self, direction: Direction) -> &Key {
        match direction {
            Direction::Up => &self.from,
            Direction::Down => &self.to,
        }
    }
}

/// A thing as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its id on the wire: a run's id, `fraud/3`, `fraud@champion`, `fraud.dev`.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// Whether it is there: what was deleted, or never was here, is only known by its id.
    pub present: bool,
    /// The experiment that it belongs to.
    pub experiment: Option<ExperimentId>,
    /// A run's, a logged model's or a version's status.
    pub status: Option<String>,
    /// A dataset's or a version's digest.
    pub digest: Option<String>,
    /// Whoever may view one of these may know of it; everybody if there is none.
    pub homes: Vec<Resource>,
}

impl Node {
    /// What no other node of a graph is called: `version:fraud/3`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}", self.kind, self.key)
    }
}

/// A step between two nodes, by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// What was first.
    pub from: String,
    /// What came of it.
    pub to: String,
    /// How.
    pub relation: Relation,
    /// What the run used the dataset for.
    pub context: Option<String>,
    /// The release that serves the version.
    pub release: Option<i32>,
}

/// All that something comes from, and all that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The id of the node that was asked about.
    pub root: String,
    /// The nodes: the root first, then in the order in which they were reached.
    pub nodes: Vec<Node>,
    /// What joins them.
    pub edges: Vec<Edge>,
    /// Whether there is more than was asked for or than one answer holds.
    pub truncated: bool,
}

/// Something that would break, or lose its origin, if another thing were deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// What it is.
    pub kind: Kind,
    /// Its id on the wire: `champion`, `fraud.dev`, `fraud/3`, a run's id.
    pub key: String,
    /// How it depends.
    pub relation: Relation,
    /// The newest release by which it does.
    pub release: Option<i32>,
    /// Whether it stands against the deletion.
    pub blocks: bool,
    /// Whoever may view this may know of it.
    pub home: Resource,
}

impl fmt::Display for Dependent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str().replace('_', " "), self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_from_those_of_other_kinds_by_its_id() {
        let node = |kind| Node {
            kind,
            key: "fraud".to_owned(),
            name: "fraud".to_owned(),
            present: true,
            experiment: None,
            status: None,
            digest: None,
            homes: Vec::new(),
        };
        assert_eq!(node(Kind::Endpoint).id(), "endpoint:fraud");
        assert_ne!(node(Kind::Endpoint).id(), node(Kind::Run).id());
    }

    #[test]
    fn a_link_ends_where_it_is_walked_to() {
        let (from, to) = (Key::Run("a".to_owned()), Key::Version(VersionId::new()));
        let relation = Relation::Produced;
        let link =
            Link { from: from.clone(), to: to.clone(), relation, context: None, release: None };
        assert_eq!((link.end(Direction::Up), link.end(Direction::Down)), (&from, &to));
    }
}
