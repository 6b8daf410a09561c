//! What a token may be used for.

use std::{fmt, str::FromStr};

use crate::{Action, Problem, Resource};

/// One thing that a token may be used for. It restricts what its holder may do and never gives.
///
/// Written `ACTION`, or `ACTION:RESOURCE` as in `invoke:endpoint:fraud` and `register:team:risk`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Doing what.
    pub action: Action,
    /// To what; absent: to anything. A team stands for all that it owns.
    pub on: Option<Resource>,
}

impl Scope {
    /// Whether doing `action` to `resource`, which that team owns, is within this.
    #[must_use]
    pub fn covers(&self, action: Action, resource: &Resource, team: Option<&str>) -> bool {
        self.action == action
            && self.on.as_ref().is_none_or(|on| match on {
                Resource::Team(name) => on == resource || team == Some(name),
                Resource::Platform
                | Resource::Model(_)
                | Resource::Endpoint(_)
                | Resource::Experiment(_) => on == resource,
            })
    }

    /// Whether this is no wider than `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.action == other.action && (other.on.is_none() || self.on == other.on)
    }
}

impl FromStr for Scope {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let (action, on) = match text.split_once(':') {
            None => (text, None),
            Some((action, on)) => (action, Some(on)),
        };
        let action = Action::parse(action).ok_or_else(|| {
            let actions = Action::ALL.map(Action::as_str).join(", ");
            let message = format!("`{text}`: expected ACTION or ACTION:RESOURCE, of {actions}");
            Problem::invalid("scopes", message)
        })?;
        let on = match on {
            None | Some("*") => None,
            Some(on) => Some(on.parse().map_err(|_: Problem| {
                let message = format!(
                    "`{text}`: expected model:NAME, endpoint:NAME, experiment:ID or team:NAME after the action"
                );
                Problem::invalid("scopes", message)
            })?),
        };
        Ok(Self { action, on })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.on {
            None => f.write_str(self.action.as_str()),
            Some(on) => write!(f, "{}:{on}", self.action),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_scope_is_an_action_anywhere_or_on_one_thing() {
        for text in ["invoke", "invoke:endpoint:fraud.dev", "register:team:risk", "view:model:a@b"]
        {
            assert_eq!(scope(text).to_string(), text);
        }
        assert_eq!(scope("invoke:*"), scope("invoke"));
        for wrong in ["", "run", "invoke:", "invoke:fraud", "invoke:endpoint:", "role:viewer", "*"]
        {
            let refused = wrong.parse::<Scope>().unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("scopes"), "{wrong}");
        }
    }

    #[test]
    fn a_scope_covers_its_action_on_its_thing_alone() {
        let (fraud, other) = (Resource::Endpoint("fraud".into()), Resource::Endpoint("x".into()));
        assert!(scope("invoke").covers(Action::Invoke, &fraud, None));
        assert!(!scope("invoke").covers(Action::View, &fraud, None));
        assert!(scope("invoke:endpoint:fraud").covers(Action::Invoke, &fraud, None));
        assert!(!scope("invoke:endpoint:fraud").covers(Action::Invoke, &other, None));
        assert!(scope("invoke:team:risk").covers(Action::Invoke, &fraud, Some("risk")));
        assert!(!scope("invoke:team:risk").covers(Action::Invoke, &fraud, Some("other")));
        assert!(!scope("invoke:team:risk").covers(Action::Invoke, &fraud, None));
    }

    #[test]
    fn a_narrower_scope_is_within_a_wider_one() {
        assert!(scope("invoke:endpoint:a").is_within(&scope("invoke")));
        assert!(scope("invoke").is_within(&scope("invoke")));
        assert!(!scope("invoke").is_within(&scope("invoke:endpoint:a")));
        assert!(!scope("view").is_within(&scope("invoke")));
    }
}
