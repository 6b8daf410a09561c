//! Copies of requests for a version whose answers nobody gets.
//!
//! A copy is made only where there is room for it and nobody waits, and is run on a thread of its own
//! once the caller has the answer. Whatever gets in the way, the copy goes first: a queue that fills, too
//! many bytes, a version that has others to answer. It is charged to nobody.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Relaxed},
    },
};
use std::time::{Duration, Instant};

use domain::{
    Problem, Tensor, TensorData,
    capture::{Source, Wanted},
    quota::Tenant,
};
use futures_util::StreamExt as _;
use inference::{Answer, Ask, Priority};
use tokio::{runtime::Handle, sync::mpsc, task::spawn_blocking};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{difference::difference, metrics::ShadowCounts};
use crate::{
    State,
    capture::{About, Ended, Taken, is_of_content},
    live::{Route, Served, Share, takes_part},
};

/// Copies that wait on this node.
const WAITING: usize = 256;
/// Bytes of copies on this node, waiting and under way.
const BYTES: usize = 64 << 20;
/// Copies of one endpoint, waiting and under way.
const OF_ONE: usize = 16;
/// Copies that run at once.
const AT_ONCE: usize = 4;
/// More requests than these waiting for a version: it has no time for copies.
const CALM: usize = 4;

/// An endpoint's shadow.
#[derive(Debug)]
pub(super) struct Shadow {
    at: usize,
    percent: i32,
    tickets: AtomicU64,
    under_way: Arc<AtomicUsize>,
    counts: ShadowCounts,
}

/// A copy of a request's inputs, until it has been answered.
pub(crate) struct Copied {
    served: Arc<Served>,
    source: Arc<Source>,
    inputs: Vec<Tensor>,
    longest: Duration,
    counts: ShadowCounts,
    _room: Room,
}

/// A copy, what the caller was answered, and what is captured of the shadow's answer.
type Waiting = (Copied, Vec<Tensor>, Option<(Wanted, About)>);

/// What waits to be run, and how much there is of it.
pub(crate) struct Shadows {
    sender: mpsc::Sender<Waiting>,
    /// Until somebody runs them.
    receiver: Mutex<Option<mpsc::Receiver<Waiting>>>,
    bytes: Arc<AtomicUsize>,
}

/// Room that a copy takes, given back with it.
struct Room(Vec<(Arc<AtomicUsize>, usize)>);

impl Room {
    /// Takes from each of these as much, unless that is more than is left.
    fn take(from: [(&Arc<AtomicUsize>, usize, usize); 2]) -> Option<Self> {
        let mut taken = Self(Vec::with_capacity(from.len()));
        for (used, more, limit) in from {
            let fits = |now: usize| now.checked_add(more).filter(|sum| *sum <= limit);
            used.fetch_update(AcqRel, Relaxed, fits).ok()?;
            taken.0.push((Arc::clone(used), more));
        }
        Some(taken)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for (used, taken) in &self.0 {
            used.fetch_sub(*taken, AcqRel);
        }
    }
}

impl Default for Shadows {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { sender, receiver: Mutex::new(Some(receiver)), bytes: Arc::default() }
    }
}

impl Shadow {
    pub(super) fn new(at: usize, percent: i32, counts: ShadowCounts) -> Self {
        Self { at, percent, tickets: AtomicU64::default(), under_way: Arc::default(), counts }
    }

    /// Copies the inputs of a request that goes to `share`, if it is its turn and nobody waits.
    pub(super) fn copy(
        &self,
        route: &Route,
        share: &Share,
        inputs: &[Tensor],
        shadows: &Shadows,
    ) -> Option<Copied> {
        let Share { served, source, .. } = route.shares.get(self.at)?;
        let ticket = self.tickets.fetch_add(1, Relaxed);
        if Arc::ptr_eq(served, &share.served) || !takes_part(ticket, self.percent) {
            return None;
        }
        let is_calm = share.served.replica.queued() <= CALM && served.replica.queued() <= CALM;
        let size = inputs.iter().map(|input| bytes(&input.data)).sum();
        let room = is_calm
            .then(|| Room::take([(&self.under_way, 1, OF_ONE), (&shadows.bytes, size, BYTES)]));
        let Some(room) = room.flatten() else {
            self.counts.dropped.inc();
            return None;
        };
        Some(Copied {
            served: Arc::clone(served),
            source: Arc::clone(source),
            inputs: inputs.to_vec(),
            longest: route.deadline,
            counts: self.counts.clone(),
            _room: room,
        })
    }
}

impl Copied {
    /// Runs it later, to be compared with what the caller is answered.
    pub(crate) fn answered(
        self,
        outputs: &[Tensor],
        shadows: &Shadows,
        watched: Option<(Wanted, About)>,
    ) {
        let counts = self.counts.clone();
        if shadows.sender.try_send((self, outputs.to_vec(), watched)).is_err() {
            counts.dropped.inc();
        }
    }

    async fn compare(self, state: &State, answer: Vec<Tensor>, watched: Option<(Wanted, About)>) {
        let Self { served, source, inputs, longest, counts, _room } = self;
        let begun = Instant::now();
        let (deadline, priority, tenant) = (begun + longest, Priority::Low, Tenant::NOBODY);
        let ask = Ask { deadline, priority, tenant, max_queue: CALM };
        let rows = inputs.first().and_then(|input| input.shape.first()).copied().unwrap_or(1);
        let offer = |inputs, outputs, code| {
            if let Some((Wanted { keep }, about)) = watched {
                let taken = Taken::of(keep, rows, inputs, outputs);
                let (at, took) = (state.given.database.now(), begun.elapsed());
                taken.offer(state, &source, about, true, Ended { at, took, code });
            }
        };
        match served.replica.infer(inputs, ask).await {
            Ok(Answer { outputs, inputs, .. }) => {
                let apart = difference(&answer, &outputs);
                if apart == 0.0 {
                    counts.equal.inc();
                } else {
                    counts.differs.inc();
                    if apart.is_finite() {
                        counts.difference.observe(apart);
                    }
                }
                offer(inputs, outputs, None);
            }
            // Others were there first.
            Err(inference::Error::Overloaded | inference::Error::Draining) => {
                counts.dropped.inc();
            }
            Err(error) => {
                tracing::debug!(%error, "a shadow failed");
                counts.failed.inc();
                let code = Problem::from(error).code;
                if is_of_content(code) {
                    offer(Vec::new(), Vec::new(), Some(code));
                }
            }
        }
    }
}

/// Runs copies until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) {
    let receiver = state.shadows.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(receiver) = receiver else { return };
    let copies = ReceiverStream::new(receiver);
    let compared = copies.for_each_concurrent(AT_ONCE, |(copied, answer, watched)| {
        // Quick models run on the thread that asks: never on one that others wait for.
        let (runtime, state) = (Handle::current(), state.clone());
        let run = move || runtime.block_on(copied.compare(&state, answer, watched));
        async {
            if let Err(error) = spawn_blocking(run).await {
                tracing::error!(%error, "a shadow ended early");
            }
        }
    });
    stop.run_until_cancelled(compared).await;
}

fn bytes(data: &TensorData) -> usize {
    let TensorData::Bytes(texts) = data else {
        return data.len() * data.datatype().size().unwrap_or(1);
    };
    texts.iter().map(|text| text.len() + size_of::<Vec<u8>>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_from_both_or_from_neither_and_comes_back() {
        let (one, other) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let take = |bytes: usize| Room::take([(&one, 1, 2), (&other, bytes, 10)]);
        let used = || (one.load(Relaxed), other.load(Relaxed));
        let first = take(6);
        assert!(first.is_some());
        assert!(take(5).is_none());
        assert_eq!(used(), (1, 6));
        assert!(take(usize::MAX).is_none());
        let second = take(4);
        assert!(second.is_some() && take(0).is_none());
        drop((first, second));
        assert_eq!(used(), (0, 0));
    }
}
