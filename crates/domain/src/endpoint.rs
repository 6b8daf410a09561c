//! Endpoints, releases and replicas, as states.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AliasName, ModelName, Problem, Stage, VersionId, version::words};

/// What moves from version to version, and takes the endpoints that follow it along.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pointer {
    /// The version that an alias points to.
    Alias(AliasName),
    /// The newest version in a stage.
    Stage(Stage),
}

impl fmt::Display for Pointer {
    /// As it stands after the model's name: `@champion`, `/Production`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => write!(f, "@{alias}"),
            Self::Stage(stage) => write!(f, "/{stage}"),
        }
    }
}

/// What decides which version an endpoint serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Follows {
    /// The version that an alias points to, whenever it moves.
    Alias(ModelName, AliasName),
    /// The newest version in a stage, whenever another becomes it.
    Stage(ModelName, Stage),
    /// That version, until someone deploys another.
    Pinned(ModelName, i32),
}

impl Follows {
    /// The model that it serves.
    #[must_use]
    pub const fn model(&self) -> &ModelName {
        match self {
            Self::Alias(model, _) | Self::Stage(model, _) | Self::Pinned(model, _) => model,
        }
    }
}

impl fmt::Display for Follows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(model, alias) => write!(f, "{model}@{alias}"),
            Self::Stage(model, stage) => write!(f, "{model}/{stage}"),
            Self::Pinned(model, number) => write!(f, "{model}/{number}"),
        }
    }
}

/// A version and its share of an endpoint's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightedVersion {
    /// The version.
    pub version: VersionId,
    /// Its share in percent; the shares of a release sum to 100.
    pub weight: i32,
}

words! {
    /// How far a release has come.
    ReleaseState, "state" {
        /// Its versions are being loaded; the release before still answers.
        Progressing = "progressing",
        /// It answers, or did until the next one completed.
        Completed = "completed",
        /// Its versions could not be loaded; the release before still answers.
        Failed = "failed",
        /// A newer release came before it completed.
        Aborted = "aborted",
        /// It answered, and an earlier one was put back in its place.
        RolledBack = "rolled_back",
    }
}

impl ReleaseState {
    /// Whether nothing more will happen to it by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Progressing)
    }
}

words! {
    /// How far a replica has come.
    ReplicaState, "state" {
        /// Fetching, loading or warming.
        Starting = "starting",
        /// Warm; it can answer.
        Ready = "ready",
        /// No new requests; those in flight are being finished.
        Draining = "draining",
        /// It could not be loaded; `reason` says why.
        Failed = "failed",
        /// Gone.
        Stopped = "stopped",
    }
}
