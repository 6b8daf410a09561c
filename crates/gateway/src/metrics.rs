//! How many predictions were answered, how, and how long they took.

use std::time::Duration;

use domain::Problem;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::routing::Detours;

/// In seconds: from a tiny model on an idle machine to the deadline.
const BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 30.0,
];

/// What `code` says of a prediction that was no refusal.
const OK: &str = "ok";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    endpoint: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

/// `bottega_inference_requests_total` by endpoint and code (`ok`, or an error code of the API) and
/// `bottega_inference_duration_seconds` by endpoint, of all protocols.
///
/// Only requests for endpoints that exist are counted: callers cannot make new label values.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<EndpointLabels, Histogram>,
    pub(crate) detours: Detours,
}

impl Metrics {
    /// Makes the metrics known to a registry, which has no prefix of its own.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            detours: Detours::register(registry),
        };
        registry.register(
            "bottega_inference_requests",
            "Predictions asked for, by how they ended",
            metrics.requests.clone(),
        );
        registry.register(
            "bottega_inference_duration_seconds",
            "Time from a prediction's request to its answer, decoding included",
            metrics.durations.clone(),
        );
        metrics
    }

    /// The metrics of one endpoint, looked up once for many requests.
    pub(crate) fn of(&self, endpoint: &str) -> EndpointMetrics {
        let endpoint = endpoint.to_owned();
        let labels = RequestLabels { endpoint: endpoint.clone(), code: OK };
        EndpointMetrics {
            answered: self.requests.get_or_create_owned(&labels),
            requests: self.requests.clone(),
            duration: self
                .durations
                .get_or_create_owned(&EndpointLabels { endpoint: endpoint.clone() }),
            endpoint,
        }
    }
}

/// One endpoint's part of the [`Metrics`].
#[derive(Debug, Clone)]
pub(crate) struct EndpointMetrics {
    endpoint: String,
    answered: Counter,
    requests: Family<RequestLabels, Counter>,
    duration: Histogram,
}

impl EndpointMetrics {
    /// Counts a prediction that ended.
    pub(crate) fn count<T>(&self, result: &Result<T, Problem>, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        match result {
            Ok(_) => self.answered.inc(),
            Err(problem) => {
                let endpoint = self.endpoint.clone();
                let labels = RequestLabels { endpoint, code: problem.code.as_str() };
                self.requests.get_or_create(&labels).inc()
            }
        };
    }
}
