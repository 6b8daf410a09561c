//! The roles: what each allows is read off its policy, and written nowhere else.

use std::sync::LazyLock;

use cedar_policy::{Template, pst};
use domain::{Action, access::Role};

struct Written {
    policy: pst::Template,
    actions: Vec<Action>,
}

static ROLES: LazyLock<[Written; Role::ALL.len()]> = LazyLock::new(|| Role::ALL.map(read));

#[expect(clippy::expect_used, reason = "files of this crate, all read by the first decision")]
fn read(role: Role) -> Written {
    let template = Template::parse(None, role_text(role)).expect("a role's file is a template");
    let policy = template.to_pst().expect("a template that was parsed has a tree");
    let actions = match &policy.action {
        pst::ActionConstraint::Any => Action::ALL.to_vec(),
        pst::ActionConstraint::Eq(action) => vec![named(action)],
        pst::ActionConstraint::In(actions) => actions.iter().map(named).collect(),
    };
    Written { policy, actions }
}

#[expect(clippy::expect_used, reason = "files of this crate, all read by the first decision")]
fn named(action: &pst::EntityUID) -> Action {
    Action::parse(&action.eid).expect("a role's file names actions")
}

fn written(role: Role) -> &'static Written {
    &ROLES[role as usize]
}

/// The role's policy, with comments that say why.
#[must_use]
pub const fn role_text(role: Role) -> &'static str {
    match role {
        Role::Viewer => include_str!("roles/viewer.cedar"),
        Role::Consumer => include_str!("roles/consumer.cedar"),
        Role::Contributor => include_str!("roles/contributor.cedar"),
        Role::DataScientist => include_str!("roles/data-scientist.cedar"),
        Role::Operator => include_str!("roles/operator.cedar"),
        Role::Auditor => include_str!("roles/auditor.cedar"),
        Role::Administrator => include_str!("roles/administrator.cedar"),
    }
}

/// What the role's policy allows.
#[must_use]
pub fn role_actions(role: Role) -> &'static [Action] {
    &written(role).actions
}

/// The role's policy with slots for who and on what.
pub(crate) fn template(role: Role) -> &'static pst::Template {
    &written(role).policy
}
