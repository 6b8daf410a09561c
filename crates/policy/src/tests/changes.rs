//! The dry run.

use domain::{
    Action,
    access::{Conditions, Grant, Place, Principal, Target},
};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use super::world::{
    allow, endpoint, grants, model, noon, policies, principals, subject, target, targets, team,
    text, user, when, with,
};
use crate::{Change, Policies, Scope};

fn told(
    before: &Policies,
    after: &Policies,
    subjects: &[Principal],
    targets: &[Target],
) -> Vec<String> {
    let aliases = ["champion".parse().unwrap()];
    let scope = Scope { subjects, targets, aliases: &aliases, now: noon() };
    let changes = before.changes(after, scope);
    let words = |change: Change| {
        let verb = if change.gains { "gains" } else { "loses" };
        let alias = change.alias.map(|alias| format!(" {alias}")).unwrap_or_default();
        format!("{} {verb} {}{alias} on {}", change.who.0.as_u128(), change.action, change.target)
    };
    changes.map(words).collect()
}

#[test]
fn a_changed_grant_tells_who_loses_and_gains_what() {
    let kept = allow(1, team(1), "deploy", Place::Team(team(1)));
    let before = policies(&[kept.clone(), allow(2, team(1), "role:operator", endpoint(1))]);
    let after = policies(&[kept, allow(2, team(1), "audit", endpoint(1))]);
    let subjects = [user(1, &[1]), user(2, &[2])];
    let targets = [target(endpoint(1)), target(endpoint(2))];
    assert_eq!(
        told(&before, &after, &subjects, &targets),
        [
            "1 loses view on 0",
            // Not deploy, which they have from elsewhere.
            "1 loses configure on 0",
            "1 loses shift on 0",
            "1 loses invoke on 0",
            "1 gains audit on 0",
        ]
    );
    assert!(told(&before, &before, &subjects, &targets).is_empty());
}

#[test]
fn a_changed_policy_and_aliases_are_looked_into() {
    let champion = Conditions { alias: Some("champion".parse().unwrap()), ..Conditions::default() };
    let grants = [
        Grant { conditions: champion, ..allow(1, subject(1), "promote", model(1)) },
        allow(2, subject(2), "promote", model(1)),
    ];
    let subjects = [user(1, &[]), user(2, &[])];
    let targets = [target(model(1))];
    assert_eq!(
        told(&policies(&grants), &policies(&grants[1..]), &subjects, &targets),
        ["1 loses promote champion on 0"]
    );
    let rule = text(
        "four-eyes",
        "forbid (principal, action == Action::\"promote\", resource)\n\
         when { context has alias && context.alias == \"champion\" };",
    );
    assert_eq!(
        told(&policies(&grants), &with(&grants, &[rule]), &subjects, &targets),
        ["1 loses promote champion on 0", "2 loses promote champion on 0"]
    );
}

proptest! {
    #![proptest_config(Config { cases: 60, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_change_is_left_out(
        old in grants(), new in grants(),
        subjects in vec(principals(), 1..3), targets in vec(targets(), 1..3),
    ) {
        let (before, after) = (policies(&old), policies(&new));
        let aliases = ["champion".parse().unwrap()];
        let scope = Scope { subjects: &subjects, targets: &targets, aliases: &aliases, now: noon() };
        let found: Vec<_> = before.changes(&after, scope).collect();
        let mut expected = Vec::new();
        for who in &subjects {
            for (number, target) in targets.iter().enumerate() {
                for action in Action::ALL {
                    let aliases: &[_] =
                        if action == Action::Promote { &[None, Some("champion")] } else { &[None] };
                    for alias in aliases {
                        let when = when(*alias);
                        let had = before.decide(who, action, target, &when).allowed;
                        let gains = after.decide(who, action, target, &when).allowed;
                        if had != gains {
                            let (who, alias) = (who.id, when.alias);
                            expected.push(Change { who, target: number, action, alias, gains });
                        }
                    }
                }
            }
        }
        prop_assert_eq!(found, expected);
    }
}
