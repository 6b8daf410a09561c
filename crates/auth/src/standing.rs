//! What the grants without conditions say of one subject at one place, and putting one grant in
//! their place: for those who speak of levels, as MLflow does.

use std::collections::BTreeMap;

use domain::{
    Action, AuditEvent, GrantId, Problem, Resource,
    access::{Conditions, Effect, Grant, Kind, Privilege, Role, Subject},
};
use serde_json::json;
use store::{
    Change, Database,
    grants::{self, Given},
};

use crate::{
    Access, Caller, Permit,
    grants::{describe, finish, lock, require_administrator, within_own},
    verbs,
};

/// Whose grants, on what, and for which kind of thing alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Whose.
    pub subject: Subject,
    /// On what, as it is written: `model:fraud`, `*`.
    pub resource: String,
    /// Only for these.
    pub kind: Option<Kind>,
}

/// What the grants without conditions at one spot say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The smallest number of those that are replaced together; absent where there are none.
    pub number: Option<i64>,
    /// Whether the subject is denied to see it at all.
    pub denied: bool,
    allowed: Vec<Action>,
    forbidden: Vec<Action>,
}

impl Standing {
    /// Whether all of these are given here, and none of them denied.
    #[must_use]
    pub fn covers(&self, actions: &[Action]) -> bool {
        let is_given = |action| self.allowed.contains(action) && !self.forbidden.contains(action);
        actions.iter().all(is_given)
    }

    fn add(&mut self, grant: &Grant) {
        let actions = match &grant.privilege {
            Privilege::Action(action) => std::slice::from_ref(action),
            Privilege::Role(role) => policy::role_actions(*role),
        };
        match grant.effect {
            Effect::Allow => self.allowed.extend(actions),
            Effect::Deny => self.forbidden.extend(actions),
        }
        self.denied |= grant.effect == Effect::Deny && actions.contains(&Action::View);
    }
}

/// What grants say, spot by spot. Those with conditions are left out.
#[must_use]
pub fn standings(given: &[Given]) -> BTreeMap<Spot, Standing> {
    let mut standings: BTreeMap<Spot, Standing> = BTreeMap::new();
    for Given { grant, number, subject, resource, .. } in given {
        if !is_plain(grant) {
            continue;
        }
        let kind = grant.conditions.kind;
        let spot = Spot { subject: subject.clone(), resource: resource.clone(), kind };
        let standing = standings.entry(spot).or_default();
        standing.add(grant);
        if is_replaced(grant) {
            let first = standing.number.map_or(*number, |first| first.min(*number));
            standing.number = Some(first);
        }
    }
    standings
}

/// Puts one grant of a role in the place of all that are replaced, or none at all. What has a
/// condition stays, and so does a denial of single actions. Answers the number of the grant.
///
/// # Errors
/// The caller may not administer the resource; there is no such subject or resource; `check`
/// refuses what stands there now; nobody could administer the platform any more.
pub async fn replace(
    access: &Access,
    database: &Database,
    caller: &Caller,
    spot: &Spot,
    new: Option<(Effect, Role)>,
    check: impl FnOnce(&Standing) -> Result<(), Problem>,
) -> Result<Option<i64>, Problem> {
    let resource: Resource = spot.resource.parse()?;
    let permit: Permit<verbs::Administer> = access.authorize(caller, resource.clone()).await?;
    let target = permit.target().filter(|target| target.place.is_some());
    let place = target.as_ref().and_then(|target| target.place);
    let (Some(target), Some(place)) = (target, place) else { return Err(resource.absent()) };

    let mut change = Change::begin(database).await.map_err(Problem::from)?;
    let before = lock(&mut change).await?;
    let subject = before.names.get(&spot.subject).copied().ok_or_else(|| {
        Problem::not_found(spot.subject.kind.as_str(), &spot.subject.name).at("subject")
    })?;
    let conditions = Conditions { kind: spot.kind, ..Conditions::default() };
    let is_here = |grant: &&Grant| {
        grant.subject == subject && grant.place == place && grant.conditions == conditions
    };
    let mut standing = Standing::default();
    before.grants.iter().filter(is_here).for_each(|grant| standing.add(grant));
    let old: Vec<Grant> =
        before.grants.iter().filter(is_here).filter(|grant| is_replaced(grant)).cloned().collect();
    let ids: Vec<GrantId> = old.iter().map(|grant| grant.id).collect();
    standing.number = grants::first_number(&mut change, &ids).await.map_err(Problem::from)?;
    check(&standing)?;

    let new = new.map(|(effect, role)| Grant {
        id: GrantId::new(),
        subject,
        effect,
        privilege: Privilege::Role(role),
        place,
        conditions,
    });
    let says_the_same =
        |new: &Grant| matches!(&old[..], [one] if *one == Grant { id: one.id, ..new.clone() });
    if new.as_ref().is_some_and(says_the_same) {
        return Ok(standing.number);
    }
    let mut after = before.clone();
    after.grants.retain(|grant| !ids.contains(&grant.id));
    if let Some(grant) = &new {
        within_own(&before, caller, grant, &target, change.now())?;
        after.grants.push(grant.clone());
    }
    require_administrator(&after, change.now())?;
    exchange(access, change, &permit, spot, &old, new.as_ref(), standing.number).await
}

/// Takes the old grants back, gives the new one, and records each of them.
async fn exchange(
    access: &Access,
    mut change: Change,
    permit: &Permit<verbs::Administer>,
    spot: &Spot,
    old: &[Grant],
    new: Option<&Grant>,
    number: Option<i64>,
) -> Result<Option<i64>, Problem> {
    let told = |grant| describe(grant, &spot.subject, &spot.resource, None);
    let mut events: Vec<AuditEvent> = Vec::new();
    for grant in old {
        grants::delete(&mut change, grant.id).await.map_err(Problem::from)?;
        events.push(permit.event("grant.removed", json!({})).changed(Some(&told(grant)), None));
    }
    let mut kept = None;
    if let Some(grant) = new {
        let by = permit.actor().to_string();
        let given = grants::insert(&mut change, grant, number, None, &by).await;
        kept = Some(given.map_err(Problem::from)?);
        events.push(permit.event("grant.added", json!({})).changed(None, Some(&told(grant))));
    }
    let Some(last) = events.pop() else { return Ok(None) };
    for event in events {
        let resource = event.resource.to_string();
        change.emit(event.change, &resource, &event.detail).await.map_err(Problem::from)?;
        change.record(&event).await.map_err(Problem::from)?;
    }
    finish(access, change, last).await?;
    Ok(kept)
}

/// Whether it holds at any time, for whatever the place and the kind say.
fn is_plain(grant: &Grant) -> bool {
    grant.conditions == Conditions { kind: grant.conditions.kind, ..Conditions::default() }
}

/// Whether [`replace`] takes it back: all that gives, and what denies to see.
fn is_replaced(grant: &Grant) -> bool {
    let denies_view = match grant.privilege {
        Privilege::Action(action) => action == Action::View,
        Privilege::Role(role) => policy::role_actions(role).contains(&Action::View),
    };
    grant.effect == Effect::Allow || denies_view
}
