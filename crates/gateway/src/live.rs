//! What this node answers with now: one table, swapped whole.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use domain::{
    EndpointId, ModelName, Problem, Runtime, Signature, VersionId,
    access::Target,
    capture::{self, Source},
    serving::Isolation,
};
use foldhash::HashMap;
use inference::{CachedFolder, Replica};
use serde_json::Value;

use crate::{
    demand::OnDemand,
    elsewhere::{Elsewhere, nobody},
    hooks::Hooks,
    identity::Labels,
    metrics::EndpointMetrics,
    routing::Routing,
    statistics::Statistics,
};

/// All endpoints, by the name that callers use.
pub(crate) type Routes = HashMap<String, Arc<Route>>;

/// A version, loaded and warm.
pub struct Served {
    /// Which one.
    pub(crate) version: VersionId,
    /// Its model's name.
    pub model: ModelName,
    /// Its number.
    pub number: i32,
    /// How answers name it.
    pub(crate) labels: Labels,
    /// What runs it.
    pub(crate) runtime: Runtime,
    /// The file that was loaded.
    pub(crate) model_file: String,
    /// What goes in and comes out.
    pub signature: Signature,
    /// A request body that it answers, if its author gave one.
    pub input_example: Option<Value>,
    /// What computes the answers.
    pub(crate) replica: Replica,
    /// Where it was to compute them.
    pub(crate) isolation: Isolation,
    /// Why it does so in a process of its own, if nobody asked for that.
    pub(crate) suspicion: Option<&'static str>,
    /// How much memory that takes, by the size of its files.
    pub(crate) bytes: u64,
    /// Its files, which stay on this machine while it is served.
    pub(crate) _folder: CachedFolder,
}

impl Served {
    /// Where it runs; nowhere on this machine, if a server of others runs it.
    pub(crate) fn runs(&self) -> Option<Isolation> {
        match self.runtime {
            Runtime::External => None,
            Runtime::Python | Runtime::Process => Some(Isolation::Process),
            Runtime::Onnx | Runtime::None if self.suspicion.is_some() => Some(Isolation::Process),
            Runtime::Onnx | Runtime::None => Some(self.isolation),
        }
    }
}

/// A version's share of an endpoint's traffic, in percent.
#[derive(Clone)]
pub(crate) struct Share {
    pub(crate) weight: i32,
    pub(crate) served: Arc<Served>,
    /// What it did for this endpoint, over all releases that it is part of without a gap.
    pub(crate) statistics: Arc<Statistics>,
    /// What is captured of its answers.
    pub(crate) source: Arc<Source>,
    /// What happens to requests and answers on the way; absent where nothing does.
    pub(crate) hooks: Option<Arc<Hooks>>,
}

impl Share {
    /// What goes in and comes out for callers.
    pub(crate) fn signature(&self) -> &Signature {
        self.hooks.as_ref().map_or(&self.served.signature, |hooks| &hooks.callers)
    }

    /// A request body that it answers, if the version's author gave one that is its callers' as well.
    pub(crate) fn input_example(&self) -> Option<&Value> {
        self.served.input_example.as_ref().filter(|_| self.hooks.is_none())
    }
}

/// How far an endpoint is that nothing answers for here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing was put to it.
    Empty,
    /// Its versions are loaded when it is asked for.
    Cold,
    /// Its versions are on their way to this node, or to others that the release waits for.
    Loading,
    /// One of them cannot be loaded here, in words for whoever deployed it.
    Failed(String),
}

/// An endpoint as this node serves it.
pub(crate) struct Route {
    pub(crate) endpoint: EndpointId,
    pub(crate) name: String,
    /// What decisions look at.
    pub(crate) target: Arc<Target>,
    /// What is captured, as it was when the shares were put together.
    pub(crate) capture: capture::Settings,
    pub(crate) metrics: Arc<EndpointMetrics>,
    /// The release whose versions these are, by number; absent while none was ever ready here.
    pub(crate) release: Option<i32>,
    /// All loaded; empty without a release.
    pub(crate) shares: Vec<Share>,
    /// What decides beyond the weights; absent where nothing does.
    pub(crate) routing: Option<Arc<Routing>>,
    /// The versions that the model's aliases lead callers to, by their names.
    pub(crate) aliases: Arc<BTreeMap<String, i32>>,
    /// The nodes that answer for it; absent where this one does, or is to.
    pub(crate) elsewhere: Option<Arc<Elsewhere>>,
    /// How it is loaded when it is asked for; absent where it always is.
    pub(crate) on_demand: Option<Arc<OnDemand>>,
    /// How long a request may take.
    pub(crate) deadline: Duration,
    /// How many bytes its body may have.
    pub(crate) body_limit: usize,
    /// How many may wait for one of its versions.
    pub(crate) max_queue: usize,
    /// Whether its first release is all loaded here, so that it may be completed by now.
    pub(crate) is_near: bool,
    /// How far it is without a release.
    pub(crate) standing: Standing,
    /// Counts the requests, so that the versions take turns.
    pub(crate) tickets: AtomicU64,
}

impl Route {
    /// The same, for decisions that look at this target, and with these aliases.
    pub(crate) fn with(&self, target: Arc<Target>, aliases: Arc<BTreeMap<String, i32>>) -> Self {
        Self {
            endpoint: self.endpoint,
            name: self.name.clone(),
            target,
            capture: self.capture.clone(),
            metrics: Arc::clone(&self.metrics),
            release: self.release,
            shares: self.shares.clone(),
            routing: self.routing.clone(),
            aliases,
            elsewhere: self.elsewhere.clone(),
            on_demand: self.on_demand.clone(),
            deadline: self.deadline,
            body_limit: self.body_limit,
            max_queue: self.max_queue,
            is_near: self.is_near,
            standing: self.standing.clone(),
            tickets: AtomicU64::default(),
        }
    }

    /// What a version did for this endpoint so far, if it is part of the release.
    pub(crate) fn statistics(&self, version: VersionId) -> Option<&Arc<Statistics>> {
        let share = self.shares.iter().find(|share| share.served.version == version);
        share.map(|share| &share.statistics)
    }

    /// The version that answers the next request, or the one that the caller insists on.
    ///
    /// # Errors
    /// None is ready here, or that version is not part of the release.
    pub(crate) fn pick(&self, version: Option<i32>) -> Result<&Share, Problem> {
        let picked = match (version, self.shares.as_slice()) {
            (Some(number), shares) => shares.iter().find(|share| share.served.number == number),
            (None, [only]) => Some(only),
            (None, shares) => {
                let ticket = self.tickets.fetch_add(1, Relaxed);
                drawn(ticket, shares.iter().map(|share| share.weight)).and_then(|at| shares.get(at))
            }
        };
        match (picked, version) {
            (Some(share), _) => Ok(share),
            (None, Some(number)) if !self.shares.is_empty() => Err(self.no_version(number)),
            (None, _) => Err(self.not_ready()),
        }
    }

    /// The version that an alias of the model leads to.
    ///
    /// # Errors
    /// None is ready here, there is no such alias, or its version is not part of the release.
    pub(crate) fn labelled(&self, label: &str) -> Result<i32, Problem> {
        if self.shares.is_empty() {
            return Err(self.not_ready());
        }
        let Some(number) = self.aliases.get(label) else {
            let label: String = label.chars().take(100).collect();
            return Err(Problem::not_found("label", label).hint(
                "labels are the aliases of the endpoint's model: `bottega models show NAME`",
            ));
        };
        self.pick(Some(*number)).map(|_| *number)
    }

    /// Whether requests are answered, or those for that version, without taking a turn.
    ///
    /// # Errors
    /// As for [`Route::pick`].
    pub(crate) fn check(&self, version: Option<i32>) -> Result<(), Problem> {
        match version {
            None if self.is_cold() && self.on_demand.as_ref().is_some_and(|it| it.waits()) => {
                Ok(())
            }
            None if self.shares.is_empty() => Err(self.not_ready()),
            None => Ok(()),
            Some(_) => self.pick(version).map(|_| ()),
        }
    }

    /// Whether it waits to be asked for, or is on its way since it was.
    pub(crate) fn is_cold(&self) -> bool {
        let waits = matches!(self.standing, Standing::Cold | Standing::Loading);
        self.on_demand.is_some() && self.shares.is_empty() && waits
    }

    /// It was asked for, and answers nobody yet.
    pub(crate) fn is_waking(&self) -> Problem {
        let name = &self.name;
        Problem::unavailable(format!(
            "endpoint `{name}` is loaded when it is asked for: it is on its way"
        ))
        .hint("try again in a moment")
    }

    fn not_ready(&self) -> Problem {
        let name = &self.name;
        if self.elsewhere.is_some() {
            return nobody(name);
        }
        Problem::unavailable(format!("endpoint `{name}` has no version ready on this node")).hint(
            format!("try again in a moment; `bottega endpoints show {name}` tells how far it is"),
        )
    }

    fn no_version(&self, number: impl std::fmt::Display) -> Problem {
        let serves: Vec<_> =
            self.shares.iter().map(|share| share.served.number.to_string()).collect();
        Problem::not_found("version", number).hint(format!(
            "endpoint `{}` serves version {} now",
            self.name,
            serves.join(", ")
        ))
    }
}

/// Whose turn it is, by weights that sum to 100: of every 100 tickets in a row each gets exactly
/// its share, well mixed.
fn drawn(ticket: u64, weights: impl IntoIterator<Item = i32>) -> Option<usize> {
    const STEP: u64 = 61; // has no factor in common with 100, so every remainder comes once
    let mut left = (ticket % 100 * STEP % 100) as i32;
    weights.into_iter().position(|weight| {
        left -= weight;
        left < 0
    })
}

/// Whether a request is one of so many percent.
pub(crate) fn takes_part(ticket: u64, percent: i32) -> bool {
    drawn(ticket, [percent]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_hundred_requests_each_version_gets_its_share() {
        for begin in [0, 7, u64::MAX - 500] {
            let mut counts = [0; 4];
            for ticket in begin..begin + 100 {
                counts[drawn(ticket, [0, 90, 7, 3]).unwrap()] += 1;
            }
            assert_eq!(counts, [0, 90, 7, 3]);
        }
    }

    #[test]
    fn of_every_hundred_requests_so_many_percent_take_part() {
        for percent in [0, 1, 37, 100] {
            let count = (7..107).filter(|ticket| takes_part(*ticket, percent)).count();
            assert_eq!(count, percent as usize);
        }
    }

    #[test]
    fn shares_are_mixed_and_not_served_in_blocks() {
        let turns: Vec<_> = (0..10).map(|ticket| drawn(ticket, [50, 50]).unwrap()).collect();
        assert!(turns.windows(4).all(|turns| turns.contains(&0) && turns.contains(&1)));
    }
}
