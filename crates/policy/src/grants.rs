//! Grants: found by whose and on what, each a Cedar policy.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use cedar_policy::{Policy, PolicyId, pst};
use domain::{
    Action, SubjectId, Timestamp,
    access::{Conditions, Effect, Grant, Place, Principal, Privilege, Target},
};

use crate::{
    entities::{self, names},
    roles,
};

/// A grant and its policy, which is made when a decision first needs it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) grant: Grant,
    /// What the policy is called in a set: short, since sets hash it.
    pub(crate) key: String,
    policy: OnceLock<Result<Policy, String>>,
}

/// All grants.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    held: Vec<Held>,
    by_subject: HashMap<SubjectId, HashMap<Place, Vec<usize>>>,
}

impl Grants {
    pub(crate) fn new(grants: Vec<Grant>) -> Self {
        let mut by_subject: HashMap<_, HashMap<_, Vec<_>>> = HashMap::new();
        let mut held = Vec::with_capacity(grants.len());
        for (number, grant) in grants.into_iter().enumerate() {
            let places = by_subject.entry(grant.subject).or_default();
            places.entry(grant.place).or_default().push(number);
            held.push(Held { grant, key: format!("g{number}"), policy: OnceLock::new() });
        }
        Self { held, by_subject }
    }

    /// The grants that a decision may turn on: those for `action` that `who` or one of their teams
    /// has on the thing, on the team that owns it or on everything.
    pub(crate) fn slice(
        &self,
        who: &Principal,
        action: Action,
        target: &Target,
    ) -> impl Iterator<Item = &Held> {
        let places = around(target);
        self.given(who)
            .flat_map(move |given| places.clone().filter_map(|place| given.get(&place)))
            .flatten()
            .filter_map(|number| self.held.get(*number))
            .filter(move |held| covers(held.grant.privilege, action))
    }

    /// What `who` and their teams have, by place.
    fn given(&self, who: &Principal) -> impl Iterator<Item = &HashMap<Place, Vec<usize>>> {
        subjects(who).filter_map(|subject| self.by_subject.get(&subject))
    }

    /// All that `who` and their teams have.
    pub(crate) fn of(&self, who: &Principal) -> impl Iterator<Item = &Grant> {
        self.given(who)
            .flat_map(HashMap::values)
            .flatten()
            .filter_map(|number| self.held.get(*number))
            .map(|held| &held.grant)
    }

    /// All.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }
}

/// Whose grants count for `who`: theirs and each of their teams'.
pub(crate) fn subjects(who: &Principal) -> impl Iterator<Item = SubjectId> {
    let teams = who.teams.iter().enumerate();
    // Being told twice of a team must not make one grant two.
    let teams = teams.filter(|(at, team)| !who.teams.iter().take(*at).any(|seen| seen == *team));
    std::iter::once(who.id).chain(teams.map(|(_, team)| *team))
}

/// The places that a thing is in, itself first.
pub(crate) fn around(target: &Target) -> impl Iterator<Item = Place> + Clone {
    let itself = target.place.filter(|place| *place != Place::Everything);
    let team = target.team.map(Place::Team).filter(|team| {
        // A team is in no other, and what is the platform's is no team's.
        let kind = target.place.map_or(target.kind, |place| place.kind());
        !matches!(kind, domain::access::Kind::Platform | domain::access::Kind::Team)
            && itself != Some(*team)
    });
    itself.into_iter().chain(team).chain([Place::Everything])
}

/// Whether the privilege is for the action.
pub(crate) fn covers(privilege: Privilege, action: Action) -> bool {
    match privilege {
        Privilege::Action(given) => given == action,
        Privilege::Role(role) => roles::role_actions(role).contains(&action),
    }
}

/// The first later moment at which the time conditions have another answer.
pub(crate) fn turns_at(conditions: &Conditions, now: Timestamp) -> Option<Timestamp> {
    let moments = [conditions.not_before, conditions.expires_at].into_iter().flatten();
    moments.filter_map(in_milliseconds).filter(|at| *at > now).min()
}

impl Held {
    /// Its policy. `who` is the one that the decision is about, and has it.
    pub(crate) fn policy(&self, who: &Principal) -> Result<&Policy, &str> {
        let made = self.policy.get_or_init(|| {
            let account = entities::account_type(who.actor.kind);
            let subject = if self.grant.subject == who.id { account } else { names::TEAM };
            policy(&self.grant, &self.key, subject).map_err(|error| error.to_string())
        });
        made.as_ref().map_err(String::as_str)
    }

    pub(crate) fn id(&self) -> PolicyId {
        PolicyId::new(&self.key)
    }
}

fn uid(type_name: &str, id: &str) -> Result<pst::EntityUID, pst::PstConstructionError> {
    let type_name = pst::EntityType::from_name(pst::Name::unqualified(type_name)?);
    Ok(pst::EntityUID { ty: type_name, eid: id.into() })
}

fn policy(
    grant: &Grant,
    key: &str,
    subject_type: &str,
) -> Result<Policy, pst::PstConstructionError> {
    let effect = match grant.effect {
        Effect::Allow => pst::Effect::Permit,
        Effect::Deny => pst::Effect::Forbid,
    };
    let subject = uid(subject_type, &grant.subject.to_string())?;
    let subject = pst::EntityOrSlot::Entity(subject);
    let principal = if subject_type == names::TEAM {
        pst::PrincipalConstraint::In(subject)
    } else {
        pst::PrincipalConstraint::Eq(subject)
    };
    let action = match grant.privilege {
        Privilege::Action(action) => {
            pst::ActionConstraint::Eq(uid(names::ACTION, action.as_str())?)
        }
        Privilege::Role(role) => roles::template(role).action.clone(),
    };
    let (place_type, place_id) = entities::place(grant.place);
    let place = pst::EntityOrSlot::Entity(uid(place_type, &place_id)?);
    let resource = match grant.conditions.kind {
        Some(kind) => {
            let name = pst::Name::unqualified(entities::kind_type(kind))?;
            pst::ResourceConstraint::IsIn(pst::EntityType::from_name(name), place)
        }
        None => pst::ResourceConstraint::In(place),
    };
    let template = pst::Template::new(key, effect, principal, action, resource)
        .try_with_clauses(clauses(&grant.conditions))?;
    Policy::from_pst(pst::Policy::Static(pst::StaticPolicy::try_from(template)?))
}

/// The conditions, one clause each.
fn clauses(conditions: &Conditions) -> Vec<pst::Clause> {
    let mut clauses = Vec::new();
    if let Some(env) = &conditions.env {
        clauses.push(has_and_is(pst::Var::Resource, "env", env.as_str()));
    }
    if let Some(alias) = &conditions.alias {
        clauses.push(has_and_is(pst::Var::Context, "alias", alias.as_str()));
    }
    if let Some((key, value)) = &conditions.tag {
        let resource = || variable(pst::Var::Resource);
        let has = binary(pst::BinaryOp::HasTag, resource(), string(key.as_str()));
        let tag = binary(pst::BinaryOp::GetTag, resource(), string(key.as_str()));
        let is = binary(pst::BinaryOp::Eq, tag, string(value.as_str()));
        clauses.push(binary(pst::BinaryOp::And, has, is));
    }
    if let Some(at) = conditions.not_before {
        clauses.push(binary(pst::BinaryOp::GreaterEq, now(), datetime(at)));
    }
    if let Some(at) = conditions.expires_at {
        clauses.push(binary(pst::BinaryOp::Less, now(), datetime(at)));
    }
    clauses.into_iter().map(pst::Clause::When).collect()
}

fn has_and_is(variable_of: pst::Var, attribute: &str, value: &str) -> Arc<pst::Expr> {
    let of = variable(variable_of);
    let has =
        pst::Expr::HasAttr { expr: Arc::clone(&of), attrs: (attribute.into(), Vec::new()).into() };
    let attribute = pst::Expr::GetAttr { expr: of, attr: attribute.into() };
    let is = binary(pst::BinaryOp::Eq, Arc::new(attribute), string(value));
    binary(pst::BinaryOp::And, Arc::new(has), is)
}

fn now() -> Arc<pst::Expr> {
    Arc::new(pst::Expr::GetAttr { expr: variable(pst::Var::Context), attr: "now".into() })
}

fn datetime(at: Timestamp) -> Arc<pst::Expr> {
    let expr = string(&entities::moment(at));
    Arc::new(pst::Expr::UnaryOp { op: pst::UnaryOp::Datetime, expr })
}

fn variable(variable: pst::Var) -> Arc<pst::Expr> {
    Arc::new(pst::Expr::Var(variable))
}

fn string(value: &str) -> Arc<pst::Expr> {
    Arc::new(pst::Expr::Literal(pst::Literal::String(value.into())))
}

fn binary(op: pst::BinaryOp, left: Arc<pst::Expr>, right: Arc<pst::Expr>) -> Arc<pst::Expr> {
    Arc::new(pst::Expr::BinaryOp { op, left, right })
}

/// The moment as Cedar counts it.
fn in_milliseconds(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_timestamp_millis(at.timestamp_millis())
}

/// Whether a moment is in a grant's time. Cedar counts in milliseconds, and so does this.
pub(crate) fn in_time(
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let now = now.timestamp_millis();
    not_before.is_none_or(|at| at.timestamp_millis() <= now)
        && expires_at.is_none_or(|at| now < at.timestamp_millis())
}
