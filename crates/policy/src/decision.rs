//! One decision: what Cedar says of the slice, and how long that stays true.

use std::{fmt, sync::LazyLock};

use cedar_policy::{AuthorizationError, Authorizer, Effect, PolicyId, PolicySet};
use chrono::TimeDelta;
use domain::{
    Action, GrantId, Timestamp,
    access::{self, Circumstances, Principal, Privilege, Role, Target},
};

use crate::{
    custom::Custom,
    entities,
    grants::{self, Held},
};

static AUTHORIZER: LazyLock<Authorizer> = LazyLock::new(Authorizer::new);

/// How long a decision holds that a policy with a word about the time had part in.
const TIMED: TimeDelta = TimeDelta::seconds(1);

/// What is decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) action: Action,
    pub(crate) target: &'a Target,
    pub(crate) when: &'a Circumstances,
}

/// What had part in a decision. Written `role:viewer`, `grant:ID`, `policy:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyRef {
    /// A grant.
    Grant(GrantId),
    /// The role that a grant gives.
    Role(Role),
    /// A policy that an administrator wrote.
    Policy(String),
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(id) => write!(f, "grant:{id}"),
            Self::Role(role) => write!(f, "role:{}", role.as_str()),
            Self::Policy(name) => write!(f, "policy:{name}"),
        }
    }
}

/// A policy that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which; absent where the question itself could not be put.
    pub policy: Option<PolicyRef>,
    /// Why, for the log.
    pub message: String,
}

/// What was decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether they may.
    pub allowed: bool,
    /// What decided: all that allow it, or all that forbid it. Empty where nothing gives it.
    pub policies: Vec<PolicyRef>,
    /// What could not be evaluated. A `permit` among them gives nothing, a `forbid` forbids.
    pub failures: Vec<Failure>,
    /// Until when the answer is good with the same policies and facts; absent: no time is in it.
    pub valid_until: Option<Timestamp>,
}

impl Decision {
    fn refused(failures: Vec<Failure>) -> Self {
        Self { allowed: false, policies: Vec::new(), failures, valid_until: None }
    }
}

/// Asks Cedar, with the grants of `slice` and all custom policies that speak of the action.
pub(crate) fn decide(slice: &[&Held], custom: &Custom, question: &Question<'_>) -> Decision {
    let (base, is_timed) = custom.on(question.action);
    decide_on(slice, custom, (base, is_timed), question)
}

/// As [`decide`], with these of the custom policies.
pub(crate) fn decide_on(
    slice: &[&Held],
    custom: &Custom,
    (base, is_timed): (&PolicySet, bool),
    question: &Question<'_>,
) -> Decision {
    if slice.is_empty() && base.is_empty() {
        return Decision::refused(Vec::new());
    }
    let now = question.when.now;
    let turns = slice.iter().filter_map(|held| grants::turns_at(&held.grant.conditions, now));
    let valid_until = turns.chain(is_timed.then_some(now + TIMED)).min();
    let decision = ask(slice, custom, base, question);
    let decision = decision.unwrap_or_else(|failure| Decision::refused(vec![failure]));
    Decision { valid_until, ..decision }
}

fn ask(
    slice: &[&Held],
    custom: &Custom,
    base: &PolicySet,
    question: &Question<'_>,
) -> Result<Decision, Failure> {
    let mut set = base.clone();
    for held in slice {
        let fail = |message: String| {
            let policy = Some(PolicyRef::Grant(held.grant.id));
            Failure { policy, message }
        };
        let policy = held.policy(question.who).map_err(|error| fail(error.to_owned()))?;
        set.add(policy.clone()).map_err(|error| fail(error.to_string()))?;
    }
    let (request, entities) =
        entities::request(question).map_err(|message| Failure { policy: None, message })?;
    let response = AUTHORIZER.is_authorized(&request, &set, &entities);

    let references = |id: &PolicyId| references(id, slice, custom);
    let mut failures = Vec::new();
    let mut failed_forbids = Vec::new();
    for error in response.diagnostics().errors() {
        let AuthorizationError::PolicyEvaluationError(error) = error;
        let found = references(error.policy_id());
        if set.policy(error.policy_id()).is_none_or(|policy| policy.effect() == Effect::Forbid) {
            failed_forbids.extend(found.clone());
        }
        let message = error.to_string();
        failures.push(Failure { policy: found.into_iter().next(), message });
    }
    let allowed = response.decision() == cedar_policy::Decision::Allow;
    let mut policies: Vec<_> = response.diagnostics().reason().flat_map(references).collect();
    if allowed && !failed_forbids.is_empty() {
        policies.clear();
    }
    let allowed = allowed && failed_forbids.is_empty();
    policies.extend(failed_forbids);
    policies.sort_unstable();
    policies.dedup();
    Ok(Decision { allowed, policies, failures, valid_until: None })
}

/// What a policy of the set is: a grant with the role that it gives, or a custom one.
fn references(id: &PolicyId, slice: &[&Held], custom: &Custom) -> Vec<PolicyRef> {
    if let Some(held) = slice.iter().find(|held| held.id() == *id) {
        return of_grant(&held.grant);
    }
    custom.name(id).map(|name| PolicyRef::Policy(name.to_owned())).into_iter().collect()
}

/// A grant, and the role that it gives.
fn of_grant(grant: &access::Grant) -> Vec<PolicyRef> {
    let role = match grant.privilege {
        Privilege::Role(role) => Some(PolicyRef::Role(role)),
        Privilege::Action(_) => None,
    };
    std::iter::once(PolicyRef::Grant(grant.id)).chain(role).collect()
}
