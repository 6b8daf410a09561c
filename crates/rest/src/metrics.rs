//! How many requests were answered, how, and how long it took.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric, counter::Counter, family::Family};
use prometheus_client::registry::Registry;

/// In seconds: from a cached answer to a slow model.
const BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const UNMATCHED: &str = "unmatched";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: &'static str,
}

/// `bottega_http_requests_total` by method, route and class of status, and
/// `bottega_http_request_duration_seconds` by method and route.
///
/// A route is a pattern of ours (`/api/v1/models/{name}`) or `unmatched`, so that callers cannot
/// make new label values.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    durations: Family<RouteLabels, Durations>,
    requests: Family<RequestLabels, Counter>,
}

impl HttpMetrics {
    /// Makes the metrics known to a registry, which has no prefix of its own.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { durations: Family::default(), requests: Family::default() };
        registry.register(
            "bottega_http_request_duration_seconds",
            "Time from a request's head to its answer's head",
            metrics.durations.clone(),
        );
        registry.register("bottega_http_requests", "Requests answered", metrics.requests.clone());
        metrics
    }

    fn resolve(&self, method: &'static str, route: &str) -> RouteMetrics {
        let route = route.to_owned();
        let requests = STATUS_CLASSES.map(|status| {
            let labels = RequestLabels { method, route: route.clone(), status };
            self.requests.get_or_create_owned(&labels)
        });
        let durations = self.durations.get_or_create_owned(&RouteLabels { method, route });
        RouteMetrics { method, times: durations.part(), requests }
    }
}

/// How long the requests of a route took. Each worker counts by itself, so that none waits for another;
/// that is put together when somebody asks.
#[derive(Debug, Clone, Default)]
struct Durations(Arc<Mutex<Vec<Arc<Times>>>>);

/// What one worker counted: requests up to each bound and above them all, and their nanoseconds.
#[derive(Debug, Default)]
struct Times {
    counts: [AtomicU64; BUCKETS.len() + 1],
    nanos: AtomicU64,
}

impl Durations {
    /// What one more worker counts in.
    fn part(&self) -> Arc<Times> {
        let part = Arc::<Times>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&part));
        part
    }
}

impl Times {
    fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = BUCKETS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
        let mut buckets: Vec<_> = bounds.map(|bound| (bound, 0)).collect();
        let mut nanos = 0;
        for part in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for ((_, sum), count) in buckets.iter_mut().zip(&part.counts) {
                *sum += count.load(Relaxed);
            }
            nanos += part.nanos.load(Relaxed);
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(nanos as f64 / 1e9, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// The metrics of one method on one route.
struct RouteMetrics {
    method: &'static str,
    times: Arc<Times>,
    requests: [Counter; STATUS_CLASSES.len()],
}

/// One worker's way to the metrics: it looks a route's labels up once, not for each request.
pub(crate) struct Recorder {
    metrics: HttpMetrics,
    routes: RefCell<HashMap<String, Vec<RouteMetrics>>>,
}

impl Recorder {
    pub(crate) fn new(metrics: HttpMetrics) -> Self {
        Self { metrics, routes: RefCell::default() }
    }

    /// Counts one answer; without a route it is an unmatched one.
    pub(crate) fn record(
        &self,
        method: &Method,
        route: Option<&str>,
        status: StatusCode,
        duration: Duration,
    ) {
        let (method, route) = (label(method), route.unwrap_or(UNMATCHED));
        let mut routes = self.routes.borrow_mut();
        let Some(known) =
            routes.get(route).and_then(|methods| methods.iter().find(|it| it.method == method))
        else {
            let resolved = self.metrics.resolve(method, route);
            resolved.record(status, duration);
            routes.entry(route.to_owned()).or_default().push(resolved);
            return;
        };
        known.record(status, duration);
    }
}

impl RouteMetrics {
    fn record(&self, status: StatusCode, duration: Duration) {
        self.times.add(duration);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(requests) = self.requests.get(class) {
            requests.inc();
        }
    }
}

/// Callers may invent methods; we count those together.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_route_and_class_of_status() {
        let mut registry = Registry::default();
        let metrics = HttpMetrics::register(&mut registry);
        let (one, other) = (Recorder::new(metrics.clone()), Recorder::new(metrics));
        let millisecond = Duration::from_millis(1);
        let invented = Method::from_bytes(b"BREW").unwrap();
        one.record(&Method::GET, Some("/a/{b}"), StatusCode::OK, millisecond);
        one.record(&Method::GET, Some("/a/{b}"), StatusCode::CREATED, millisecond);
        other.record(&Method::GET, Some("/a/{b}"), StatusCode::NOT_FOUND, 20 * millisecond);
        other.record(&invented, None, StatusCode::NOT_FOUND, millisecond);

        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"bottega_http_requests_total{method="GET",route="/a/{b}",status="2xx"} 2"#,
            r#"bottega_http_requests_total{method="GET",route="/a/{b}",status="4xx"} 1"#,
            r#"bottega_http_requests_total{method="GET",route="/a/{b}",status="5xx"} 0"#,
            r#"bottega_http_requests_total{method="other",route="unmatched",status="4xx"} 1"#,
            r#"bottega_http_request_duration_seconds_count{method="GET",route="/a/{b}"} 3"#,
            r#"bottega_http_request_duration_seconds_sum{method="GET",route="/a/{b}"} 0.022"#,
            r#"bottega_http_request_duration_seconds_bucket{le="0.0005",method="GET",route="/a/{b}"} 0"#,
            r#"bottega_http_request_duration_seconds_bucket{le="0.001",method="GET",route="/a/{b}"} 2"#,
            r#"bottega_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/a/{b}"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
