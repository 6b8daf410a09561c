//! The one place that decides.

mod facts;
mod live;
mod refusal;
mod rights;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use domain::{
    Action, ActorKind, AliasName, EndpointRef, Problem, Resource, SubjectId, Timestamp,
    access::{Clause, Kind, Place, Subject, SubjectKind, Target, Visible},
    quota::Spent,
};
use policy::Decision;
use store::Database;
use tokio::sync::Mutex;

use crate::{Caller, Permit, audit::Trail, permit::Verb, verbs};

use facts::Facts;
use live::Live;

pub(crate) use live::compile;
pub use rights::{On, Rights};

/// How long decisions are made while the database is away, unless it is set.
const GRACE: Duration = Duration::from_secs(15 * 60);

/// Decides who may do what, by the grants and policies that it read last. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    database: Database,
    live: ArcSwap<Live>,
    facts: Facts,
    /// Where refusals are told.
    trail: Trail,
    /// Held by whoever reads grants again.
    reading: Mutex<()>,
    began: Instant,
    /// When the revision was last asked for, in milliseconds since we began.
    confirmed: AtomicU64,
    grace: Duration,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let revision = self.0.live.load().revision;
        f.debug_struct("Access").field("revision", &revision).finish_non_exhaustive()
    }
}

impl Access {
    /// Knows nobody until [`Access::refresh`].
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self::telling(database, Trail::default(), GRACE)
    }

    /// As [`Access::new`]; tells the trail of refusals, and decides for so long while the database
    /// is away.
    #[must_use]
    pub fn telling(database: Database, trail: Trail, grace: Duration) -> Self {
        Self(Arc::new(Inner {
            database,
            live: ArcSwap::default(),
            facts: Facts::default(),
            trail,
            reading: Mutex::default(),
            began: Instant::now(),
            confirmed: AtomicU64::new(0),
            grace,
        }))
    }

    /// Reads accounts, grants and policies again if they changed, and tells of which revision they
    /// are. Called at start, before whoever changed them is answered, whenever a notice came, and
    /// twice a second.
    ///
    /// # Errors
    /// The database is away; then what was read before goes on for some time.
    pub async fn refresh(&self) -> store::Result<i64> {
        let _one = self.0.reading.lock().await;
        let asked = self.0.began.elapsed();
        let revision = store::access::revision(&self.0.database).await?;
        if self.0.live.load().revision != revision {
            let snapshot = store::access::snapshot(&self.0.database).await?;
            self.0.live.store(Arc::new(Live::of(snapshot)));
        }
        self.0.confirmed.store(millis(asked), Relaxed);
        Ok(revision)
    }

    /// Whether the caller may do `V` to the resource.
    ///
    /// # Errors
    /// They may not: forbidden, or not found where they may not even know that it is there. The
    /// database is away.
    pub async fn authorize<V: Verb>(
        &self,
        caller: &Caller,
        resource: Resource,
    ) -> Result<Permit<V>, Problem> {
        let target = self.target(caller, &resource).await?;
        self.judge(caller, resource, target, None)
    }

    /// Whether the caller may do `V` to the resource and its alias, or make it for a team where
    /// there is none: for the one that they name, else for their home team. The permit says which.
    ///
    /// # Errors
    /// As for [`Access::authorize`]; there is no such team, or it is there and not that team's.
    pub async fn authorize_with<V: Verb>(
        &self,
        caller: &Caller,
        resource: Resource,
        team: Option<&str>,
        alias: Option<&AliasName>,
    ) -> Result<Permit<V>, Problem> {
        let mut target = self.target(caller, &resource).await?;
        let Some(name) = team else { return self.judge(caller, resource, target, alias) };
        let team = self.team(name)?;
        let is_other = target.place.is_some() && target.team != Some(team);
        if target.place.is_none() {
            target = Arc::new(Target { team: Some(team), ..(*target).clone() });
        }
        let permit = self.judge::<V>(caller, resource, target, alias)?;
        if is_other {
            let resource = permit.resource();
            let message = format!("{resource} is there already, and not of the team `{name}`");
            return Err(Problem::conflict(message).at("team").hint("leave `team` out"));
        }
        Ok(permit)
    }

    /// Whether the caller may do `V` to a new thing of this kind whose name is not known yet, for a
    /// team as in [`Access::authorize_with`].
    ///
    /// # Errors
    /// As there.
    pub fn authorize_new<V: Verb>(
        &self,
        caller: &Caller,
        kind: Kind,
        team: Option<&str>,
    ) -> Result<Permit<V>, Problem> {
        let team = match team {
            Some(name) => Some(self.team(name)?),
            None => self.home(caller),
        };
        let target = Arc::new(Target { team, ..Target::new_of(kind) });
        self.judge(caller, Resource::Platform, target, None)
    }

    /// Whether the caller may do `V` for that team with a thing like this one, as if they made it
    /// there; without a team, where no team owns it. The permit is on the team.
    ///
    /// # Errors
    /// As for [`Access::authorize`]; there is no such team.
    pub async fn authorize_for<V: Verb>(
        &self,
        caller: &Caller,
        thing: &Resource,
        team: Option<&str>,
    ) -> Result<Permit<V>, Problem> {
        let found = self.target(caller, thing).await?;
        let (on, team) = match team {
            Some(name) => (Resource::Team(name.to_owned()), Some(self.team(name)?)),
            None => (Resource::Platform, None),
        };
        let target = Arc::new(Target { place: None, team, ..(*found).clone() });
        self.judge(caller, on, target, None)
    }

    fn team(&self, name: &str) -> Result<SubjectId, Problem> {
        let subject = Subject { kind: SubjectKind::Team, name: name.to_owned() };
        let found = self.0.live.load().names.get(&subject).copied();
        found.ok_or_else(|| Problem::not_found("team", name).at("team"))
    }

    /// The team that owns what the caller makes unless they say.
    fn home(&self, caller: &Caller) -> Option<SubjectId> {
        self.0.live.load().homes.get(&caller.subject?).copied()
    }

    /// What the caller may see of a list.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list(&self, caller: &Caller, kind: Kind) -> Result<Permit<verbs::View>, Problem> {
        asked(caller, "view", kind.as_str(), true);
        let visible = if caller.subject.is_none() && caller.actor.kind == ActorKind::System {
            Visible::everything()
        } else {
            let live = self.live()?;
            let Some(who) = live.principal(caller) else { return Err(refusal::unknown(caller)) };
            let now = self.0.database.now();
            let visible = live.policies.visible(who, kind, now);
            self.within_scopes(caller, kind, visible).await?
        };
        Ok(Permit::new(caller.clone(), Resource::Platform).seeing(visible))
    }

    /// Whether the caller may do `V` to a resource of which everything is known already. It asks
    /// nothing but memory.
    ///
    /// # Errors
    /// As for [`Access::authorize`].
    pub fn decide<V: Verb>(
        &self,
        caller: &Caller,
        resource: Resource,
        target: &Arc<Target>,
    ) -> Result<Permit<V>, Problem> {
        self.judge(caller, resource, Arc::clone(target), None)
    }

    /// Whether the caller may do `V` to the resource: nobody asked for it, so nobody is refused and
    /// the audit trail is told nothing.
    ///
    /// # Errors
    /// The database is away.
    pub async fn may<V: Verb>(
        &self,
        caller: &Caller,
        resource: &Resource,
    ) -> Result<bool, Problem> {
        let target = self.target(caller, resource).await?;
        self.may_with::<V>(caller, resource, &target)
    }

    /// The same of a resource of which everything is known already. It asks nothing but memory.
    ///
    /// # Errors
    /// As for [`Access::may`].
    pub fn may_with<V: Verb>(
        &self,
        caller: &Caller,
        resource: &Resource,
        target: &Target,
    ) -> Result<bool, Problem> {
        let live = self.live()?;
        let may = self.covers(&live, caller, V::ACTION, resource, target, None).is_some();
        asked(caller, V::ACTION.as_str(), resource.kind().as_str(), may);
        Ok(may)
    }

    /// The permit of a part of Bottega that acts by itself, by the name of its job, so that the
    /// audit trail names it: `system:reconciler`.
    #[must_use]
    pub fn system<V: Verb>(&self, job: &'static str, resource: Resource) -> Permit<V> {
        Permit::new(Caller::system(job), resource).seeing(Visible::everything())
    }

    /// Records that a quota refused the caller.
    pub fn over_quota(&self, caller: &Caller, spent: &Spent) {
        self.0.trail.over_quota(caller, spent);
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.database.now()
    }

    /// Who there is, and what decides now.
    pub(crate) fn live(&self) -> Result<Guard<Arc<Live>>, Problem> {
        let silent = self
            .0
            .began
            .elapsed()
            .saturating_sub(Duration::from_millis(self.0.confirmed.load(Relaxed)));
        if silent > self.0.grace {
            let message = "who may do what cannot be asked: the database is away for too long";
            return Err(Problem::unavailable(message));
        }
        Ok(self.0.live.load())
    }

    /// What decisions look at of a resource; of one that is not there, what it would be if the
    /// caller made it.
    pub(crate) async fn target(
        &self,
        caller: &Caller,
        resource: &Resource,
    ) -> Result<Arc<Target>, Problem> {
        if let Some(found) = self.0.facts.of(&self.0.database, resource).await? {
            return Ok(found);
        }
        let team = self.home(caller);
        let env = match resource {
            Resource::Endpoint(name) => {
                name.parse::<EndpointRef>().ok().map(|endpoint| endpoint.env)
            }
            Resource::Platform
            | Resource::Model(_)
            | Resource::Experiment(_)
            | Resource::Team(_) => None,
        };
        let name = Some(resource.name().to_owned());
        Ok(Arc::new(Target { team, env, name, ..Target::new_of(resource.kind()) }))
    }

    fn judge<V: Verb>(
        &self,
        caller: &Caller,
        resource: Resource,
        target: Arc<Target>,
        alias: Option<&AliasName>,
    ) -> Result<Permit<V>, Problem> {
        let live = self.live()?;
        let decision = self.covers(&live, caller, V::ACTION, &resource, &target, alias);
        // What is to be made has no name of its own yet.
        let is_new = resource == Resource::Platform;
        let kind = if is_new { target.kind } else { resource.kind() };
        asked(caller, V::ACTION.as_str(), kind.as_str(), decision.is_some());
        if let Some(decision) = decision {
            return Ok(Permit::new(caller.clone(), resource).decided(target, decision));
        }
        let decision = self.ask(&live, caller, V::ACTION, &target, alias);
        let policies = decision.policies.iter().map(ToString::to_string).collect();
        self.0.trail.refused(caller, V::ACTION, resource.clone(), policies);
        let sees = self.covers(&live, caller, Action::View, &resource, &target, alias).is_some();
        Err(refusal::refuse(caller, V::ACTION, &resource, &target, &decision, sees))
    }

    /// The decision, if it allows it and the caller's token may be used for it.
    fn covers(
        &self,
        live: &Live,
        caller: &Caller,
        action: Action,
        resource: &Resource,
        target: &Target,
        alias: Option<&AliasName>,
    ) -> Option<Arc<Decision>> {
        let decision = self.ask(live, caller, action, target, alias);
        let team = target.team.and_then(|id| live.team_name(id));
        let covered = decision.allowed && refusal::scopes_cover(caller, action, resource, team);
        covered.then_some(decision)
    }

    fn ask(
        &self,
        live: &Live,
        caller: &Caller,
        action: Action,
        target: &Target,
        alias: Option<&AliasName>,
    ) -> Arc<Decision> {
        live.decide(caller, action, target, alias, || self.0.database.now())
    }

    /// What of this the caller's token may see too.
    async fn within_scopes(
        &self,
        caller: &Caller,
        kind: Kind,
        visible: Visible,
    ) -> Result<Visible, Problem> {
        let Some(scopes) = &caller.scopes else { return Ok(visible) };
        let mut seen = Visible::default();
        for scope in scopes.iter().filter(|scope| scope.action == Action::View) {
            let Some(on) = &scope.on else { return Ok(visible) };
            if let (Resource::Team(name), false) = (on, kind == Kind::Team) {
                seen.allow.extend(self.team_clauses(name, &visible));
            } else if on.kind() == kind
                && self.may::<verbs::View>(caller, on).await?
                && let Some(place) = self.target(caller, on).await?.place
            {
                seen.allow.push(Clause { place, env: None, tag: None });
            }
        }
        seen.deny = visible.deny;
        Ok(seen)
    }

    /// What is visible of what a team owns: its own clauses, and of those on everything its part.
    fn team_clauses(&self, name: &str, visible: &Visible) -> Vec<Clause> {
        let Ok(id) = self.team(name) else { return Vec::new() };
        let place = Place::Team(id);
        let fits = |clause: &&Clause| clause.place == place || clause.place == Place::Everything;
        visible.allow.iter().filter(fits).map(|clause| Clause { place, ..clause.clone() }).collect()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Tells whoever looks for why: each question, in the order in which they were asked.
pub(crate) fn asked(caller: &Caller, action: &'static str, kind: &'static str, allowed: bool) {
    let (request_id, actor) = (&caller.request_id, &caller.actor);
    tracing::debug!(%request_id, %actor, action, kind, allowed, "asked");
}
