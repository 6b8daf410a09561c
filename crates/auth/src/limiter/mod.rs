//! How much may flow: requests a second, predictions a month, points a day.
//!
//! Each process leases a little of what a subject may send, uses it up without asking anybody, and
//! leases again. Requests meet atomics of their subject alone; only who finds them empty waits for
//! a lease, together with the others of that subject. Where nothing is limited, nothing is looked
//! at but a map.
//!
//! It also knows whose share of what is busy a caller's requests take.
//!
//! While the database is away each process goes on at the rate of its last leases, and counts what
//! it owes; after the grace it refuses, or lets everything through, as it was told.

mod count;
mod link;
mod tap;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use domain::{
    Actor, ActorKind, Problem, SubjectId,
    access::{Subject, SubjectKind},
    quota::{Key, Tenant},
};
use foldhash::HashMap;
use store::{Database, quotas};
use tokio::{time::timeout, try_join};

use self::{
    count::Count,
    link::{Link, PATIENCE},
    tap::Tap,
};
use crate::Caller;

/// What happens once the database has been away for longer than the grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenOffline {
    /// What is limited is refused.
    Refuse,
    /// What is limited is let through, and counted later.
    Allow,
}

/// How long leases go on without the database, and what then.
#[derive(Debug, Clone, Copy)]
pub struct Offline {
    /// How long.
    pub grace: Duration,
    /// What then.
    pub then: WhenOffline,
}

impl Default for Offline {
    fn default() -> Self {
        Self { grace: Duration::from_secs(15 * 60), then: WhenOffline::Refuse }
    }
}

/// Lets through what quotas allow. One for each process.
pub struct Limiter {
    database: Database,
    link: Link,
    known: ArcSwap<Meters>,
}

/// Those whose flow is limited.
#[derive(Default)]
struct Meters {
    accounts: HashMap<Actor, Arc<Meter>>,
    teams: HashMap<SubjectId, Arc<Meter>>,
    /// Accounts that are not tenants by themselves at the weight of 1.
    tenants: HashMap<SubjectId, Tenant>,
}

/// What limits one subject here.
struct Meter {
    id: SubjectId,
    subject: Subject,
    tap: Option<Tap>,
    counts: Vec<Count>,
}

impl Limiter {
    /// Knows no limits until [`Limiter::refresh`].
    #[must_use]
    pub fn new(database: Database, offline: Offline) -> Self {
        Self { database, link: Link::new(offline), known: ArcSwap::default() }
    }

    /// Takes over which limits hold. Called at start, whenever something changed, and from time to
    /// time: it is also how the database is seen to be away, or back.
    ///
    /// # Errors
    /// The database is away; then the limits known before stay.
    pub async fn refresh(&self) -> Result<(), Problem> {
        let database = &self.database;
        let asked = timeout(PATIENCE, async {
            try_join!(quotas::meters(database), quotas::tenants(database))
        });
        let (meters, tenants) = match asked.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                self.link.lost();
                return Err(error.into());
            }
            Err(_) => {
                self.link.lost();
                return Err(Problem::unavailable("the database does not answer"));
            }
        };
        self.link.back();
        let before = self.known.load();
        let mut next = Meters { tenants: tenants.into_iter().collect(), ..Meters::default() };
        for meter in meters {
            match account(&meter.subject) {
                Some(actor) => {
                    let old = before.accounts.get(&actor);
                    next.accounts.insert(actor, Meter::renewed(meter, old));
                }
                None => {
                    let old = before.teams.get(&meter.id);
                    next.teams.insert(meter.id, Meter::renewed(meter, old));
                }
            }
        }
        self.known.store(Arc::new(next));
        Ok(())
    }

    /// Lets one request of an account through.
    ///
    /// # Errors
    /// It comes too fast; or the database has been away for too long.
    pub async fn admit(&self, actor: &Actor) -> Result<(), Problem> {
        // Not held across the wait: the table may be swapped meanwhile.
        let meter = self.known.load().accounts.get(actor).cloned();
        self.pass(meter).await
    }

    /// Lets one request to what a team owns through.
    ///
    /// # Errors
    /// As for [`Limiter::admit`].
    pub async fn admit_to(&self, team: Option<SubjectId>) -> Result<(), Problem> {
        let Some(team) = team else { return Ok(()) };
        let meter = self.known.load().teams.get(&team).cloned();
        self.pass(meter).await
    }

    async fn pass(&self, meter: Option<Arc<Meter>>) -> Result<(), Problem> {
        let Some(meter) = meter else { return Ok(()) };
        let Some(tap) = &meter.tap else { return Ok(()) };
        if tap.take(self.link.now()) {
            return Ok(());
        }
        // Boxed: who need not wait does not carry what waiting takes.
        Box::pin(tap.wait(&self.link, &self.database, &meter)).await
    }

    /// Counts `amount` of what a quota limits: against the account, and against the team that owns
    /// what it is used of.
    ///
    /// # Errors
    /// The quota is spent; or the database has been away for too long.
    pub async fn count(
        &self,
        key: Key,
        actor: &Actor,
        team: Option<SubjectId>,
        amount: u64,
    ) -> Result<(), Problem> {
        let (account, team) = {
            let known = self.known.load();
            let team = team.and_then(|team| known.teams.get(&team));
            (known.accounts.get(actor).cloned(), team.cloned())
        };
        for meter in [account, team].into_iter().flatten() {
            let Some(count) = meter.counts.iter().find(|count| count.key == key) else { continue };
            if !count.has(self.database.now(), amount) {
                Box::pin(count.take(&self.link, &self.database, &meter, amount)).await?;
            }
        }
        Ok(())
    }

    /// Whose share of what is busy a caller's requests take: their home team's, or their own where they
    /// have none, or where a weight was set for them.
    #[must_use]
    pub fn tenant(&self, caller: &Caller) -> Tenant {
        let Some(account) = caller.subject else { return Tenant::default() };
        let own = || Tenant::new(account);
        self.known.load().tenants.get(&account).copied().unwrap_or_else(own)
    }

    /// Whether this quota of any team is limited: else nobody needs to know what a team owns.
    #[must_use]
    pub fn limits_teams(&self, key: Key) -> bool {
        let known = self.known.load();
        known.teams.values().any(|meter| meter.counts.iter().any(|count| count.key == key))
    }

    /// Gives back what was leased and not used. Called when no more requests come.
    pub async fn close(&self) {
        let known = self.known.load_full();
        for meter in known.accounts.values().chain(known.teams.values()) {
            for count in &meter.counts {
                count.give_back(&self.database, meter).await;
            }
        }
    }
}

impl Meter {
    /// The limits as they are now; what was leased under the ones before stays.
    fn renewed(now: quotas::Meter, before: Option<&Arc<Self>>) -> Arc<Self> {
        let before = before.filter(|before| before.id == now.id);
        if let Some(before) = before.filter(|before| before.is(&now)) {
            return Arc::clone(before);
        }
        let counts = now.counts.iter().map(|&(key, limit)| {
            let count = Count::new(key, limit);
            let old = before.and_then(|old| old.counts.iter().find(|count| count.key == key));
            if let Some(old) = old {
                count.take_over(old);
            }
            count
        });
        let counts = counts.collect();
        Arc::new(Self { id: now.id, subject: now.subject, tap: now.rate.map(Tap::new), counts })
    }

    fn is(&self, now: &quotas::Meter) -> bool {
        let counts = self.counts.iter().map(|count| (count.key, count.limit));
        self.tap.as_ref().map(Tap::bucket) == now.rate && counts.eq(now.counts.iter().copied())
    }
}

fn account(subject: &Subject) -> Option<Actor> {
    let kind = match subject.kind {
        SubjectKind::User => ActorKind::User,
        SubjectKind::Service => ActorKind::Service,
        SubjectKind::Team | SubjectKind::Group => return None,
    };
    Some(Actor { kind, name: subject.name.as_str().into() })
}
