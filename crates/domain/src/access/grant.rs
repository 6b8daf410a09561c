//! What a subject is given.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Action, AliasName, EnvironmentName, GrantId, Problem, SubjectId, TagKey, TagValue, Timestamp,
    access::{Kind, Place},
};

/// A named set of actions. What each allows is written down as a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees models, endpoints, experiments and metrics.
    Viewer,
    /// Sees, and asks for predictions.
    Consumer,
    /// Sees, calls, adds and changes; moves nothing that serves, deletes nothing.
    Contributor,
    /// Makes, changes, promotes, deploys, calls.
    DataScientist,
    /// Keeps what is deployed running.
    Operator,
    /// Reads everything, the audit trail too, and changes nothing.
    Auditor,
    /// May everything.
    Administrator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::Viewer,
        Self::Consumer,
        Self::Contributor,
        Self::DataScientist,
        Self::Operator,
        Self::Auditor,
        Self::Administrator,
    ];

    /// As it is written in grants.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Consumer => "consumer",
            Self::Contributor => "contributor",
            Self::DataScientist => "data-scientist",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
        }
    }

    /// Reads what [`Role::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// One action, or all of a role. Written `promote` or `role:operator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// One action.
    Action(Action),
    /// All that the role's policy says.
    Role(Role),
}

impl FromStr for Privilege {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let found = match text.strip_prefix("role:") {
            Some(role) => Role::parse(role).map(Self::Role),
            None => Action::parse(text).map(Self::Action),
        };
        found.ok_or_else(|| {
            let actions = Action::ALL.map(Action::as_str).join(", ");
            let roles = Role::ALL.map(Role::as_str).join(", role:");
            let message = format!("`{text}` is neither an action ({actions}) nor role:{roles}");
            Problem::invalid("action", message)
        })
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(action) => f.write_str(action.as_str()),
            Self::Role(role) => write!(f, "role:{}", role.as_str()),
        }
    }
}

/// Whether a grant gives or takes away. What is denied stays denied, whatever else allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Gives.
    Allow,
    /// Takes away.
    Deny,
}

impl Effect {
    /// As it is written in rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// When a grant holds; what is absent does not restrict it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// Only for things of this kind: models, endpoints or experiments.
    pub kind: Option<Kind>,
    /// Only in this environment: for endpoints, and what is done to them.
    pub env: Option<EnvironmentName>,
    /// Only for this alias: for `promote`.
    pub alias: Option<AliasName>,
    /// Only for what carries this tag.
    pub tag: Option<(TagKey, TagValue)>,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// Before.
    pub expires_at: Option<Timestamp>,
}

/// A privilege that a subject has, or is denied, on a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Whose. A team's grants are each member's.
    pub subject: SubjectId,
    /// Whether it gives.
    pub effect: Effect,
    /// What.
    pub privilege: Privilege,
    /// On what.
    pub place: Place,
    /// When.
    pub conditions: Conditions,
}
