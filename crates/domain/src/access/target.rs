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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Which thing; absent for one that is to be made.
    pub place: Option<Place>,
    /// The team that owns it, or would.
    pub team: Option<SubjectId>,
    /// An endpoint's environment.
    pub env: Option<EnvironmentName>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What else a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The alias that is to be moved.
    pub alias: Option<AliasName>,
    /// Now.
    pub now: Timestamp,
}
