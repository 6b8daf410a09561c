//! Why a decision is as it is, and what would have to be granted.

use std::fmt;

use cedar_policy_formatter::{Config, policies_str_to_pretty};
use domain::{
    Action, AliasName, GrantId,
    access::{Circumstances, Effect, Grant, Place, Principal, Subject, Target},
};

use crate::{
    Decision, Policies, PolicyRef, decision,
    decision::Question,
    grants::{self, Held},
    roles,
};

/// How many grants are told that came near.
const NEAR: usize = 10;

/// A decision with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was decided.
    pub decision: Decision,
    /// What decided it, each with its text in Cedar.
    pub policies: Vec<(PolicyRef, String)>,
    /// Grants that would allow it but for what is named, the nearest first; where it is refused.
    pub near: Vec<Near>,
    /// What would have to be done, all of it, so that it is allowed; nothing where it is.
    pub remedies: Vec<Remedy>,
}

/// A grant that does not hold here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// It.
    pub grant: Grant,
    /// What does not fit.
    pub missed: Vec<Missed>,
}

/// What of a grant does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missed {
    /// It is for another kind of thing.
    Kind,
    /// It is for another environment.
    Env,
    /// It is for another alias.
    Alias,
    /// The thing does not carry the tag.
    Tag,
    /// It does not hold yet.
    NotBefore,
    /// It does not hold any more.
    ExpiresAt,
    /// It is on something else.
    Place,
    /// It is somebody else's.
    Subject,
}

impl Missed {
    /// The part of the grant.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Env => "env",
            Self::Alias => "alias",
            Self::Tag => "tag",
            Self::NotBefore => "not_before",
            Self::ExpiresAt => "expires_at",
            Self::Place => "resource",
            Self::Subject => "subject",
        }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "it is for another kind of thing",
            Self::Env => "it is for another environment",
            Self::Alias => "it is for another alias",
            Self::Tag => "it is for what carries another tag",
            Self::NotBefore => "it does not hold yet",
            Self::ExpiresAt => "it has ended",
            Self::Place => "it is on something else",
            Self::Subject => "it is somebody else's",
        })
    }
}

/// One thing to do, so that something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Grant this, the least that does.
    Grant(Action, Place),
    /// Remove a grant that denies it.
    Remove(GrantId),
    /// Change a policy that forbids it.
    Change(String),
}

impl Remedy {
    /// The command, or what to do where there is none. `place` names a place as the command line
    /// does: `model:fraud`, `*`.
    #[must_use]
    pub fn words(&self, subject: &Subject, place: &dyn Fn(Place) -> String) -> String {
        match self {
            Self::Grant(action, on) => {
                format!("bottega grants add {subject} {action} {}", place(*on))
            }
            Self::Remove(grant) => format!("bottega grants remove {grant}"),
            Self::Change(policy) => format!("change or remove the policy `{policy}`"),
        }
    }
}

impl Policies {
    /// Decides as [`Policies::decide`], and says why.
    #[must_use]
    pub fn explain(
        &self,
        who: &Principal,
        action: Action,
        target: &Target,
        when: &Circumstances,
    ) -> Explanation {
        let question = Question { who, action, target, when };
        let decision = self.decide(who, action, target, when);
        let near = if decision.allowed { Vec::new() } else { self.near(&question) };
        Explanation {
            policies: self.texts(&decision, &question),
            near,
            remedies: self.remedies(&decision, &question),
            decision,
        }
    }

    /// What would have to be done, all of it, so that what was refused is allowed. Looks at the
    /// grants of the decision alone, so it is cheap enough for every refusal.
    #[must_use]
    pub fn missing(
        &self,
        who: &Principal,
        action: Action,
        target: &Target,
        when: &Circumstances,
    ) -> Vec<Remedy> {
        let decision = self.decide(who, action, target, when);
        self.remedies(&decision, &Question { who, action, target, when })
    }

    fn remedies(&self, decision: &Decision, question: &Question<'_>) -> Vec<Remedy> {
        if decision.allowed {
            return Vec::new();
        }
        let mut remedies = Vec::new();
        if !self.is_given(question) {
            let places = grants::around(question.target);
            remedies.extend(places.take(1).map(|place| Remedy::Grant(question.action, place)));
        }
        for policy in &decision.policies {
            match policy {
                PolicyRef::Grant(id) => remedies.push(Remedy::Remove(*id)),
                PolicyRef::Policy(name) => remedies.push(Remedy::Change(name.clone())),
                // Its grant is told.
                PolicyRef::Role(_) => {}
            }
        }
        remedies
    }

    /// Whether something allows it, whatever forbids it.
    fn is_given(&self, question: &Question<'_>) -> bool {
        let Question { who, action, target, .. } = *question;
        let slice: Vec<_> = self
            .grants
            .slice(who, action, target)
            .filter(|held| held.grant.effect == Effect::Allow)
            .collect();
        let permits = (&self.custom.permits_on(action), false);
        decision::decide_on(&slice, &self.custom, permits, question).allowed
    }

    fn texts(&self, decision: &Decision, question: &Question<'_>) -> Vec<(PolicyRef, String)> {
        let Question { who, action, target, .. } = *question;
        let of_grant = |id| {
            let held = self.grants.slice(who, action, target).find(|held| held.grant.id == id)?;
            held.policy(who).ok().map(|policy| readable(&policy.to_string()))
        };
        let text = |policy: &PolicyRef| match policy {
            PolicyRef::Grant(id) => of_grant(*id),
            PolicyRef::Role(role) => Some(roles::role_text(*role).to_owned()),
            PolicyRef::Policy(name) => self.custom.text(name).map(str::to_owned),
        };
        let texts = decision.policies.iter().map(|policy| Some((policy.clone(), text(policy)?)));
        texts.flatten().collect()
    }

    /// Grants for the action that are the caller's or on the place, and do not hold.
    fn near(&self, question: &Question<'_>) -> Vec<Near> {
        let subjects: Vec<_> = grants::subjects(question.who).collect();
        let places: Vec<_> = grants::around(question.target).collect();
        let allows = |held: &&Held| {
            held.grant.effect == Effect::Allow
                && grants::covers(held.grant.privilege, question.action)
        };
        let mut near = Vec::new();
        for Held { grant, .. } in self.grants.all().filter(allows) {
            let is_theirs = subjects.contains(&grant.subject);
            let is_here = places.contains(&grant.place);
            let mut missed = unmet(grant, question);
            missed.extend((!is_here).then_some(Missed::Place));
            missed.extend((!is_theirs).then_some(Missed::Subject));
            if (is_theirs || is_here) && !missed.is_empty() {
                near.push(Near { grant: grant.clone(), missed });
            }
        }
        near.sort_by(|one, other| {
            let rank = |near: &Near| (near.missed.len(), near.missed.clone());
            rank(one).cmp(&rank(other)).then(one.grant.id.cmp(&other.grant.id))
        });
        near.truncate(NEAR);
        near
    }
}

/// A grant's policy in lines.
fn readable(text: &str) -> String {
    let width = Config { line_width: 100, indent_width: 4 };
    policies_str_to_pretty(text, &width).unwrap_or_else(|_| text.to_owned())
}

/// The conditions that do not hold.
fn unmet(grant: &Grant, question: &Question<'_>) -> Vec<Missed> {
    let Question { action, target, when, .. } = *question;
    let conditions = &grant.conditions;
    let alias: Option<&AliasName> = when.alias.as_ref().filter(|_| action == Action::Promote);
    let is_endpoint = target.kind == domain::access::Kind::Endpoint;
    let env = target.env.as_ref().filter(|_| is_endpoint);
    let fits = |wanted: bool, missed: Missed| (!wanted).then_some(missed);
    [
        fits(conditions.kind.is_none_or(|kind| kind == target.kind), Missed::Kind),
        fits(conditions.env.is_none() || conditions.env.as_ref() == env, Missed::Env),
        fits(conditions.alias.is_none() || conditions.alias.as_ref() == alias, Missed::Alias),
        fits(conditions.tag.as_ref().is_none_or(|tag| carries(target, tag)), Missed::Tag),
        fits(grants::in_time(conditions.not_before, None, when.now), Missed::NotBefore),
        fits(grants::in_time(None, conditions.expires_at, when.now), Missed::ExpiresAt),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn carries(target: &Target, (key, value): &(domain::TagKey, domain::TagValue)) -> bool {
    target.tags.get(key.as_str()).is_some_and(|found| found == value.as_str())
}
