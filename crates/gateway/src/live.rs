//! What this node answers with now: one table, swapped whole.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use domain::{EndpointId, ModelName, Problem, Signature, VersionId, access::Target};
use inference::Replica;
use serde_json::Value;

use crate::{identity::Labels, metrics::EndpointMetrics};

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
    /// What goes in and comes out.
    pub signature: Signature,
    /// A request body that it answers, if its author gave one.
    pub input_example: Option<Value>,
    /// What computes the answers.
    pub(crate) replica: Replica,
}

/// A version's share of an endpoint's traffic, in percent.
#[derive(Clone)]
pub(crate) struct Share {
    pub(crate) weight: i32,
    pub(crate) served: Arc<Served>,
}

/// An endpoint as this node serves it.
pub(crate) struct Route {
    pub(crate) endpoint: EndpointId,
    pub(crate) name: String,
    /// What decisions look at.
    pub(crate) target: Arc<Target>,
    pub(crate) metrics: EndpointMetrics,
    /// The release whose versions these are, by number; absent while none was ever ready here.
    pub(crate) release: Option<i32>,
    /// All loaded; empty without a release.
    pub(crate) shares: Vec<Share>,
    /// Whether its first release is all loaded here, so that it may be completed by now.
    pub(crate) is_near: bool,
    tickets: AtomicU64,
}

impl Route {
    /// A route to these versions.
    pub(crate) fn new(
        endpoint: EndpointId,
        name: String,
        target: Arc<Target>,
        metrics: EndpointMetrics,
        release: Option<i32>,
        shares: Vec<Share>,
        is_near: bool,
    ) -> Self {
        Self {
            endpoint,
            name,
            target,
            metrics,
            release,
            shares,
            is_near,
            tickets: AtomicU64::new(0),
        }
    }

    /// The same, for decisions that look at this target.
    pub(crate) fn owned(&self, target: Arc<Target>) -> Self {
        let (name, metrics) = (self.name.clone(), self.metrics.clone());
        let shares = self.shares.clone();
        Self::new(self.endpoint, name, target, metrics, self.release, shares, self.is_near)
    }

    /// The version that answers the next request, or the one that the caller insists on.
    ///
    /// # Errors
    /// None is ready here, or that version is not part of the release.
    pub(crate) fn pick(&self, version: Option<i32>) -> Result<&Arc<Served>, Problem> {
        let picked = match (version, self.shares.as_slice()) {
            (Some(number), shares) => shares.iter().find(|share| share.served.number == number),
            (None, [only]) => Some(only),
            (None, shares) => {
                let ticket = self.tickets.fetch_add(1, Relaxed);
                drawn(ticket, shares.iter().map(|share| share.weight)).and_then(|at| shares.get(at))
            }
        };
        match (picked, version) {
            (Some(share), _) => Ok(&share.served),
            (None, Some(number)) if !self.shares.is_empty() => Err(self.no_version(number)),
            (None, _) => Err(Problem::unavailable(format!(
                "endpoint `{}` has no version ready on this node",
                self.name
            ))
            .hint(format!(
                "try again in a moment; `bottega endpoints show {}` tells how far it is",
                self.name
            ))),
        }
    }

    /// A version that could have answered, to tell what a request that failed was for.
    pub(crate) fn pick_any(&self) -> Option<&Arc<Served>> {
        self.shares.first().map(|share| &share.served)
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
    fn shares_are_mixed_and_not_served_in_blocks() {
        let turns: Vec<_> = (0..10).map(|ticket| drawn(ticket, [50, 50]).unwrap()).collect();
        assert!(turns.windows(4).all(|turns| turns.contains(&0) && turns.contains(&1)));
    }
}
