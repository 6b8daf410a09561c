//! Brings this node to what the tables ask for, and says in them how far it has come.
//!
//! Level-triggered: each look reads everything, and whatever differs is put right. One task owns
//! all of it, so there is no lock; loads and drains run beside it and report back.

mod demand;
mod elsewhere;
mod limits;
mod report;

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use domain::{
    Streak, VersionId, WeightedVersion,
    capture::{Place, Source},
};
use futures_util::FutureExt as _;
use store::{outbox::Listener, serving};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    State, batching,
    demand::Warm,
    hooks::Hooks,
    isolation,
    live::{Route, Routes, Served, Share, Standing},
    load::{Failure, load},
    routing::Routing,
};

/// How often to look when no notice comes: a lost one costs no more than this.
const RESYNC: Duration = Duration::from_secs(2);
/// How long to wait for the database: while it hangs, finished loads wait to be taken in.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to try again to load what could not be loaded.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Loading takes memory and cores that requests need.
const LOADS_AT_ONCE: usize = 2;
/// How often a version that is being left is looked at.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// Keeps the node in step until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) {
    let mut listener = Listener::new(&state.given.database);
    let mut keeper = Keeper::new(state.clone());
    while stop.run_until_cancelled(keeper.look()).await.is_some() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = listener.changed(RESYNC) => {}
            // What is loaded on demand waits for nothing else.
            () = state.asked.some() => {}
            Some(Ok((version, loaded))) = keeper.loads.join_next() => keeper.loaded(version, loaded),
            Some(Ok(version)) = keeper.drains.join_next() => {
                keeper.slots.remove(&version);
            }
        }
    }
}

/// A version on this node.
enum Slot {
    Loading,
    Ready(Arc<Served>),
    Draining,
}

/// Why a version could not be loaded the last time, and when it is tried again.
struct Trouble {
    failure: Failure,
    retry_at: Instant,
}

struct Keeper {
    state: State,
    /// What the tables asked for when they were last seen.
    wanted: Option<Vec<serving::Route>>,
    slots: HashMap<VersionId, Slot>,
    troubles: HashMap<VersionId, Trouble>,
    loads: JoinSet<(VersionId, Result<Served, Failure>)>,
    drains: JoinSet<VersionId>,
    /// How requests share runs, of the versions that are loaded or on their way.
    batching: batching::Settings,
    /// Where versions are to run.
    isolation: isolation::Wanted,
    /// Those that are loaded, and are being loaded elsewhere.
    moving: HashSet<VersionId>,
    /// Which of the endpoints that are loaded on demand are asked for.
    warm: Warm,
    away: Streak,
}

impl Keeper {
    fn new(state: State) -> Self {
        Self {
            state,
            wanted: None,
            slots: HashMap::new(),
            troubles: HashMap::new(),
            loads: JoinSet::new(),
            drains: JoinSet::new(),
            batching: batching::Settings::default(),
            isolation: isolation::Wanted::default(),
            moving: HashSet::new(),
            warm: Warm::default(),
            away: Streak::default(),
        }
    }

    /// One look: reads, puts right, reports.
    async fn look(&mut self) {
        let read = in_time(self.read()).await;
        self.put_right();
        let done = match read {
            Ok(()) => in_time(self.report()).await,
            Err(why) => Err(why),
        };
        self.note(done);
    }

    /// Reads what is wanted. Batching is read for what is loaded by now and set at once; what is loaded
    /// later is looked at when it is taken in.
    async fn read(&mut self) -> store::Result<()> {
        let wanted = serving::routes(&self.state.given.database, self.state.id).await?;
        self.isolation = isolation::Wanted::read(&self.state, &wanted).await?;
        self.wanted = Some(wanted);
        self.state.given.remote.refresh().await?;
        let versions: Vec<_> = self.slots.keys().copied().collect();
        self.batching = batching::Settings::read(&self.state, &versions).await?;
        for slot in self.slots.values() {
            if let Slot::Ready(served) = slot {
                self.batching.apply(served);
            }
        }
        Ok(())
    }

    /// Logs that the database went away or came back, once each.
    fn note(&mut self, done: Result<(), String>) {
        match done {
            Ok(()) => {
                if self.away.ended() {
                    tracing::info!("in step with the database again");
                }
            }
            Err(error) => {
                self.away.failed();
                if self.away.is_news() {
                    tracing::error!(
                        error,
                        "the database is away: serving what was live when it was last seen"
                    );
                }
            }
        }
    }

    /// Moves traffic first, frees what it left, then loads what is missing.
    fn put_right(&mut self) {
        self.settle_demand(Instant::now());
        let Some(wanted) = &self.wanted else { return };
        self.publish(wanted);
        let needed = self.needed(wanted);
        self.retire(&needed.iter().copied().collect());
        self.start_loads(&needed);
        self.judge_readiness();
    }

    /// Swaps the table of routes if any route is another one.
    fn publish(&self, wanted: &[serving::Route]) {
        let current = self.state.live.load_full();
        let next: Routes = wanted
            .iter()
            .map(|route| self.route(route, &current))
            .map(|route| (route.name.clone(), route))
            .collect();
        let stays = |(name, route): (&String, &Arc<Route>)| {
            current.get(name).is_some_and(|old| Arc::ptr_eq(old, route))
        };
        if next.len() != current.len() || !next.iter().all(stays) {
            let any = next.values().any(|route| route.elsewhere.is_some());
            self.state.live.store(Arc::new(next));
            self.state.any_elsewhere.store(any, Relaxed);
            self.state.swapped.send_replace(());
        }
    }

    /// The route to an endpoint's live release if all its versions are loaded; until then the one
    /// before stays.
    fn route(&self, wanted: &serving::Route, current: &Routes) -> Arc<Route> {
        let name = wanted.endpoint.to_string();
        let target = Arc::new(wanted.access_target());
        let same = current.get(&name).filter(|old| old.endpoint == wanted.id);
        let is_cold = self.is_cold(wanted);
        // What it served goes: until it is asked for, or others answer instead.
        let old =
            same.filter(|old| !(is_cold || elsewhere::is_left(wanted)) || old.shares.is_empty());
        let live = wanted.live.as_ref().filter(|_| wanted.is_here && !is_cold).and_then(|live| {
            self.shares(wanted, live, old.map(Arc::as_ref)).map(|shares| (live, shares))
        });
        let answering = live.as_ref().map(|(_, shares)| shares.as_slice());
        let answering = answering.or(old.map(|old| old.shares.as_slice())).unwrap_or_default();
        let aliases = aliases(wanted, answering, old.map(Arc::as_ref));
        let is_near = wanted.live.is_none() && self.is_loaded(&wanted.target);
        let standing = self.standing(wanted);
        let others = elsewhere::of(
            wanted,
            answering.is_empty(),
            same.map(Arc::as_ref),
            &self.state.given.metrics.forwarded,
        );
        match (live, old) {
            (Some((live, shares)), Some(old))
                if old.release == Some(live.release)
                    && are_same(&shares, &old.shares)
                    && old.capture == wanted.capture
                    && old.target.team == target.team =>
            {
                if old.target == target && old.aliases == aliases {
                    return Arc::clone(old);
                }
                Arc::new(old.with(target, aliases))
            }
            (None, Some(old))
                if old.target == target
                    && old.aliases == aliases
                    && (old.release.is_some()
                        || (old.is_near == is_near
                            && old.standing == standing
                            && elsewhere::are_alike(old.elsewhere.as_ref(), others.as_ref()))) =>
            {
                Arc::clone(old)
            }
            // It was given to another team, or an alias has moved, while its next versions are not loaded yet.
            (None, Some(old)) if old.release.is_some() => Arc::new(old.with(target, aliases)),
            (live, _) => {
                let metrics = same.map(|old| Arc::clone(&old.metrics)).unwrap_or_default();
                let (live, shares) = live.unzip();
                let release = live.map(|live| live.release);
                if release.is_some() {
                    tracing::info!(endpoint.name = name, release, "serving");
                }
                let shares = shares.unwrap_or_default();
                let on_demand = demand::of(wanted, current.get(&name).map(Arc::as_ref));
                let routing = live.and_then(|live| {
                    let detours = &self.state.given.metrics.detours;
                    Routing::new(&live.serving.routing, &shares, &name, detours)
                });
                Arc::new(Route {
                    endpoint: wanted.id,
                    name,
                    target,
                    capture: wanted.capture.clone(),
                    metrics,
                    release,
                    shares,
                    routing,
                    aliases,
                    elsewhere: others,
                    on_demand,
                    deadline: limits::deadline(&self.state, wanted.live.as_ref()),
                    body_limit: limits::body(&self.state, wanted.live.as_ref()),
                    max_queue: limits::queue(wanted.live.as_ref()),
                    is_near,
                    standing,
                    tickets: AtomicU64::default(),
                })
            }
        }
    }

    /// How far an endpoint is whose release is not all loaded here.
    fn standing(&self, wanted: &serving::Route) -> Standing {
        let live = wanted.live.iter().flat_map(|live| &live.versions);
        let live = live.map(|version| version.version);
        let mut versions = live.chain(wanted.target.iter().copied()).peekable();
        if versions.peek().is_none() {
            return Standing::Empty;
        }
        let failed = versions.find_map(|version| self.troubles.get(&version));
        let waiting = if self.is_cold(wanted) { Standing::Cold } else { Standing::Loading };
        failed.map_or(waiting, |trouble| Standing::Failed(trouble.failure.why().to_owned()))
    }

    fn is_loaded(&self, target: &[VersionId]) -> bool {
        let is_ready = |version| matches!(self.slots.get(version), Some(Slot::Ready(_)));
        !target.is_empty() && target.iter().all(is_ready)
    }

    fn shares(
        &self,
        wanted: &serving::Route,
        live: &serving::Live,
        old: Option<&Route>,
    ) -> Option<Vec<Share>> {
        let (name, team) = (wanted.endpoint.to_string(), wanted.team);
        let place = Place { endpoint: wanted.id, name: &name, team, release: live.release };
        let source = |served: &Served| {
            let version = (served.version, &served.model, served.number);
            Arc::new(Source::new(&place, version, wanted.capture.clone()))
        };
        let share = |version: &WeightedVersion| match self.slots.get(&version.version) {
            Some(Slot::Ready(served)) => {
                let known = old.and_then(|old| old.statistics(version.version));
                Some(Share {
                    weight: version.weight,
                    served: Arc::clone(served),
                    statistics: known.cloned().unwrap_or_default(),
                    source: source(served),
                    hooks: Hooks::of(
                        &live.serving.hooks,
                        served,
                        &name,
                        &self.state.given.metrics.lookups,
                    ),
                })
            }
            Some(Slot::Loading | Slot::Draining) | None => None,
        };
        live.versions.iter().map(share).collect()
    }

    /// The versions to hold, the most urgent first: what is live, what still answers here until
    /// that is loaded, what is being prepared.
    fn needed(&self, wanted: &[serving::Route]) -> Vec<VersionId> {
        let live = live_versions(self.held(wanted));
        let table = self.state.live.load();
        let answering = table.values().flat_map(|route| &route.shares);
        let answering = answering.map(|share| share.served.version);
        let target = wanted.iter().flat_map(|route| &route.target).copied();
        let mut seen = HashSet::new();
        live.chain(answering).chain(target).filter(|version| seen.insert(*version)).collect()
    }

    /// Frees versions that are not needed any more, once nobody uses them.
    fn retire(&mut self, needed: &HashSet<VersionId>) {
        self.troubles.retain(|version, _| needed.contains(version));
        for (version, slot) in &mut self.slots {
            if needed.contains(version) {
                continue;
            }
            if let Slot::Ready(served) = slot {
                let longest = self.state.given.settings.deadline;
                self.drains.spawn(drain(Arc::clone(served), longest));
                *slot = Slot::Draining;
            }
        }
    }

    fn start_loads(&mut self, needed: &[VersionId]) {
        let now = Instant::now();
        for &version in needed {
            let is_due = self.troubles.get(&version).is_none_or(|trouble| trouble.retry_at <= now);
            let isolation = self.isolation.of(&self.state, version);
            let is_needed = match self.slots.get(&version) {
                None => true,
                // One that runs elsewhere than it is to is loaded beside, and then takes its place.
                Some(Slot::Ready(served)) => {
                    served.isolation != isolation && !self.moving.contains(&version)
                }
                Some(Slot::Loading | Slot::Draining) => false,
            };
            if self.loads.len() < LOADS_AT_ONCE && is_due && is_needed {
                match self.slots.entry(version) {
                    Entry::Vacant(slot) => drop(slot.insert(Slot::Loading)),
                    Entry::Occupied(_) => drop(self.moving.insert(version)),
                }
                let state = self.state.clone();
                self.loads.spawn(async move {
                    let load = load(&state, version, isolation);
                    let loaded = AssertUnwindSafe(load).catch_unwind().await;
                    (version, loaded.unwrap_or_else(|_| Err(Failure::panicked())))
                });
            }
        }
    }

    /// Takes in what a load came to.
    fn loaded(&mut self, version: VersionId, loaded: Result<Served, Failure>) {
        let is_moving = self.moving.remove(&version);
        if is_moving && !matches!(self.slots.get(&version), Some(Slot::Ready(_))) {
            // It is not needed any more.
            return;
        }
        match loaded {
            Ok(served) => {
                self.troubles.remove(&version);
                let (name, number) = (&served.model, served.number);
                tracing::info!(version.id = %version, model.name = %name, number, "version ready");
                let served = Arc::new(served);
                self.batching.apply(&served);
                if let Some(Slot::Ready(old)) = self.slots.insert(version, Slot::Ready(served)) {
                    // Routes leave it at once.
                    tokio::spawn(drain(old, self.state.given.settings.deadline));
                }
            }
            Err(failure) => {
                if !is_moving {
                    self.slots.remove(&version);
                }
                let retry_at = Instant::now() + RETRY_AFTER;
                let before = self.troubles.get(&version).map(|trouble| &trouble.failure);
                if before != Some(&failure) {
                    tracing::error!(
                        version.id = %version, error = failure.why(), "a version cannot be loaded; trying again"
                    );
                }
                self.troubles.insert(version, Trouble { failure, retry_at });
            }
        }
    }

    /// This node may be sent traffic once it has tried to load all that is live.
    fn judge_readiness(&self) {
        let is_tried = |version: VersionId| {
            self.troubles.contains_key(&version)
                || matches!(self.slots.get(&version), Some(Slot::Ready(_)))
        };
        if !self.state.is_ready()
            && self
                .wanted
                .as_deref()
                .is_some_and(|wanted| live_versions(self.held(wanted)).all(is_tried))
        {
            self.state.set_ready(true);
        }
    }
}

/// Whether versions are loaded as they were.
fn are_same(shares: &[Share], old: &[Share]) -> bool {
    let pairs = shares.iter().zip(old);
    shares.len() == old.len()
        && pairs.into_iter().all(|(one, other)| Arc::ptr_eq(&one.served, &other.served))
}

/// What the database answers, if it does so in time.
pub(crate) async fn in_time<T>(asked: impl Future<Output = store::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(elapsed) => Err(elapsed.to_string()),
    }
}

/// Where the model's aliases lead callers. One that has moved on leads where it led while a release is on
/// its way: the version that it points to may come with that, and until then it would lead nowhere.
fn aliases(
    wanted: &serving::Route,
    shares: &[Share],
    old: Option<&Route>,
) -> Arc<BTreeMap<String, i32>> {
    let is_there = |number: i32| shares.iter().any(|share| share.served.number == number);
    let is_live = |version: &VersionId| shares.iter().any(|share| share.served.version == *version);
    let Some(old) = old.filter(|_| !wanted.target.iter().all(is_live)) else {
        return Arc::clone(&wanted.aliases);
    };
    let led = |name: &String, number: i32| {
        let before = old.aliases.get(name).copied().filter(|before| is_there(*before));
        before.filter(|_| !is_there(number)).unwrap_or(number)
    };
    let aliases = wanted.aliases.iter().map(|(name, number)| (name.clone(), led(name, *number)));
    Arc::new(aliases.collect())
}

fn live_versions<'a>(
    wanted: impl Iterator<Item = &'a serving::Route>,
) -> impl Iterator<Item = VersionId> {
    let versions = wanted.filter_map(|route| route.live.as_ref());
    let versions = versions.flat_map(|live| &live.versions);
    versions.map(|version| version.version)
}

/// Waits until no request holds the version any more, then frees it.
async fn drain(served: Arc<Served>, longest: Duration) -> VersionId {
    let until = Instant::now() + longest;
    while Arc::strong_count(&served) > 1 && Instant::now() < until {
        tokio::time::sleep(DRAIN_STEP).await;
    }
    served.replica.drain().await;
    served.version
}
