//! What grants mean, in as few words as possible and without Cedar.

use domain::{
    Action,
    access::{Circumstances, Effect, Grant, Kind, Place, Principal, Privilege, Role, Target},
};

/// Whether some grant allows it and none denies it.
pub(super) fn allows(
    grants: &[Grant],
    who: &Principal,
    action: Action,
    target: &Target,
    when: &Circumstances,
) -> bool {
    let some = |effect| {
        let mut grants = grants.iter().filter(|grant| grant.effect == effect);
        grants.any(|grant| holds(grant, who, action, target, when))
    };
    some(Effect::Allow) && !some(Effect::Deny)
}

pub(super) fn holds(
    grant: &Grant,
    who: &Principal,
    action: Action,
    target: &Target,
    when: &Circumstances,
) -> bool {
    let conditions = &grant.conditions;
    let is_theirs = grant.subject == who.id || who.teams.contains(&grant.subject);
    let is_asked = match grant.privilege {
        Privilege::Action(given) => given == action,
        Privilege::Role(role) => of(role).contains(&action),
    };
    let is_here = match grant.place {
        Place::Everything => true,
        Place::Team(team) => {
            target.place == Some(Place::Team(team))
                || (target.team == Some(team)
                    && !matches!(target.kind, Kind::Platform | Kind::Team))
        }
        Place::Model(_) | Place::Endpoint(_) | Place::Experiment(_) => {
            target.place == Some(grant.place)
        }
    };
    let kind = conditions.kind.is_none_or(|kind| kind == target.kind);
    let env = conditions.env.as_ref().is_none_or(|env| target.env.as_ref() == Some(env));
    let alias = conditions
        .alias
        .as_ref()
        .is_none_or(|alias| action == Action::Promote && when.alias.as_ref() == Some(alias));
    let tag = conditions.tag.as_ref().is_none_or(|(key, value)| {
        target.tags.get(key.as_str()).map(String::as_str) == Some(value.as_str())
    });
    let now = when.now.timestamp_millis();
    let begun = conditions.not_before.is_none_or(|at| now >= at.timestamp_millis());
    let lasts = conditions.expires_at.is_none_or(|at| now < at.timestamp_millis());
    is_theirs && is_asked && is_here && kind && env && alias && tag && begun && lasts
}

/// Said a second time here, so that a slip in a role's file is seen.
fn of(role: Role) -> Vec<Action> {
    use Action::{Audit, Configure, Delete, Deploy, Edit, Invoke, Promote, Register, Shift, View};
    match role {
        Role::Viewer => vec![View],
        Role::Consumer => vec![View, Invoke],
        Role::Contributor => vec![View, Register, Edit, Invoke],
        Role::DataScientist => {
            vec![View, Register, Edit, Promote, Deploy, Configure, Shift, Invoke, Delete]
        }
        Role::Operator => vec![View, Deploy, Configure, Shift, Invoke],
        Role::Auditor => vec![View, Audit],
        Role::Administrator => Action::ALL.to_vec(),
    }
}
