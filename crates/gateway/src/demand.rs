//! Versions that are loaded when they are asked for, and unloaded when they are not, or when memory is
//! short.
//!
//! An endpoint whose release says so is *warm* from the moment that it is asked for until it was not
//! asked for so long as the release says, or until others that were asked for later need its memory;
//! else it is *cold*. Requests only note that they came ([`OnDemand::touch`]) and, for a cold one, ask
//! for it ([`Asked`]) and wait for the table of routes to be swapped; who loads and unloads is `sync`,
//! so that a version is loaded once however many ask.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use domain::{
    EndpointId,
    serving::{self, Cold},
};
use tokio::sync::Notify;

/// Requests note that they came in steps of this, so that most of them write nothing.
const STEP: Duration = Duration::from_millis(100);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How an endpoint is that is loaded when it is asked for; its routes hand this on.
pub(crate) struct OnDemand {
    pub(crate) settings: serving::OnDemand,
    /// When it was asked last, in steps since this process began.
    used: AtomicU64,
}

impl OnDemand {
    pub(crate) fn new(settings: serving::OnDemand) -> Self {
        Self { settings, used: AtomicU64::new(0) }
    }

    /// Notes that a request came.
    pub(crate) fn touch(&self, now: Instant) {
        let since = now.saturating_duration_since(*BEGAN).as_millis() / STEP.as_millis();
        let step = u64::try_from(since).unwrap_or(u64::MAX);
        if self.used.load(Relaxed) < step {
            self.used.store(step, Relaxed);
        }
    }

    /// When the last request came.
    pub(crate) fn used_at(&self) -> Instant {
        let steps = u32::try_from(self.used.load(Relaxed)).unwrap_or(u32::MAX);
        *BEGAN + STEP * steps
    }

    /// Whether requests wait until it is loaded.
    pub(crate) fn waits(&self) -> bool {
        self.settings.cold == Cold::Wait
    }
}

/// What requests and clients ask of whoever loads.
#[derive(Default)]
pub(crate) struct Asked {
    wishes: Mutex<Wishes>,
    notify: Notify,
}

/// What was asked since somebody looked.
#[derive(Default)]
pub(crate) struct Wishes {
    /// Cold endpoints that requests came for.
    pub(crate) load: HashSet<EndpointId>,
    /// Warm endpoints that somebody wants unloaded.
    pub(crate) unload: HashSet<EndpointId>,
}

impl Asked {
    /// Asks for an endpoint.
    pub(crate) fn load(&self, endpoint: EndpointId) {
        self.change(|wishes| {
            wishes.unload.remove(&endpoint);
            wishes.load.insert(endpoint);
        });
    }

    /// Asks that an endpoint is let go.
    pub(crate) fn unload(&self, endpoint: EndpointId) {
        self.change(|wishes| {
            wishes.load.remove(&endpoint);
            wishes.unload.insert(endpoint);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        self.notify.notify_one();
    }

    /// Until somebody asks.
    pub(crate) async fn some(&self) {
        self.notify.notified().await;
    }

    /// All that was asked since.
    pub(crate) fn take(&self) -> Wishes {
        std::mem::take(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Which endpoints are warm, and when they were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    since: HashMap<EndpointId, Instant>,
    /// The releases that were seen.
    releases: HashMap<EndpointId, i32>,
}

impl Warm {
    pub(crate) fn contains(&self, endpoint: EndpointId) -> bool {
        self.since.contains_key(&endpoint)
    }

    /// It was asked for.
    pub(crate) fn warm(&mut self, endpoint: EndpointId, now: Instant) {
        self.since.insert(endpoint, now);
    }

    pub(crate) fn cool(&mut self, endpoint: EndpointId) {
        self.since.remove(&endpoint);
    }

    /// Whether the endpoint had another release when it was looked at last.
    pub(crate) fn is_new(&mut self, endpoint: EndpointId, release: i32) -> bool {
        self.releases.insert(endpoint, release) != Some(release)
    }

    /// Lets go of what is no more on demand, and of what was not asked for long enough. `uses` tells of
    /// those that are on demand when a request came for them last, if one came.
    pub(crate) fn settle(
        &mut self,
        uses: &HashMap<EndpointId, (Option<Instant>, Duration)>,
        now: Instant,
    ) {
        self.releases.retain(|endpoint, _| uses.contains_key(endpoint));
        self.since.retain(|endpoint, since| {
            let Some((used, idle)) = uses.get(endpoint) else { return false };
            *since = used.map_or(*since, |used| used.max(*since));
            now.saturating_duration_since(*since) < *idle
        });
    }

    /// The one that was asked for longest ago, but for those asked for within `grace`.
    pub(crate) fn coldest(&self, now: Instant, grace: Duration) -> Option<EndpointId> {
        let (endpoint, since) = self.since.iter().min_by_key(|(_, since)| **since)?;
        (now.saturating_duration_since(*since) >= grace).then_some(*endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_not_asked_for_cools_and_what_is_asked_for_stays() {
        let (now, mut warm) = (Instant::now() + 10 * MINUTE, Warm::default());
        let [used, idle, gone] = [(); 3].map(|()| EndpointId::new());
        for endpoint in [used, idle, gone] {
            warm.warm(endpoint, now - 2 * MINUTE);
        }
        let uses =
            HashMap::from([(used, (Some(now - MINUTE / 2), MINUTE)), (idle, (None, MINUTE))]);
        warm.settle(&uses, now);
        assert!(warm.contains(used) && !warm.contains(idle) && !warm.contains(gone));
        warm.settle(&uses, now + MINUTE);
        assert!(!warm.contains(used));
    }

    #[test]
    fn the_coldest_goes_first_but_not_what_was_asked_for_just_now() {
        let (now, mut warm) = (Instant::now() + 10 * MINUTE, Warm::default());
        let [first, second] = [(); 2].map(|()| EndpointId::new());
        warm.warm(first, now - 2 * MINUTE);
        warm.warm(second, now);
        assert_eq!(warm.coldest(now, MINUTE), Some(first));
        warm.cool(first);
        assert_eq!(warm.coldest(now, MINUTE), None);
        assert_eq!(warm.coldest(now, Duration::ZERO), Some(second));
    }

    #[test]
    fn the_last_wish_counts() {
        let (asked, endpoint) = (Asked::default(), EndpointId::new());
        asked.load(endpoint);
        asked.unload(endpoint);
        let Wishes { load, unload } = asked.take();
        assert!(load.is_empty() && unload.contains(&endpoint));
        assert!(asked.take().unload.is_empty());
    }

    #[test]
    fn a_use_is_noted_to_a_step() {
        let demand = OnDemand::new(serving::OnDemand::default());
        let now = *BEGAN + MINUTE;
        demand.touch(now);
        demand.touch(now - MINUTE / 2);
        assert_eq!(demand.used_at(), now);
    }
}
