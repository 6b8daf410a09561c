use domain::{Action, access::Role};

use crate::{role_actions, role_text};

#[test]
fn what_each_role_may() {
    let mut matrix = String::new();
    for action in Action::ALL {
        matrix.push_str(&format!("{:<10}", action.as_str()));
        for role in Role::ALL {
            let mark = if role_actions(role).contains(&action) { role.as_str() } else { "-" };
            matrix.push_str(&format!(" {mark:<14}"));
        }
        matrix.truncate(matrix.trim_end().len());
        matrix.push('\n');
    }
    insta::assert_snapshot!(matrix, @r"
    view       viewer         consumer       contributor    data-scientist operator       auditor        administrator
    register   -              -              contributor    data-scientist -              -              administrator
    edit       -              -              contributor    data-scientist -              -              administrator
    promote    -              -              -              data-scientist -              -              administrator
    deploy     -              -              -              data-scientist operator       -              administrator
    configure  -              -              -              data-scientist operator       -              administrator
    shift      -              -              -              data-scientist operator       -              administrator
    invoke     -              consumer       contributor    data-scientist operator       -              administrator
    delete     -              -              -              data-scientist -              -              administrator
    view-data  -              -              -              -              -              -              administrator
    administer -              -              -              -              -              -              administrator
    audit      -              -              -              -              -              auditor        administrator
    ");
}

#[test]
fn a_role_says_why_in_its_policy() {
    for role in Role::ALL {
        assert!(role_text(role).starts_with("// "), "{role:?}");
    }
}
