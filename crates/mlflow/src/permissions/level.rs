//! MLflow's levels, and the grants that say them.

use auth::{Rights, standing::Standing};
use domain::{
    Action,
    access::{Effect, Role},
};

/// A level of MLflow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Sees it.
    Read,
    /// Calls it as well.
    Use,
    /// Changes it as well.
    Edit,
    /// Deletes it, moves its aliases and lets others at it as well.
    Manage,
    /// Does not even see it, whatever else gives that.
    Deny,
}

/// What each level must be given in full; a level is told only where nothing of it is missing.
const POSITIVE: [(Level, &[Action]); 4] = [
    (
        Level::Manage,
        &[
            Action::View,
            Action::Invoke,
            Action::Register,
            Action::Edit,
            Action::Promote,
            Action::Delete,
            Action::Administer,
        ],
    ),
    (Level::Edit, &[Action::View, Action::Invoke, Action::Register, Action::Edit]),
    (Level::Use, &[Action::View, Action::Invoke]),
    (Level::Read, &[Action::View]),
];

impl Level {
    /// Reads a level; `NO_PERMISSIONS` is MLflow 2's word for what denies.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "READ" => Self::Read,
            "USE" => Self::Use,
            "EDIT" => Self::Edit,
            "MANAGE" => Self::Manage,
            "DENY" | "NO_PERMISSIONS" => Self::Deny,
            _ => return None,
        })
    }

    /// As MLflow 3 writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Use => "USE",
            Self::Edit => "EDIT",
            Self::Manage => "MANAGE",
            Self::Deny => "DENY",
        }
    }

    /// As MLflow 2 writes it, which knows no `USE`.
    pub const fn in_second(self) -> &'static str {
        match self {
            Self::Read | Self::Use => "READ",
            Self::Edit => "EDIT",
            Self::Manage => "MANAGE",
            Self::Deny => "NO_PERMISSIONS",
        }
    }

    /// The one grant that says it.
    pub const fn grant(self) -> (Effect, Role) {
        match self {
            Self::Read => (Effect::Allow, Role::Viewer),
            Self::Use => (Effect::Allow, Role::Consumer),
            Self::Edit => (Effect::Allow, Role::Contributor),
            Self::Manage => (Effect::Allow, Role::Administrator),
            Self::Deny => (Effect::Deny, Role::Administrator),
        }
    }

    /// The highest level that is given whole; absent where not even the lowest is.
    pub fn given(standing: &Standing) -> Option<Self> {
        if standing.denied {
            return Some(Self::Deny);
        }
        highest(|actions| standing.covers(actions))
    }

    /// The highest level that somebody may whole.
    pub fn held(rights: &Rights) -> Option<Self> {
        if rights.denied {
            return Some(Self::Deny);
        }
        highest(|actions| actions.iter().all(|action| rights.allowed.contains(action)))
    }

    /// Whether it lets one call it: what MLflow answers as `allowed`.
    pub const fn is_use(self) -> bool {
        matches!(self, Self::Use | Self::Edit | Self::Manage)
    }
}

fn highest(covers: impl Fn(&[Action]) -> bool) -> Option<Level> {
    POSITIVE.iter().find(|(_, actions)| covers(actions)).map(|(level, _)| *level)
}

#[cfg(test)]
mod tests {
    use auth::standing::standings;
    use domain::{
        GrantId, ModelId, SubjectId, Timestamp,
        access::{Conditions, Grant, Place, Privilege, Subject, SubjectKind},
    };
    use store::grants::Given;

    use super::*;

    fn given(effect: Effect, privilege: &str, conditions: Conditions) -> Given {
        let subject = SubjectId::new();
        let (privilege, place) = (privilege.parse().unwrap(), Place::Model(ModelId::new()));
        let id = GrantId::new();
        Given {
            grant: Grant { id, subject, effect, privilege, place, conditions },
            number: 7,
            subject: Subject { kind: SubjectKind::User, name: "ana".to_owned() },
            resource: "model:fraud".to_owned(),
            reason: None,
            created_by: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn level(grants: &[(Effect, &str)]) -> Option<Level> {
        let given: Vec<_> = grants
            .iter()
            .map(|(effect, privilege)| given(*effect, privilege, Conditions::default()))
            .collect();
        standings(&given).values().next().and_then(Level::given)
    }

    #[test]
    fn each_level_is_said_by_one_grant_and_read_back_from_it() {
        for level in [Level::Read, Level::Use, Level::Edit, Level::Manage, Level::Deny] {
            let (effect, role) = level.grant();
            let written = Privilege::Role(role).to_string();
            assert_eq!(super::tests::level(&[(effect, &written)]), Some(level));
            assert_eq!(Level::parse(level.as_str()), Some(level));
        }
        assert_eq!(Level::parse(Level::Deny.in_second()), Some(Level::Deny));
        assert_eq!(Level::parse(Level::Use.in_second()), Some(Level::Read));
        assert_eq!(Level::parse("read"), None);
    }

    #[test]
    fn what_no_level_says_is_told_as_the_next_lower_one() {
        use Effect::{Allow, Deny};
        for (grants, expected) in [
            (&[(Allow, "role:data-scientist")][..], Some(Level::Edit)),
            (&[(Allow, "role:operator")], Some(Level::Use)),
            (&[(Allow, "role:auditor")], Some(Level::Read)),
            (&[(Allow, "promote")], None),
            (&[(Allow, "invoke"), (Allow, "edit")], None),
            (&[(Allow, "view"), (Allow, "invoke")], Some(Level::Use)),
            (&[(Allow, "role:administrator"), (Deny, "promote")], Some(Level::Edit)),
            (&[(Allow, "role:administrator"), (Deny, "invoke")], Some(Level::Read)),
            (&[(Allow, "role:administrator"), (Deny, "view")], Some(Level::Deny)),
            (&[(Deny, "promote")], None),
        ] {
            assert_eq!(level(grants), expected, "{grants:?}");
        }
        let until = Conditions { expires_at: Some(Timestamp::MAX_UTC), ..Conditions::default() };
        let given = given(Effect::Allow, "role:viewer", until);
        assert!(standings(&[given]).is_empty());
    }
}
