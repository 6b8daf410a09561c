//! Policies that an administrator writes.

use std::slice::from_ref;

use chrono::TimeDelta;
use domain::{
    Action,
    access::{Circumstances, Kind, Place, Target},
};

use super::world::{
    allow, at, endpoint, experiment, model, names, noon, policies, subject, target, team, text,
    user, when, with,
};
use crate::{Policies, PolicyError, PolicyRef};

fn refused(policy: &str) -> PolicyError {
    let texts = [text("rule", policy)];
    let error = Policies::new(Vec::new(), &texts, &names).unwrap_err();
    assert_eq!(Policies::check(&texts[0], &names).unwrap_err(), error);
    error
}

/// The place, a part of the message, and a part of the help.
#[track_caller]
fn refused_at(policy: &str, line: usize, column: usize, message: &str, help: &str) {
    let error = refused(policy);
    assert_eq!((error.line, error.column), (line, column), "{error}");
    assert!(error.message.contains(message), "{error}");
    assert!(error.help.clone().unwrap_or_default().contains(help), "{error:?}");
    let problem = domain::Problem::from(error);
    assert_eq!(problem.field.as_deref(), Some("text"));
    assert!(
        problem.message.starts_with(&format!("policy `rule`, line {line}, column {column}: ")),
        "{problem}"
    );
}

#[test]
fn a_syntax_error_is_told_with_its_place() {
    refused_at(
        "forbid (\n  principal,\n  action = 3,\n  resource);",
        3,
        3,
        "not a valid operator",
        "",
    );
    refused_at("permit", 1, 7, "unexpected end of input", "");
    refused_at("// nothing yet\n", 1, 1, "there is no policy", "permit");
    refused_at(
        "forbid (principal == ?principal, action == Action::\"deploy\", resource);",
        1,
        22,
        "slots",
        "leave them open",
    );
    // Columns are characters, as an editor counts.
    let odd = "@note(\"é\") forbid (principal, action == Action::\"deplyo\", resource);";
    refused_at(odd, 1, 41, "deplyo", "deploy");
}

#[test]
fn a_word_that_the_schema_does_not_have_is_told_with_its_place() {
    let head = "forbid (principal, action == Action::\"deploy\", resource is Endpoint)\n";
    refused_at(
        &format!("{head}when {{ resource.enviroment == \"dev\" }};"),
        2,
        8,
        "enviroment",
        "env",
    );
    refused_at(&format!("{head}when {{ resource.env == 3 }};"), 2, 8, "", "");
    refused_at(
        "forbid (principal, action == Action::\"deplyo\", resource);",
        1,
        30,
        "unrecognized action `Action::\"deplyo\"`",
        "deploy",
    );
    refused_at(
        "forbid (principal is Robot, action == Action::\"deploy\", resource);",
        1,
        22,
        "unrecognized entity type `Robot`",
        "",
    );
    // An alias is there where it is moved, and nowhere else.
    refused_at(
        "forbid (principal, action == Action::\"deploy\", resource)\n\
         when { context.alias == \"champion\" };",
        2,
        8,
        "alias",
        "",
    );
    // It may be absent.
    refused_at(
        "forbid (principal, action == Action::\"promote\", resource)\n\
         when { context.alias == \"champion\" };",
        2,
        8,
        "alias",
        "has",
    );
    refused_at(
        "forbid (principal, action == Action::\"promote\", resource is Model)\n\
         when { resource has env };",
        1,
        1,
        "impossible",
        "",
    );
}

#[test]
fn lists_are_not_for_policies() {
    for policy in [
        "forbid (principal, action, resource);",
        "permit (principal, action == Action::\"view\", resource);",
        "permit (principal, action in [Action::\"edit\", Action::\"view\"], resource);",
        "forbid (principal, action, resource) when { action == Action::\"edit\" };",
    ] {
        refused_at(&format!("\n{policy}"), 2, 20, "cannot decide `view`", "bottega grants add");
    }
}

#[test]
fn things_are_named_by_attributes_and_people_by_name() {
    let deploy = |resource: &str| {
        format!("forbid (principal, action == Action::\"deploy\", resource == {resource});")
    };
    refused_at(&deploy("Model::\"fraud\""), 1, 60, "expected an id", "resource.name == \"fraud\"");
    refused_at(&deploy("Experiment::\"x\""), 1, 60, "expected a number", "resource.name");
    refused_at(&deploy("Platform::\"all\""), 1, 60, "expected `*`", "");

    // At the saving a name must be there; later it may be gone, and the rest goes on.
    let gone = text(
        "gone",
        "forbid (principal in Team::\"gone\", action == Action::\"deploy\", resource);",
    );
    let error = Policies::check(&gone, &names).unwrap_err();
    assert_eq!((error.line, error.column), (1, 22));
    assert_eq!(error.message, "there is no `team:gone`");
    let grants = [allow(1, subject(1), "deploy", Place::Everything)];
    let decided = with(&grants, &[gone]).decide(
        &user(1, &[1]),
        Action::Deploy,
        &target(endpoint(1)),
        &when(None),
    );
    assert!(decided.allowed);
}

#[test]
fn a_policy_forbids_what_a_grant_gives() {
    let grants = [allow(1, subject(2), "role:administrator", Place::Everything)];
    let rule = text(
        "four-eyes",
        "// Only the risk team moves champion.\n\
         forbid (principal, action == Action::\"promote\", resource)\n\
         when { context has alias && context.alias == \"champion\" }\n\
         unless { principal in Team::\"risk\" };",
    );
    Policies::check(&rule, &names).unwrap();
    let policies = with(&grants, &[rule]);
    let outsider = user(2, &[0]);
    let insider = user(2, &[1]);
    let decide =
        |who, alias| policies.decide(who, Action::Promote, &target(model(1)), &when(Some(alias)));
    assert!(decide(&insider, "champion").allowed);
    assert!(decide(&outsider, "challenger").allowed);
    let refused = decide(&outsider, "champion");
    assert!(!refused.allowed);
    assert_eq!(refused.policies, [PolicyRef::Policy("four-eyes".to_owned())]);
    // Other actions and what moves no alias are not its business.
    assert!(policies.decide(&outsider, Action::Deploy, &target(model(1)), &when(None)).allowed);
}

#[test]
fn a_policy_gives_by_name_environment_and_tag() {
    let rule = text(
        "sandbox",
        "permit (principal is User, action in [Action::\"deploy\", Action::\"delete\"],\n\
                 resource is Endpoint)\n\
         when { resource.env == \"dev\" && resource.name like \"try-*\" }\n\
         unless { resource.hasTag(\"keep\") && resource.getTag(\"keep\") == \"yes\" };\n\
         permit (principal == Service::\"ci\", action == Action::\"invoke\", resource);",
    );
    let policies = with(&[], &[rule]);
    let sandbox = |name: &str, env: &str| Target {
        name: Some(name.to_owned()),
        env: Some(env.parse().unwrap()),
        ..Target::new_of(Kind::Endpoint)
    };
    let allowed = |target: &Target| {
        policies.decide(&user(1, &[]), Action::Deploy, target, &when(None)).allowed
    };
    assert!(allowed(&sandbox("try-me", "dev")));
    assert!(!allowed(&sandbox("try-me", "production")));
    assert!(!allowed(&sandbox("fraud", "dev")));
    let mut kept = sandbox("try-me", "dev");
    kept.tags.insert("keep".to_owned(), "yes".to_owned());
    assert!(!allowed(&kept));

    let mut ci = user(4, &[]);
    ci.actor.kind = domain::ActorKind::Service;
    assert!(policies.decide(&ci, Action::Invoke, &target(model(1)), &when(None)).allowed);
    assert!(
        !policies.decide(&user(4, &[]), Action::Invoke, &target(model(1)), &when(None)).allowed
    );
}

#[test]
fn a_policy_that_asks_for_the_time_is_asked_again() {
    let rule = text(
        "freeze",
        "forbid (principal, action == Action::\"deploy\", resource)\n\
         when { context.now >= datetime(\"2026-06-01T12:00:30Z\") };",
    );
    let grants = [allow(1, team(1), "role:operator", Place::Team(team(1)))];
    let policies = with(&grants, &[rule]);
    let decide = |action, seconds| {
        let when = Circumstances { alias: None, now: at(seconds) };
        policies.decide(&user(1, &[1]), action, &target(endpoint(1)), &when)
    };
    let early = decide(Action::Deploy, 0);
    assert!(early.allowed);
    assert_eq!(early.valid_until, Some(noon() + TimeDelta::seconds(1)));
    assert!(!decide(Action::Deploy, 30).allowed);
    assert_eq!(decide(Action::Shift, 0).valid_until, None);
}

#[test]
fn a_forbid_that_fails_forbids_and_a_permit_that_fails_gives_nothing() {
    // No name is known of the thing, against what the schema says of models.
    let nameless = Target { name: None, ..target(model(1)) };
    let forbid = text(
        "forbid",
        "forbid (principal, action == Action::\"edit\", resource is Model)\n\
         when { resource.name == \"other\" };",
    );
    let permit = text(
        "permit",
        "permit (principal, action == Action::\"edit\", resource is Model)\n\
         unless { resource.name == \"other\" };",
    );
    let grants = [allow(1, subject(1), "edit", Place::Everything)];
    let who = user(1, &[]);
    let forbidden =
        with(&grants, from_ref(&forbid)).decide(&who, Action::Edit, &nameless, &when(None));
    assert!(!forbidden.allowed);
    assert_eq!(forbidden.policies, [PolicyRef::Policy("forbid".to_owned())]);
    assert_eq!(forbidden.failures.len(), 1);
    let given = with(&[], from_ref(&permit)).decide(&who, Action::Edit, &nameless, &when(None));
    assert!(!given.allowed && given.policies.is_empty());
    assert_eq!(given.failures.len(), 1);
    // With the name, both say what they say.
    let named = target(model(1));
    assert!(with(&grants, &[forbid]).decide(&who, Action::Edit, &named, &when(None)).allowed);
    assert!(with(&[], &[permit]).decide(&who, Action::Edit, &named, &when(None)).allowed);
}

#[test]
fn what_nobody_gave_is_refused() {
    let decision =
        policies(&[]).decide(&user(1, &[1]), Action::View, &target(experiment(0)), &when(None));
    assert!(!decision.allowed);
    assert!(decision.policies.is_empty() && decision.failures.is_empty());
}

#[test]
fn the_policies_of_the_guide_may_be_saved() {
    let guide = include_str!("../../../../docs/grants.md");
    let (_, rest) = guide.split_once("```cedar\n").unwrap();
    let (policies, _) = rest.split_once("```").unwrap();
    assert_eq!(policies.matches(";\n").count(), 3);
    Policies::check(&text("guide", policies), &names).unwrap();
}
