//! How much was captured, and how much was not.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RowLabels {
    endpoint: String,
    outcome: &'static str,
}

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They are in sketches.
    Sketched,
    /// They are in the sketches of a shadow.
    Shadow,
    /// Their request failed: it was counted.
    Failed,
    /// They are in a file.
    Kept,
    /// Their request was too large: only its first rows were taken.
    Cut,
    /// A quota was spent: they were not kept.
    OverQuota,
    /// They could not be written for too long, and there was no room for them any more.
    Lost,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sketched => "sketched",
            Self::Shadow => "shadow",
            Self::Failed => "failed",
            Self::Kept => "kept",
            Self::Cut => "cut",
            Self::OverQuota => "over_quota",
            Self::Lost => "lost",
        }
    }
}

/// `bottega_capture_dropped_total` by endpoint, in requests, and `bottega_capture_rows_total` by
/// endpoint and outcome. Only endpoints that exist are counted.
#[derive(Debug, Clone)]
pub struct Metrics {
    dropped: Family<EndpointLabels, Counter>,
    rows: Family<RowLabels, Counter>,
}

impl Metrics {
    /// Makes the metrics known to a registry, which has no prefix of its own.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { dropped: Family::default(), rows: Family::default() };
        registry.register(
            "bottega_capture_dropped",
            "Requests that were not captured, since there was no room",
            metrics.dropped.clone(),
        );
        registry.register(
            "bottega_capture_rows",
            "Rows of requests, by what became of them",
            metrics.rows.clone(),
        );
        metrics
    }

    pub(crate) fn dropped(&self, endpoint: &str) {
        self.dropped.get_or_create(&EndpointLabels { endpoint: endpoint.to_owned() }).inc();
    }

    pub(crate) fn rows(&self, endpoint: &str, outcome: Outcome, rows: usize) {
        if rows > 0 {
            let labels = RowLabels { endpoint: endpoint.to_owned(), outcome: outcome.as_str() };
            self.rows.get_or_create(&labels).inc_by(rows as u64);
        }
    }
}
