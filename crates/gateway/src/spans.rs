//! Traces: a span for each prediction that is sampled, with a child for each of its stages.
//!
//! A prediction whose caller traces it is part of that trace, if the caller records it; one whose caller
//! says nothing begins a trace of its own, at the rate that was set. What is over goes into a bounded
//! queue, and from there in batches to an OpenTelemetry collector ([`export`]). A full queue drops and
//! counts. Where no collector is named there is none of this.

pub(crate) mod export;
mod headers;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use domain::ErrorCode;
use reqwest::header::HeaderMap;
use rest::TraceParent;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::headers::collector_headers;
use crate::State;

/// Predictions that wait to be sent; what comes beyond is dropped.
const WAITING: usize = 4096;

/// Where traces go.
#[derive(Debug, Clone)]
pub struct Tracing {
    /// The collector, as `http://localhost:4318`.
    pub endpoint: String,
    /// What it is told with each message.
    pub headers: HeaderMap,
    /// Which share of the predictions whose callers trace nothing, from 0 to 1.
    pub sample: f64,
}

/// A prediction's place in a trace that is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Traced {
    /// The trace, and our span in it.
    pub(crate) own: TraceParent,
    /// The caller's span.
    pub(crate) parent: Option<[u8; 8]>,
}

/// A prediction that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) traced: Traced,
    /// What it is called.
    pub(crate) name: String,
    pub(crate) ended: SystemTime,
    pub(crate) took: Duration,
    /// Its last stages; what came before them took the rest.
    pub(crate) stages: Vec<(&'static str, Duration)>,
    pub(crate) texts: Vec<(&'static str, String)>,
    pub(crate) rows: u64,
    /// Why it was refused, if it was.
    pub(crate) code: Option<ErrorCode>,
}

/// What became of predictions that were traced.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The collector has them.
    pub(crate) sent: AtomicU64,
    /// There was no room for them.
    pub(crate) dropped: AtomicU64,
    /// The collector did not take them.
    pub(crate) refused: AtomicU64,
}

/// What is traced, and the way out.
#[derive(Debug)]
pub(crate) struct Spans {
    /// Of 2^64.
    threshold: u64,
    sender: mpsc::Sender<Finished>,
    /// Until somebody sends them.
    receiver: Mutex<Option<mpsc::Receiver<Finished>>>,
    pub(crate) counts: Counts,
}

impl Spans {
    pub(crate) fn new(tracing: &Tracing) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        // The cast keeps within the bounds of the type.
        let threshold = (tracing.sample.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        let (receiver, counts) = (Mutex::new(Some(receiver)), Counts::default());
        Self { threshold, sender, receiver, counts }
    }

    /// Whether a prediction is traced, by what its caller says.
    pub(crate) fn begin(&self, caller: Option<TraceParent>) -> Option<Traced> {
        let is_sampled = match caller {
            Some(caller) => caller.is_sampled,
            None => self.threshold > 0 && rand::random::<u64>() <= self.threshold,
        };
        is_sampled.then(|| {
            let trace = caller.map_or_else(rand::random, |caller| caller.trace);
            let own = TraceParent { trace, span: rand::random(), is_sampled };
            Traced { own, parent: caller.map(|caller| caller.span) }
        })
    }

    /// Sends it on its way, if there is room.
    pub(crate) fn finish(&self, finished: Finished) {
        if self.sender.try_send(finished).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Sends what is traced until told to stop.
pub(crate) async fn run(state: State, stop: CancellationToken) {
    let settings = &state.given.settings;
    let Some((spans, tracing)) = state.spans.as_ref().zip(settings.tracing.as_ref()) else {
        return;
    };
    let receiver = spans.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(receiver) = receiver {
        let resource = export::resource(&state.id.to_string(), &settings.node.host);
        export::run(&spans.counts, receiver, tracing, &resource, &stop).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn spans(sample: f64) -> Spans {
        Spans::new(&Tracing { endpoint: String::new(), headers: HeaderMap::new(), sample })
    }

    #[test]
    fn a_caller_decides_and_who_says_nothing_is_sampled() {
        let (never, half, always) = (spans(0.0), spans(0.5), spans(1.0));
        let traced = never.begin(TraceParent::parse(CALLER)).unwrap();
        assert_eq!(traced.own.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(traced.parent, Some(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()));
        assert_ne!(traced.parent, Some(traced.own.span));
        let unsampled = TraceParent::parse(&CALLER.replace("-01", "-00")).unwrap();
        assert!(always.begin(Some(unsampled)).is_none());
        assert!((0..1000).all(|_| never.begin(None).is_none()));
        let count = (0..10_000).filter(|_| half.begin(None).is_some()).count();
        assert!((4_500..5_500).contains(&count), "{count}");
        let (one, other) = (always.begin(None).unwrap(), always.begin(None).unwrap());
        assert!(one.parent.is_none() && one.own.trace != other.own.trace);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let spans = spans(1.0);
        for _ in 0..WAITING + 3 {
            let traced = spans.begin(None).unwrap();
            spans.finish(Finished {
                traced,
                name: String::new(),
                ended: SystemTime::UNIX_EPOCH,
                took: Duration::ZERO,
                stages: Vec::new(),
                texts: Vec::new(),
                rows: 0,
                code: None,
            });
        }
        assert_eq!(spans.counts.dropped.load(Relaxed), 3);
    }
}
