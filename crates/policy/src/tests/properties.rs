//! What must hold for any grants, callers and things.

use chrono::TimeDelta;
use domain::{
    Action,
    access::{Circumstances, Clause, Effect, Grant, Kind, Place, Privilege, Target},
};
use proptest::{prelude::*, test_runner::Config};

use super::{
    reference,
    world::{actions, circumstances, grants, policies, principals, targets},
};
use crate::{decision, grants::covers};

fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Whether a thing is in what a clause says, as SQL will have it.
fn shows(clause: &Clause, target: &Target) -> bool {
    let here = match clause.place {
        Place::Everything => true,
        Place::Team(team) if target.kind != Kind::Team => target.team == Some(team),
        Place::Team(_) | Place::Model(_) | Place::Endpoint(_) | Place::Experiment(_) => {
            target.place == Some(clause.place)
        }
    };
    let env = clause.env.is_none() || clause.env == target.env;
    let tag = clause.tag.as_ref().is_none_or(|(key, value)| {
        target.tags.get(key.as_str()).is_some_and(|found| found == value.as_str())
    });
    here && env && tag
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_decision_is_what_the_grants_mean(
        grants in grants(), who in principals(), action in actions(),
        target in targets(), when in circumstances(),
    ) {
        let decision = policies(&grants).decide(&who, action, &target, &when);
        let expected = reference::allows(&grants, &who, action, &target, &when);
        prop_assert_eq!(decision.allowed, expected, "{:?}", decision);
        prop_assert!(decision.failures.is_empty(), "{:?}", decision.failures);

        // What decided is what holds, of the side that won.
        let denied = grants.iter().any(|grant| {
            grant.effect == Effect::Deny && reference::holds(grant, &who, action, &target, &when)
        });
        let side = if denied { Effect::Deny } else { Effect::Allow };
        let mut expected: Vec<_> = grants
            .iter()
            .filter(|grant| {
                grant.effect == side && reference::holds(grant, &who, action, &target, &when)
            })
            .map(|grant| format!("grant:{}", grant.id))
            .collect();
        let told = decision.policies.iter().map(ToString::to_string);
        let mut told: Vec<_> = told.filter(|policy| policy.starts_with("grant:")).collect();
        expected.sort();
        told.sort();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn the_slice_decides_as_all_grants_do(
        grants in grants(), who in principals(), action in actions(),
        target in targets(), when in circumstances(),
    ) {
        let sliced = policies(&grants).decide(&who, action, &target, &when);
        // A set of its own: a grant's policy is made once, for whoever is asked about first.
        let all = policies(&grants);
        let question = decision::Question { who: &who, action, target: &target, when: &when };
        let everything: Vec<_> = all.grants.all().collect();
        let unsliced = decision::decide(&everything, &all.custom, &question);
        prop_assert_eq!(sliced.allowed, unsliced.allowed);
        prop_assert_eq!(sliced.policies, unsliced.policies);
    }

    #[test]
    fn one_more_allow_takes_nothing_away_and_one_more_deny_gives_nothing(
        grants in grants(), more in grants(), who in principals(), action in actions(),
        target in targets(), when in circumstances(),
    ) {
        let before = policies(&grants).decide(&who, action, &target, &when).allowed;
        for (number, grant) in (1000..).zip(more) {
            let effect = grant.effect;
            let id = domain::GrantId(uuid::Uuid::from_u128(number));
            let mut more = grants.clone();
            more.push(Grant { id, ..grant });
            let after = policies(&more).decide(&who, action, &target, &when).allowed;
            match effect {
                Effect::Allow => prop_assert!(after || !before),
                Effect::Deny => prop_assert!(before || !after),
            }
        }
    }

    #[test]
    fn what_a_team_has_its_members_have(
        grants in grants(), who in principals(), action in actions(),
        target in targets(), when in circumstances(),
    ) {
        let as_member = policies(&grants).decide(&who, action, &target, &when).allowed;
        let mut own = grants.clone();
        for grant in &mut own {
            if who.teams.contains(&grant.subject) {
                grant.subject = who.id;
            }
        }
        let alone = domain::access::Principal { teams: Vec::new(), ..who };
        let as_own = policies(&own).decide(&alone, action, &target, &when).allowed;
        prop_assert_eq!(as_member, as_own);
    }

    #[test]
    fn a_list_shows_what_may_be_viewed(
        grants in grants(), who in principals(), target in targets(), when in circumstances(),
    ) {
        let policies = policies(&grants);
        let decided = policies.decide(&who, Action::View, &target, &when).allowed;
        let visible = policies.visible(&who, target.kind, when.now);
        let shown = visible.allow.iter().any(|clause| shows(clause, &target))
            && !visible.deny.iter().any(|clause| shows(clause, &target));
        prop_assert_eq!(shown, decided, "{:?}", visible);
    }

    #[test]
    fn a_decision_is_good_until_it_says(
        grants in grants(), who in principals(), action in actions(),
        target in targets(), when in circumstances(), later in 0..6_000_000_i64,
    ) {
        let policies = policies(&grants);
        let first = policies.decide(&who, action, &target, &when);
        let now = when.now + TimeDelta::microseconds(later);
        let second = policies.decide(&who, action, &target, &Circumstances { now, ..when.clone() });
        if first.valid_until.is_none_or(|until| now < until) {
            prop_assert_eq!(first.allowed, second.allowed);
            prop_assert_eq!(first.policies, second.policies);
        }
        // Where no time is in it, it may be kept.
        let is_timed = grants.iter().any(|grant| {
            grant.conditions.expires_at.or(grant.conditions.not_before).is_some()
        });
        prop_assert!(is_timed || first.valid_until.is_none());
    }

    #[test]
    fn what_is_told_to_be_missing_is_enough(
        grants in grants(), who in principals(), action in actions(),
        target in targets(), when in circumstances(),
    ) {
        let before = policies(&grants);
        let explained = before.explain(&who, action, &target, &when);
        prop_assert_eq!(&explained.decision, &before.decide(&who, action, &target, &when));
        let mut after = grants;
        for remedy in &explained.remedies {
            match remedy {
                crate::Remedy::Grant(action, place) => after.push(Grant {
                    id: domain::GrantId(uuid::Uuid::from_u128(1000)),
                    subject: who.id,
                    effect: Effect::Allow,
                    privilege: Privilege::Action(*action),
                    place: *place,
                    conditions: domain::access::Conditions::default(),
                }),
                crate::Remedy::Remove(id) => after.retain(|grant| grant.id != *id),
                crate::Remedy::Change(name) => prop_assert!(false, "no policy {name} is there"),
            }
        }
        prop_assert_eq!(explained.decision.allowed, explained.remedies.is_empty());
        prop_assert!(policies(&after).decide(&who, action, &target, &when).allowed);
        for near in explained.near {
            prop_assert!(!near.missed.is_empty());
            prop_assert!(!reference::holds(&near.grant, &who, action, &target, &when));
            prop_assert!(covers(near.grant.privilege, action));
        }
    }
}
