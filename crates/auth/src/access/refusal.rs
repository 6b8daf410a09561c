//! How a refusal is worded.

use domain::{Action, ErrorCode, Problem, Resource, access::Target};
use policy::{Decision, PolicyRef};

use crate::Caller;

/// Whether the caller's token may be used for this.
pub(super) fn scopes_cover(
    caller: &Caller,
    action: Action,
    resource: &Resource,
    team: Option<&str>,
) -> bool {
    let Some(scopes) = &caller.scopes else { return true };
    scopes.iter().any(|scope| scope.covers(action, resource, team))
}

/// A caller whose account is not there any more.
pub(super) fn unknown(caller: &Caller) -> Problem {
    let message = format!("`{}` has no account here any more", caller.actor);
    Problem::new(ErrorCode::Unauthenticated, message)
}

/// What is told to whoever may not. `sees`: whether they may at least know of it.
pub(super) fn refuse(
    caller: &Caller,
    action: Action,
    resource: &Resource,
    target: &Target,
    decision: &Decision,
    sees: bool,
) -> Problem {
    // Names of models are the platform's: whoever may make none is told so, taken or not.
    let makes_model = action == Action::Register && matches!(resource, Resource::Model(_));
    let is_hidden = !sees && !makes_model && *resource != Resource::Platform;
    if is_hidden {
        return resource.absent();
    }
    if decision.allowed {
        let message = format!("this token may not be used to {action} {resource}");
        return Problem::new(ErrorCode::Forbidden, message)
            .hint("use a token without scopes, or make one with this scope: bottega tokens create --scope");
    }
    let on = match (target.place, resource) {
        (None, Resource::Model(_) | Resource::Endpoint(_) | Resource::Experiment(_)) => {
            "team:YOURS".to_owned()
        }
        _ => resource.to_string(),
    };
    let message = format!("{} may not {action} {resource}", caller.actor);
    let problem = Problem::new(ErrorCode::Forbidden, message);
    match decision.policies.first() {
        Some(policy @ (PolicyRef::Grant(_) | PolicyRef::Policy(_))) => {
            problem.hint(format!("{policy} denies it: ask an administrator"))
        }
        _ => problem.hint(format!(
            "ask an administrator for it: bottega grants add {} {action} {on}",
            caller.actor
        )),
    }
}
