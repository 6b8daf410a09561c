//! Who may grant what, and that somebody can.

use std::slice::from_ref;

use domain::{
    Action,
    access::{Conditions, Grant, Place, Target},
};

use super::world::{
    allow, at, deny, model, noon, policies, subject, target, team, text, user, with,
};
use crate::{NotGranted, Policies};

fn until(grant: Grant, seconds: i64) -> Grant {
    let conditions = Conditions { expires_at: Some(at(seconds)), ..grant.conditions };
    Grant { conditions, ..grant }
}

fn from(grant: Grant, seconds: i64) -> Grant {
    let conditions = Conditions { not_before: Some(at(seconds)), ..grant.conditions };
    Grant { conditions, ..grant }
}

#[test]
fn only_who_administers_a_place_grants_on_it() {
    let held = policies(&[
        allow(1, subject(1), "role:administrator", Place::Everything),
        allow(2, subject(2), "administer", Place::Team(team(1))),
        allow(3, subject(3), "role:data-scientist", Place::Team(team(1))),
    ]);
    let platform = Target::of(Place::Everything);
    let on_model = target(model(1));
    let foreign = Target { team: Some(team(2)), ..target(model(2)) };
    let may = |number, grant: &Grant, target: &Target| {
        held.may_grant(&user(number, &[]), grant, target, noon()).is_ok()
    };
    for privilege in ["view", "view-data", "audit", "administer", "role:administrator"] {
        let everywhere = allow(9, subject(3), privilege, Place::Everything);
        let on_team = allow(9, subject(3), privilege, Place::Team(team(1)));
        let on_one = allow(9, subject(3), privilege, model(1));
        let on_other = allow(9, subject(3), privilege, model(2));
        assert!(may(1, &everywhere, &platform));
        assert!(!may(2, &everywhere, &platform), "{privilege}");
        assert!(may(2, &on_team, &Target::of(Place::Team(team(1)))));
        assert!(may(2, &on_one, &on_model));
        assert!(!may(2, &on_other, &foreign), "{privilege}");
        assert!(!may(3, &on_one, &on_model), "{privilege}");
        // The facts of another thing do not help.
        assert!(!may(2, &everywhere, &on_model), "{privilege}");
    }
    let refused =
        held.may_grant(&user(3, &[]), &allow(9, subject(3), "view", model(1)), &on_model, noon());
    assert!(matches!(refused, Err(NotGranted::NotAdministrator(decision)) if !decision.allowed));
}

#[test]
fn a_right_with_an_end_gives_none_without() {
    let ends = until(allow(1, subject(1), "administer", Place::Everything), 60);
    let platform = Target::of(Place::Everything);
    let grant = allow(9, subject(2), "view", Place::Everything);
    let who = user(1, &[]);
    let may = |held: &[Grant], grant: &Grant| {
        policies(held).may_grant(&who, grant, &platform, noon()).map(drop)
    };
    let held = [ends.clone()];
    assert_eq!(may(&held, &grant), Err(NotGranted::Outlives(at(60))));
    assert_eq!(may(&held, &until(grant.clone(), 61)), Err(NotGranted::Outlives(at(60))));
    assert_eq!(may(&held, &until(grant.clone(), 60)), Ok(()));
    // Taking away is not giving.
    assert_eq!(may(&held, &deny(9, subject(2), "view", Place::Everything)), Ok(()));
    let for_good = allow(2, subject(1), "role:administrator", Place::Everything);
    assert_eq!(may(&[ends, for_good], &grant), Ok(()));
}

#[test]
fn somebody_must_be_able_to_administer() {
    let administrator = allow(1, subject(1), "role:administrator", Place::Everything);
    let active = [user(1, &[]), user(2, &[2])];
    let has = |grants: &[Grant]| policies(grants).has_administrator(&active, noon());
    assert!(has(from_ref(&administrator)));
    assert!(!policies(from_ref(&administrator)).has_administrator(&active[1..], noon()));
    assert!(has(&[allow(1, team(2), "administer", Place::Everything)]));
    assert!(!has(&[]));
    assert!(!has(&[allow(1, subject(1), "role:administrator", Place::Team(team(1)))]));
    // Not one that ends, begins later, or holds only here and there.
    assert!(!has(&[until(administrator.clone(), 60)]));
    assert!(!has(&[from(administrator.clone(), 60)]));
    let mut in_dev = administrator.clone();
    in_dev.conditions.env = Some("dev".parse().unwrap());
    assert!(!has(&[in_dev]));
    // But one after the other.
    let second = from(allow(2, subject(2), "administer", Place::Everything), 60);
    assert!(has(&[until(administrator.clone(), 60), second.clone()]));
    assert!(!has(&[until(administrator.clone(), 59), second]));
    // A denial counts, one that begins later too.
    let denial = deny(2, subject(1), "administer", Place::Everything);
    assert!(!has(&[administrator.clone(), denial.clone()]));
    assert!(!has(&[administrator.clone(), from(denial, 60)]));
    let locked = text(
        "locked",
        "forbid (principal, action == Action::\"administer\", resource is Platform);",
    );
    assert!(!with(&[administrator], &[locked]).has_administrator(&active, noon()));
}

#[test]
fn an_administrator_can_mend_what_cannot_be_read() {
    let decides = Policies::of_administrators(vec![
        allow(1, subject(1), "role:administrator", Place::Everything),
        allow(2, subject(2), "role:administrator", Place::Everything),
        deny(3, subject(2), "administer", Place::Everything),
        allow(4, subject(3), "role:administrator", Place::Team(team(1))),
    ]);
    let when = super::world::when(None);
    let may = |number, action, target: &Target| {
        decides.decide(&user(number, &[]), action, target, &when).allowed
    };
    let platform = Target::of(Place::Everything);
    assert!(may(1, Action::Administer, &platform));
    assert!(!may(1, Action::Deploy, &target(model(1))));
    assert!(!may(2, Action::Administer, &platform));
    assert!(!may(3, Action::Administer, &target(model(1))));
}
