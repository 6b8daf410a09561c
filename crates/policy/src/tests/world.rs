//! A world small enough that grants, callers and things meet often.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use domain::{
    Action, Actor, ActorKind, EndpointId, GrantId, ModelId, SubjectId, Timestamp,
    access::{
        Circumstances, Conditions, Effect, Grant, Kind, Place, Principal, Privilege, Role, Subject,
        Target,
    },
    tracking::ExperimentId,
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::{select, subsequence},
};
use uuid::Uuid;

use crate::{Policies, PolicyText};

/// What is written in quotes, and must stay a value.
const ODD: &str = "\"), action, resource) // \\ é";

pub(super) fn subject(number: u128) -> SubjectId {
    SubjectId(Uuid::from_u128(number))
}

/// Three teams, with numbers that no account has.
pub(super) fn team(number: u128) -> SubjectId {
    subject(100 + number)
}

pub(super) fn model(number: u128) -> Place {
    Place::Model(ModelId(Uuid::from_u128(200 + number)))
}

pub(super) fn endpoint(number: u128) -> Place {
    Place::Endpoint(EndpointId(Uuid::from_u128(300 + number)))
}

pub(super) fn experiment(number: i64) -> Place {
    Place::Experiment(ExperimentId(number))
}

pub(super) fn noon() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

pub(super) fn at(seconds: i64) -> Timestamp {
    noon() + TimeDelta::seconds(seconds)
}

pub(super) fn user(number: u128, teams: &[u128]) -> Principal {
    let teams = teams.iter().map(|number| team(*number)).collect();
    Principal { id: subject(number), actor: Actor::user(format!("user{number}")), teams }
}

pub(super) fn when(alias: Option<&str>) -> Circumstances {
    Circumstances { alias: alias.map(|alias| alias.parse().unwrap()), now: noon() }
}

/// A grant with the number as its id.
pub(super) fn allow(number: u128, whose: SubjectId, privilege: &str, place: Place) -> Grant {
    Grant {
        id: GrantId(Uuid::from_u128(number)),
        subject: whose,
        effect: Effect::Allow,
        privilege: privilege.parse().unwrap(),
        place,
        conditions: Conditions::default(),
    }
}

pub(super) fn deny(number: u128, whose: SubjectId, privilege: &str, place: Place) -> Grant {
    Grant { effect: Effect::Deny, ..allow(number, whose, privilege, place) }
}

/// `Team::"risk"` is team 1, `User::"ana"` user 1, `Service::"ci"` subject 4.
pub(super) fn names(subject_of: &Subject) -> Option<SubjectId> {
    match subject_of.to_string().as_str() {
        "team:risk" => Some(team(1)),
        "user:ana" => Some(subject(1)),
        "service:ci" => Some(subject(4)),
        _ => None,
    }
}

pub(super) fn text(name: &str, text: &str) -> PolicyText {
    PolicyText { name: name.to_owned(), text: text.to_owned() }
}

pub(super) fn policies(grants: &[Grant]) -> Policies {
    Policies::new(grants.to_vec(), &[], &names).unwrap()
}

pub(super) fn with(grants: &[Grant], custom: &[PolicyText]) -> Policies {
    Policies::new(grants.to_vec(), custom, &names).unwrap()
}

/// A model of team 1, called as its number says.
pub(super) fn target(place: Place) -> Target {
    Target { name: Some("fraud".to_owned()), team: Some(team(1)), ..Target::of(place) }
}

// What may be drawn -----------------------------------------------------------------------------

pub(super) fn principals() -> impl Strategy<Value = Principal> {
    let teams = subsequence(vec![team(0), team(1), team(2)], 0..=3);
    (0..5_u128, teams).prop_map(|(number, teams)| {
        let kind = if number > 2 { ActorKind::Service } else { ActorKind::User };
        let actor = Actor { kind, name: format!("account{number}").into() };
        Principal { id: subject(number), actor, teams }
    })
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        2 => Just(Place::Everything),
        3 => (0..3_u128).prop_map(|number| Place::Team(team(number))),
        2 => (0..2_u128).prop_map(model),
        2 => (0..2_u128).prop_map(endpoint),
        1 => (0..2_i64).prop_map(experiment),
    ]
}

pub(super) fn targets() -> impl Strategy<Value = Target> {
    let envs = select(vec!["dev", "production"]);
    let tags = btree_map(select(vec!["stage", "pii", ODD]), select(vec!["a", ODD]), 0..3);
    let teams = option::of((0..3_u128).prop_map(team));
    (places(), any::<bool>(), teams, envs, tags).prop_map(|(place, is_new, team, env, tags)| {
        let kind = place.kind();
        let is_thing = !matches!(kind, Kind::Platform | Kind::Team);
        let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Target {
            kind,
            place: (!is_new || !is_thing).then_some(place),
            name: is_thing.then(|| "thing".to_owned()),
            team: team.filter(|_| is_thing),
            env: (kind == Kind::Endpoint).then(|| env.parse().unwrap()),
            tags: if is_thing { tags.collect() } else { BTreeMap::new() },
        }
    })
}

fn moments() -> impl Strategy<Value = Timestamp> {
    // Some of them between two milliseconds.
    (-3..4_i64, select(vec![0, 400]))
        .prop_map(|(seconds, micros)| at(seconds) + TimeDelta::microseconds(micros))
}

pub(super) fn circumstances() -> impl Strategy<Value = Circumstances> {
    let alias = option::of(select(vec!["champion", "challenger"]));
    (alias, moments()).prop_map(|(alias, now)| Circumstances {
        alias: alias.map(|alias| alias.parse().unwrap()),
        now,
    })
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let rarely = |values: Vec<&'static str>| option::weighted(0.2, select(values));
    let tag = option::weighted(0.2, (select(vec!["stage", ODD]), select(vec!["a", ODD])));
    let time = || option::weighted(0.2, moments());
    let kind = option::weighted(0.2, select(Kind::OF_GRANTS.to_vec()));
    (kind, rarely(vec!["dev", "production"]), rarely(vec!["champion"]), tag, time(), time())
        .prop_map(|(kind, env, alias, tag, not_before, expires_at)| Conditions {
            kind,
            env: env.map(|env| env.parse().unwrap()),
            alias: alias.map(|alias| alias.parse().unwrap()),
            tag: tag.map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())),
            not_before,
            expires_at,
        })
}

fn privileges() -> impl Strategy<Value = Privilege> {
    prop_oneof![
        select(Action::ALL.to_vec()).prop_map(Privilege::Action),
        select(Role::ALL.to_vec()).prop_map(Privilege::Role),
    ]
}

/// Up to 12 grants, each with an id of its own.
pub(super) fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let subjects = prop_oneof![(0..5_u128).prop_map(subject), (0..3_u128).prop_map(team)];
    let effects = prop_oneof![3 => Just(Effect::Allow), 1 => Just(Effect::Deny)];
    let one = (subjects, effects, privileges(), places(), conditions());
    vec(one, 0..12).prop_map(|drawn| {
        let grant = |(number, (subject, effect, privilege, place, conditions))| Grant {
            id: GrantId(Uuid::from_u128(number)),
            subject,
            effect,
            privilege,
            place,
            conditions,
        };
        (1..).zip(drawn).map(grant).collect()
    })
}

pub(super) fn actions() -> impl Strategy<Value = Action> {
    select(Action::ALL.to_vec())
}
