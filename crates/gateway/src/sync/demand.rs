//! Which of the endpoints that are loaded on demand are loaded now.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use store::serving;

use super::{Keeper, Slot, live_versions};
use crate::{
    demand::{OnDemand, Wishes},
    live::Route,
};

/// What was asked for so recently is not unloaded for others: who comes for more than fits would only
/// ever load.
const GRACE: Duration = Duration::from_secs(1);

impl Keeper {
    /// Whether an endpoint waits to be asked for.
    pub(super) fn is_cold(&self, wanted: &serving::Route) -> bool {
        demanded(wanted).is_some() && !self.warm.contains(wanted.id)
    }

    /// Those whose live release is loaded here.
    pub(super) fn held<'a>(
        &'a self,
        wanted: &'a [serving::Route],
    ) -> impl Iterator<Item = &'a serving::Route> {
        wanted.iter().filter(|route| route.is_here && !self.is_cold(route))
    }

    /// Takes in what requests asked for, and lets go of what they do not ask for any more.
    pub(super) fn settle_demand(&mut self, now: Instant) {
        let Wishes { load, unload } = self.state.asked.take();
        load.into_iter().for_each(|endpoint| self.warm.warm(endpoint, now));
        unload.into_iter().for_each(|endpoint| self.warm.cool(endpoint));
        let Some(wanted) = self.wanted.take() else { return };
        let table = self.state.live.load_full();
        let mut uses = HashMap::new();
        for route in &wanted {
            let Some((live, settings)) = demanded(route) else { continue };
            let versions: Vec<_> = live.versions.iter().map(|version| version.version).collect();
            // Its release was completed just now: it is loaded, and traffic moves to it.
            if self.warm.is_new(route.id, live.release) && self.is_loaded(&versions) {
                self.warm.warm(route.id, now);
            }
            let published = table.get(&route.endpoint.to_string());
            let used = published.and_then(|it| it.on_demand.as_ref()).map(|it| it.used_at());
            uses.insert(route.id, (used, settings.idle()));
        }
        self.warm.settle(&uses, now);
        self.make_room(&wanted, now);
        self.wanted = Some(wanted);
    }

    /// Lets go of what was asked for longest ago until the others fit.
    fn make_room(&mut self, wanted: &[serving::Route], now: Instant) {
        let most = self.state.given.settings.node.memory_bytes;
        while self.memory(wanted) > most
            && let Some(endpoint) = self.warm.coldest(now, GRACE)
        {
            self.warm.cool(endpoint);
        }
    }

    /// What the versions take that stay.
    fn memory(&self, wanted: &[serving::Route]) -> u64 {
        let live = live_versions(self.held(wanted));
        let target = wanted.iter().flat_map(|route| &route.target).copied();
        let kept: HashSet<_> = live.chain(target).collect();
        let bytes = kept.iter().map(|version| match self.slots.get(version) {
            Some(Slot::Ready(served)) => served.bytes,
            Some(Slot::Loading | Slot::Draining) | None => 0,
        });
        bytes.fold(0, u64::saturating_add)
    }
}

/// The release of an endpoint that is loaded on demand, and how.
fn demanded(route: &serving::Route) -> Option<(&serving::Live, &domain::serving::OnDemand)> {
    let live = route.live.as_ref()?;
    Some((live, live.serving.on_demand.as_ref()?))
}

/// How an endpoint is loaded on demand; what is known of its use is kept.
pub(super) fn of(wanted: &serving::Route, old: Option<&Route>) -> Option<Arc<OnDemand>> {
    let (_, settings) = demanded(wanted).filter(|_| wanted.is_here)?;
    let old = old.filter(|old| old.endpoint == wanted.id).and_then(|old| old.on_demand.as_ref());
    let known = old.filter(|old| old.settings == *settings);
    Some(known.cloned().unwrap_or_else(|| Arc::new(OnDemand::new(*settings))))
}
