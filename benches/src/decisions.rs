//! Deciding: 10,000 grants, 1,000 users in 50 teams, 3,000 models, against what was set as limit.

use std::time::{Duration, Instant};

use domain::{
    Action, Actor, GrantId, ModelId, SubjectId, Timestamp,
    access::{
        Circumstances, Conditions, Effect, Grant, Kind, Place, Principal, Privilege, Role, Target,
    },
};
use policy::{Policies, PolicyText};
use uuid::Uuid;

use crate::Result;

const USERS: u64 = 1_000;
const TEAMS: u64 = 50;
const MODELS: u64 = 3_000;
const GRANTS: u64 = 10_000;
const DECISIONS: usize = 100_000;

/// What a decision that is not cached may take.
const LIMIT: Duration = Duration::from_millis(1);

/// What an administrator might add.
const CUSTOM: &str = r#"
forbid (principal, action == Action::"promote", resource is Model)
when { context has alias && context.alias == "champion" && resource.hasTag("frozen") };
forbid (principal, action == Action::"deploy", resource is Endpoint)
when { resource.env == "production" && resource.name like "try-*" };
"#;

/// Numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % end
    }
}

fn id(kind: u64, number: u64) -> Uuid {
    Uuid::from_u64_pair(kind, number)
}

fn user(number: u64) -> SubjectId {
    SubjectId(id(1, number))
}

fn team(number: u64) -> SubjectId {
    SubjectId(id(2, number))
}

fn model(number: u64) -> Place {
    Place::Model(ModelId(id(3, number)))
}

fn principal(number: u64) -> Principal {
    let teams = vec![team(number % TEAMS), team(number * 7 % TEAMS)];
    Principal { id: user(number), actor: Actor::user(format!("user{number}")), teams }
}

fn target(number: u64) -> Target {
    Target {
        name: Some(format!("model{number}")),
        team: Some(team(number % TEAMS)),
        tags: [("stage".to_owned(), "trial".to_owned())].into(),
        ..Target::of(model(number))
    }
}

/// A role for each team on what it owns; the rest one by one, a tenth denied, a third with a
/// condition.
fn grants(dice: &mut Dice) -> Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for number in 0..GRANTS {
        let (subject, privilege, place) = if number < TEAMS {
            (team(number), Privilege::Role(Role::DataScientist), Place::Team(team(number)))
        } else {
            let action = Action::ALL[usize::try_from(dice.below(12))?];
            let subject =
                if dice.below(4) == 0 { team(dice.below(TEAMS)) } else { user(dice.below(USERS)) };
            (subject, Privilege::Action(action), model(dice.below(MODELS)))
        };
        let is_denied = number >= TEAMS && dice.below(10) == 0;
        let mut conditions = Conditions::default();
        match dice.below(9) {
            0 if number >= TEAMS => conditions.alias = Some("champion".parse()?),
            1 if number >= TEAMS => conditions.tag = Some(("stage".parse()?, "trial".parse()?)),
            2 if number >= TEAMS => conditions.expires_at = Some("2030-01-01T00:00:00Z".parse()?),
            _ => {}
        }
        grants.push(Grant {
            id: GrantId(id(4, number)),
            subject,
            effect: if is_denied { Effect::Deny } else { Effect::Allow },
            privilege,
            place,
            conditions,
        });
    }
    Ok(grants)
}

/// Measures, and prints.
pub fn run() -> Result<()> {
    let mut dice = Dice(1);
    let grants = grants(&mut dice)?;
    let custom = [PolicyText { name: "house".to_owned(), text: CUSTOM.to_owned() }];
    let begun = Instant::now();
    let policies = Policies::new(grants.clone(), &custom, &|_| None)?;
    let loaded = begun.elapsed();
    anstream::println!("policy: {GRANTS} grants, {USERS} users, {TEAMS} teams, {MODELS} models");
    anstream::println!("  loading {:.1} ms", loaded.as_secs_f64() * 1e3);

    let now: Timestamp = "2026-06-01T00:00:00Z".parse()?;
    let mut questions = Vec::with_capacity(DECISIONS);
    for turn in 0..DECISIONS {
        let action = Action::ALL[usize::try_from(dice.below(12))?];
        // Every second question is one that a single grant was made for.
        let (who, at) = match grants.get(turn % grants.len()) {
            Some(Grant { subject, place: Place::Model(model), .. }) if turn % 2 == 0 => {
                (subject.0.as_u64_pair().1, model.0.as_u64_pair().1)
            }
            _ => (dice.below(USERS), dice.below(MODELS)),
        };
        let alias = (action == Action::Promote).then(|| "champion".parse()).transpose()?;
        questions.push((principal(who), action, target(at), Circumstances { alias, now }));
    }
    for turn in ["first", "second"] {
        let mut allowed = 0;
        let mut taken = Vec::with_capacity(questions.len());
        for (who, action, target, when) in &questions {
            let begun = Instant::now();
            let decision = policies.decide(who, *action, target, when);
            taken.push(begun.elapsed());
            allowed += u32::from(decision.allowed);
        }
        print(&format!("decisions, {turn} time ({allowed} of {DECISIONS} allowed)"), &mut taken);
    }
    let some = questions.iter().step_by(100);
    let mut taken: Vec<_> = some
        .clone()
        .map(|(who, ..)| {
            let begun = Instant::now();
            std::hint::black_box(policies.visible(who, Kind::Model, now));
            begun.elapsed()
        })
        .collect();
    print("what of a list is visible", &mut taken);
    let mut taken: Vec<_> = some
        .map(|(who, action, target, when)| {
            let begun = Instant::now();
            std::hint::black_box(policies.explain(who, *action, target, when));
            begun.elapsed()
        })
        .collect();
    print("explanations", &mut taken);
    Ok(())
}

fn print(what: &str, taken: &mut [Duration]) {
    taken.sort_unstable();
    let at = |share: usize| {
        let found = taken.get((taken.len() * share / 1000).min(taken.len().saturating_sub(1)));
        found.copied().unwrap_or_default()
    };
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    anstream::println!(
        "  {what}: p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs   p99 is {:.3} of 1 ms",
        micros(at(500)),
        micros(at(990)),
        micros(at(999)),
        at(990).as_secs_f64() / LIMIT.as_secs_f64(),
    );
}
