//! Endpoints that other nodes hold: which do, and whose turn it is.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use domain::Problem;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use store::serving::{self, Holder};

/// While nobody holds an endpoint since so long at most, somebody may in a moment: a lease ends, and what
/// its node held is loaded elsewhere.
const AWAITED: Duration = Duration::from_secs(20);
/// A node that could not be reached is asked after the others for so long.
const AVOIDED: Duration = Duration::from_secs(5);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The nodes that hold an endpoint's release, and this one does not.
pub(crate) struct Elsewhere {
    told: serving::Elsewhere,
    since: Instant,
    /// Until when each is avoided, in milliseconds since this process began.
    avoided: Vec<AtomicU64>,
    turn: AtomicUsize,
    pub(crate) counts: Counts,
}

impl Elsewhere {
    pub(crate) fn new(told: serving::Elsewhere, counts: Counts) -> Self {
        let avoided = told.holders.iter().map(|_| AtomicU64::default()).collect();
        Self { told, since: Instant::now(), avoided, turn: AtomicUsize::default(), counts }
    }

    /// Whether they are the same nodes with the same versions.
    pub(crate) fn is(&self, told: &serving::Elsewhere) -> bool {
        self.told == *told
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.told.holders.is_empty()
    }

    /// Whether nobody holds it yet, but may in a moment.
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_empty() && self.since.elapsed() < AWAITED
    }

    /// The numbers of the versions that they hold.
    pub(crate) fn versions(&self) -> &[i32] {
        &self.told.versions
    }

    /// All nodes in the order in which this request tries them: they take turns.
    pub(crate) fn in_turn(&self) -> Vec<(usize, &Holder)> {
        let (count, now) = (self.told.holders.len().max(1), millis(BEGAN.elapsed()));
        let first = self.turn.fetch_add(1, Relaxed) % count;
        let (late, early) = self.told.holders.split_at(first.min(self.told.holders.len()));
        let turned = (first..).zip(early).chain(late.iter().enumerate());
        let mut turned: Vec<_> = turned.collect();
        turned.sort_by_key(|(at, _)| self.avoided[*at].load(Relaxed) > now);
        turned
    }

    /// Notes that one of them could not be reached, so that the next one is asked.
    pub(crate) fn pass_over(&self, at: usize) {
        self.counts.unreachable.inc();
        self.avoid(at);
    }

    /// Notes that one of them does not answer: others are asked before it for a while.
    pub(crate) fn avoid(&self, at: usize) {
        let until = millis(BEGAN.elapsed() + AVOIDED);
        self.avoided[at].store(until, Relaxed);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    endpoint: String,
    outcome: &'static str,
}

/// `bottega_forwarded_total` by endpoint and outcome: `answered` by another node, `failed` where that broke
/// off, was late or nobody was left, `unreachable` for each node that was passed over.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded(Family<Labels, Counter>);

/// What became of the requests for one endpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    answered: Counter,
    failed: Counter,
    unreachable: Counter,
}

impl Forwarded {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let family = Family::default();
        registry.register(
            "bottega_forwarded",
            "Requests for endpoints that other nodes hold, by what came of them",
            family.clone(),
        );
        Self(family)
    }

    pub(crate) fn of(&self, endpoint: &str) -> Counts {
        let count = |outcome| {
            let endpoint = endpoint.to_owned();
            self.0.get_or_create_owned(&Labels { endpoint, outcome })
        };
        Counts {
            answered: count("answered"),
            failed: count("failed"),
            unreachable: count("unreachable"),
        }
    }
}

impl Counts {
    /// Counts a request that another node answered, or none did.
    pub(crate) fn count(&self, is_answered: bool) {
        if is_answered {
            self.answered.inc()
        } else {
            self.failed.inc()
        };
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// No node answers for an endpoint.
pub(crate) fn nobody(endpoint: &str) -> Problem {
    Problem::unavailable(format!("no node that holds endpoint `{endpoint}` can be reached"))
        .hint("try again in a moment; `bottega status` tells which nodes hold it, or why none does")
}

#[cfg(test)]
mod tests {
    use domain::NodeId;

    use super::*;

    #[test]
    fn holders_take_turns_and_those_that_were_not_reached_come_last() {
        let holder =
            |url: &str| Holder { id: NodeId::new(), url: url.to_owned(), grpc: String::new() };
        let holders = ["a", "b", "c"].map(holder).into();
        let elsewhere =
            Elsewhere::new(serving::Elsewhere { versions: vec![1], holders }, Counts::default());
        let order =
            || elsewhere.in_turn().into_iter().map(|(_, holder)| &*holder.url).collect::<String>();
        assert_eq!([order(), order(), order(), order()], ["abc", "bca", "cab", "abc"]);
        elsewhere.avoid(1);
        assert_eq!([order(), order()], ["cab", "cab"]);
        let nobody = Elsewhere::new(serving::Elsewhere::default(), Counts::default());
        assert!(nobody.is_awaited() && nobody.in_turn().is_empty());
    }
}
