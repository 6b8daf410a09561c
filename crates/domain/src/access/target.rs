//! What a decision looks at besides the grants: who asks, for what, in which circumstances.

use std::collections::BTreeMap;

use crate::{
    Actor, AliasName, EndpointId, EnvironmentName, ModelId, SubjectId, Timestamp,
    tracking::ExperimentId,
};

/// What a grant is on, by id, so that a rename carries it along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The platform and all that is in it.
    Everything,
    /// A team and all that it owns.
    Team(SubjectId),
    /// One model with its versions.
    Model(ModelId),
    /// One endpoint with its releases.
    Endpoint(EndpointId),
    /// One experiment with its runs, logged models and files.
    Experiment(ExperimentId),
}

impl Place {
    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Everything => Kind::Platform,
            Self::Team(_) => Kind::Team,
            Self::Model(_) => Kind::Model,
            Self::Endpoint(_) => Kind::Endpoint,
            Self::Experiment(_) => Kind::Experiment,
        }
    }
}

/// The kinds of things that may be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The platform, and what belongs to nobody in particular.
    #[default]
    Platform,
    /// A team.
    Team,
    /// A model.
    Model,
    /// An endpoint.
    Endpoint,
    /// An experiment.
    Experiment,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Platform, Self::Team, Self::Model, Self::Endpoint, Self::Experiment];

    /// Those that a grant can be for alone.
    pub const OF_GRANTS: [Self; 3] = [Self::Model, Self::Endpoint, Self::Experiment];

    /// As grants are written and the audit trail stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Team => "team",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Experiment => "experiment",
        }
    }

    /// Reads the kind that a grant is for.
    #[must_use]
    pub fn parse_of_grant(text: &str) -> Option<Self> {
        Self::OF_GRANTS.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Their id.
    pub id: SubjectId,
    /// Their name.
    pub actor: Actor,
    /// The teams that they are members of.
    pub teams: Vec<SubjectId>,
}

/// What is asked for, with what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Target {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Which thing; absent for one that is to be made.
    pub place: Option<Place>,
    /// What it is called, or will be: a model, an endpoint, an experiment.
    pub name: Option<String>,
    /// The team that owns it, or would.
    pub team: Option<SubjectId>,
    /// An endpoint's environment.
    pub env: Option<EnvironmentName>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Target {
    /// A thing that is there.
    #[must_use]
    pub fn of(place: Place) -> Self {
        Self { kind: place.kind(), place: Some(place), ..Self::default() }
    }

    /// A thing that is to be made.
    #[must_use]
    pub fn new_of(kind: Kind) -> Self {
        Self { kind, ..Self::default() }
    }
}

/// What else a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The alias that is to be moved.
    pub alias: Option<AliasName>,
    /// Now.
    pub now: Timestamp,
}
