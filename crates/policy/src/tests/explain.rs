//! Why, and what would have to be granted.

use domain::{
    Action,
    access::{Conditions, Grant, Kind, Place, Subject, Target},
};

use super::world::{
    allow, at, deny, endpoint, model, policies, subject, target, team, text, user, when, with,
};
use crate::{Explanation, Missed, PolicyRef};

fn words(explanation: &Explanation) -> Vec<String> {
    let ana: Subject = "user:ana".parse().unwrap();
    let name = |place: Place| match place {
        Place::Everything => "*".to_owned(),
        Place::Team(_) => "team:risk".to_owned(),
        Place::Model(_) => "model:fraud".to_owned(),
        Place::Endpoint(_) => "endpoint:fraud".to_owned(),
        Place::Experiment(_) => "experiment:1".to_owned(),
    };
    explanation.remedies.iter().map(|remedy| remedy.words(&ana, &name)).collect()
}

#[test]
fn what_allows_is_told_with_its_text() {
    let grant = allow(7, team(1), "role:operator", Place::Team(team(1)));
    let explained = policies(&[grant]).explain(
        &user(1, &[1]),
        Action::Deploy,
        &target(endpoint(1)),
        &when(None),
    );
    assert!(explained.decision.allowed);
    assert!(explained.near.is_empty() && explained.remedies.is_empty());
    let names: Vec<_> = explained.policies.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["grant:00000000-0000-0000-0000-000000000007", "role:operator"]);
    insta::assert_snapshot!(explained.policies[0].1, @r#"
    permit (
        principal in Team::"00000000-0000-0000-0000-000000000065",
        action in
            [Action::"view", Action::"deploy", Action::"configure", Action::"shift", Action::"invoke"],
        resource in Team::"00000000-0000-0000-0000-000000000065"
    );
    "#);
    assert!(explained.policies[1].1.starts_with("// Keeps what is deployed running"));
}

#[test]
fn what_is_missing_is_told_as_a_command() {
    let nothing = policies(&[]);
    let who = user(1, &[1]);
    let missing =
        |action, target: &Target| words(&nothing.explain(&who, action, target, &when(None)));
    assert_eq!(
        missing(Action::Promote, &target(model(1))),
        ["bottega grants add user:ana promote model:fraud"]
    );
    let made = |team_of| Target { team: team_of, ..Target::new_of(Kind::Model) };
    assert_eq!(
        missing(Action::Register, &made(Some(team(1)))),
        ["bottega grants add user:ana register team:risk"]
    );
    assert_eq!(missing(Action::Register, &made(None)), ["bottega grants add user:ana register *"]);
    assert_eq!(
        missing(Action::Administer, &Target::of(Place::Everything)),
        ["bottega grants add user:ana administer *"]
    );
}

#[test]
fn what_forbids_must_go_as_well() {
    let rule =
        text("frozen", "forbid (principal, action == Action::\"deploy\", resource is Endpoint);");
    let denial = deny(8, team(1), "role:operator", Place::Everything);
    let policies = with(&[denial], std::slice::from_ref(&rule));
    let explained =
        policies.explain(&user(1, &[1]), Action::Deploy, &target(endpoint(1)), &when(None));
    assert_eq!(
        words(&explained),
        [
            "bottega grants add user:ana deploy endpoint:fraud",
            "bottega grants remove 00000000-0000-0000-0000-000000000008",
            "change or remove the policy `frozen`",
        ]
    );
    let frozen = PolicyRef::Policy("frozen".to_owned());
    assert!(explained.policies.contains(&(frozen, rule.text.clone())));
    // What is given needs no further grant.
    let given = allow(9, subject(1), "deploy", endpoint(1));
    let policies = with(&[given], &[rule]);
    let missing =
        policies.missing(&user(1, &[]), Action::Deploy, &target(endpoint(1)), &when(None));
    assert_eq!(missing, [crate::Remedy::Change("frozen".to_owned())]);
}

#[test]
fn grants_that_came_near_say_what_they_lack() {
    let with = |grant: Grant, conditions: Conditions| Grant { conditions, ..grant };
    let base = |number| allow(number, subject(1), "promote", model(1));
    let none = Conditions::default;
    let grants = [
        with(base(1), Conditions { alias: Some("champion".parse().unwrap()), ..none() }),
        with(base(2), Conditions { env: Some("dev".parse().unwrap()), ..none() }),
        with(
            base(3),
            Conditions { tag: Some(("a".parse().unwrap(), "b".parse().unwrap())), ..none() },
        ),
        with(base(4), Conditions { not_before: Some(at(1)), ..none() }),
        with(base(5), Conditions { expires_at: Some(at(0)), ..none() }),
        allow(6, subject(1), "promote", model(2)),
        allow(7, subject(2), "promote", model(1)),
        // Neither of these is near.
        allow(8, subject(2), "promote", model(2)),
        allow(9, subject(1), "edit", model(1)),
        deny(10, subject(1), "promote", model(2)),
    ];
    let explained = policies(&grants).explain(
        &user(1, &[]),
        Action::Promote,
        &target(model(1)),
        &when(Some("challenger")),
    );
    let mut near: Vec<_> = explained
        .near
        .iter()
        .map(|near| (near.grant.id.0.as_u128(), near.missed.clone()))
        .collect();
    // The caller's own with one condition unmet come before those of somebody else.
    assert_eq!(near.last(), Some(&(7, vec![Missed::Subject])));
    near.sort();
    assert_eq!(
        near,
        [
            (1, vec![Missed::Alias]),
            (2, vec![Missed::Env]),
            (3, vec![Missed::Tag]),
            (4, vec![Missed::NotBefore]),
            (5, vec![Missed::ExpiresAt]),
            (6, vec![Missed::Place]),
            (7, vec![Missed::Subject]),
        ]
    );
}
