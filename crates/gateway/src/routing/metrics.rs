//! How often requests took another way than the weights', and what came of it.

use domain::serving;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Distances between answers, from noise of arithmetic to something else altogether.
const BUCKETS: [f64; 10] = [1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 100.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    endpoint: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: String,
}

/// `bottega_shadow_total` by endpoint and outcome (`equal`, `differs`, `failed`, `dropped`),
/// `bottega_shadow_difference` by endpoint, and `bottega_fallback_total` by endpoint and outcome
/// (`answered`, `failed`). Only endpoints that have a shadow or a fallback are there.
#[derive(Debug, Clone)]
pub(crate) struct Detours {
    shadows: Family<OutcomeLabels, Counter>,
    differences: Family<EndpointLabels, Histogram>,
    fallbacks: Family<OutcomeLabels, Counter>,
}

/// What shadows of one endpoint came to.
#[derive(Debug, Clone)]
pub(super) struct ShadowCounts {
    pub(super) equal: Counter,
    pub(super) differs: Counter,
    pub(super) failed: Counter,
    pub(super) dropped: Counter,
    pub(super) difference: Histogram,
}

/// What fallbacks of one endpoint came to.
#[derive(Debug, Clone)]
pub(super) struct FallbackCounts {
    pub(super) answered: Counter,
    pub(super) failed: Counter,
}

/// One endpoint's part.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) shadow: Option<ShadowCounts>,
    pub(super) fallback: Option<FallbackCounts>,
}

impl Detours {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let detours = Self {
            shadows: Family::default(),
            differences: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            fallbacks: Family::default(),
        };
        registry.register(
            "bottega_shadow",
            "Copies of requests to a shadow, by what came of them",
            detours.shadows.clone(),
        );
        registry.register(
            "bottega_shadow_difference",
            "The largest distance between a number of an answer and the shadow's, where they differ by numbers",
            detours.differences.clone(),
        );
        registry.register(
            "bottega_fallback",
            "Requests whose version failed and that went to the fallback, by what came of it",
            detours.fallbacks.clone(),
        );
        detours
    }

    /// One endpoint's, for what its release has.
    pub(super) fn of(&self, endpoint: &str, routing: &serving::Routing) -> Counted {
        let count = |family: &Family<OutcomeLabels, Counter>, outcome| {
            let endpoint = endpoint.to_owned();
            family.get_or_create_owned(&OutcomeLabels { endpoint, outcome })
        };
        let shadow = routing.shadow.map(|_| ShadowCounts {
            equal: count(&self.shadows, "equal"),
            differs: count(&self.shadows, "differs"),
            failed: count(&self.shadows, "failed"),
            dropped: count(&self.shadows, "dropped"),
            difference: self
                .differences
                .get_or_create_owned(&EndpointLabels { endpoint: endpoint.to_owned() }),
        });
        let fallback = routing.fallback.map(|_| FallbackCounts {
            answered: count(&self.fallbacks, "answered"),
            failed: count(&self.fallbacks, "failed"),
        });
        Counted { shadow, fallback }
    }
}
