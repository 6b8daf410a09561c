//! Whoever a grant, a quota or a token may be given to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Actor, ActorKind, Problem};

/// The kind of a [`Subject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A person.
    User,
    /// Users and service accounts together; owns things.
    Team,
    /// A program with an account of its own.
    Service,
    /// Users and service accounts that were granted the same; owns nothing.
    Group,
}

impl SubjectKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::User, Self::Team, Self::Service, Self::Group];

    /// As it is written in rows and references.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::Service => "service",
            Self::Group => "group",
        }
    }

    /// Reads what [`SubjectKind::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A user, a team, a service account or a group by name. Written `user:ana`, `team:fraud`, `service:ci`,
/// `group:auditors`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// What it is called.
    pub name: String,
}

impl FromStr for Subject {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            let message =
                format!("`{text}`: expected user:NAME, team:NAME, service:NAME or group:NAME");
            Problem::invalid("subject", message)
        };
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let kind = SubjectKind::parse(kind).ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// Who acts, as a subject; a part of Bottega itself is none.
impl TryFrom<&Actor> for Subject {
    type Error = ();

    fn try_from(actor: &Actor) -> Result<Self, ()> {
        let kind = match actor.kind {
            ActorKind::User => SubjectKind::User,
            ActorKind::Service => SubjectKind::Service,
            ActorKind::System => return Err(()),
        };
        Ok(Self { kind, name: actor.name.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_says_its_kind() {
        let subject: Subject = "team:fraud:eu".parse().unwrap();
        assert_eq!((subject.kind, subject.name.as_str()), (SubjectKind::Team, "fraud:eu"));
        assert_eq!(subject.to_string(), "team:fraud:eu");
        for wrong in ["ana", "user:", "system:start", "User:ana", ""] {
            assert_eq!(wrong.parse::<Subject>().unwrap_err().field.as_deref(), Some("subject"));
        }
    }
}
