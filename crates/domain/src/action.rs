//! What can be done to what: the vocabulary of grants and of the audit trail.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Problem, access::Kind};

/// Everything that may be allowed or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// See that it exists, and read it.
    View,
    /// Make a model, or add a version to one; upload what it is made of. Make an experiment, or log to one.
    Register,
    /// Change descriptions, tags, stages and signatures.
    Edit,
    /// Move an alias.
    Promote,
    /// Make an endpoint or give it a release.
    Deploy,
    /// Change an endpoint's configuration.
    Configure,
    /// Shift traffic between versions.
    Shift,
    /// Ask for a prediction.
    Invoke,
    /// Delete it.
    Delete,
    /// See captured requests and answers.
    ViewData,
    /// Manage the platform.
    Administer,
    /// Read the audit trail.
    Audit,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 12] = [
        Self::View,
        Self::Register,
        Self::Edit,
        Self::Promote,
        Self::Deploy,
        Self::Configure,
        Self::Shift,
        Self::Invoke,
        Self::Delete,
        Self::ViewData,
        Self::Administer,
        Self::Audit,
    ];

    /// Reads what [`Action::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }

    /// As it is written in grants and in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Register => "register",
            Self::Edit => "edit",
            Self::Promote => "promote",
            Self::Deploy => "deploy",
            Self::Configure => "configure",
            Self::Shift => "shift",
            Self::Invoke => "invoke",
            Self::Delete => "delete",
            Self::ViewData => "view-data",
            Self::Administer => "administer",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an action is done to. Written `model:fraud`, `endpoint:fraud.dev`, `experiment:3`, `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The platform as a whole, and what belongs to nobody in particular.
    Platform,
    /// A model, by name.
    Model(String),
    /// An endpoint, by its name on the wire.
    Endpoint(String),
    /// An experiment with its runs, logged models and files, by its id on the wire.
    Experiment(String),
    /// A team with what it owns, by name.
    Team(String),
}

impl Resource {
    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Platform => Kind::Platform,
            Self::Model(_) => Kind::Model,
            Self::Endpoint(_) => Kind::Endpoint,
            Self::Experiment(_) => Kind::Experiment,
            Self::Team(_) => Kind::Team,
        }
    }

    /// The name, `*` for the platform.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Platform => "*",
            Self::Model(name)
            | Self::Endpoint(name)
            | Self::Experiment(name)
            | Self::Team(name) => name,
        }
    }
}

impl Resource {
    /// What is told of one that is not there, or not for the caller to know of.
    #[must_use]
    pub fn absent(&self) -> Problem {
        let kind = self.kind().as_str();
        let problem = Problem::not_found(kind, self.name()).at(kind);
        match self {
            Self::Endpoint(_) => {
                problem.hint("`bottega endpoints list` shows those that there are")
            }
            Self::Model(_) => problem.hint("`bottega models list` shows those that there are"),
            Self::Platform | Self::Experiment(_) | Self::Team(_) => problem,
        }
    }
}

impl FromStr for Resource {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            let message = format!(
                "`{text}`: expected model:NAME, endpoint:NAME, experiment:ID, team:NAME or `*`"
            );
            Problem::invalid("resource", message)
        };
        if text == "*" {
            return Ok(Self::Platform);
        }
        let (kind, name) =
            text.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or_else(wrong)?;
        let name = name.to_owned();
        match kind {
            "model" => Ok(Self::Model(name)),
            "endpoint" => Ok(Self::Endpoint(name)),
            "experiment" => Ok(Self::Experiment(name)),
            "team" => Ok(Self::Team(name)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("*"),
            Self::Model(name) => write!(f, "model:{name}"),
            Self::Endpoint(name) => write!(f, "endpoint:{name}"),
            Self::Experiment(id) => write!(f, "experiment:{id}"),
            Self::Team(name) => write!(f, "team:{name}"),
        }
    }
}
