//! Metrics that are put together when somebody asks, out of what each thread counted for itself: how
//! predictions ended, how long they and their stages took, the rows of runs, and who waits or was shed.
//! There are only those of versions and endpoints that this node serves now, so callers cannot make more.

use std::{collections::BTreeMap, fmt, sync::atomic::Ordering::Relaxed};

use inference::Shed;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Registry,
};

use crate::{State, live::Served, metrics::Ends, spans::Spans, stages::Told};

impl State {
    /// Makes what this node serves known to a registry, which has no prefix of its own:
    /// `bottega_inference_requests_total`, `bottega_inference_duration_seconds`, `bottega_inference_stage_seconds`, `bottega_inference_batch_rows`, `bottega_inference_queue_depth`
    /// and `bottega_inference_shed_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Collected(self.clone())));
    }
}

struct Collected(State);

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collected").field(&self.0.id).finish()
    }
}

type Encoded = Result<(), fmt::Error>;

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Encoded {
        self.encode_requests(&mut encoder)?;
        self.encode_durations(&mut encoder)?;
        self.encode_stages(&mut encoder)?;
        self.encode_rows(&mut encoder)?;
        self.encode_replicas(&mut encoder)?;
        self.encode_traces(&mut encoder)
    }
}

impl Collected {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder) -> Encoded {
        let help = "Predictions asked for, by how they ended; model and version are empty where none was picked";
        let name = "bottega_inference_requests";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        let mut encode = |endpoint: &str, (model, version): (&str, &str), ends: &Ends| {
            for (end, count) in ends.iter() {
                let labels = [
                    ("endpoint", endpoint),
                    ("model", model),
                    ("version", version),
                    ("protocol", end.protocol.as_str()),
                    ("code", end.code()),
                ];
                let mut counter = family.encode_family(&labels)?;
                counter.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
            Ok(())
        };
        for route in self.0.live.load().values() {
            encode(&route.name, ("", ""), &route.metrics.ends())?;
            for share in &route.shares {
                encode(&route.name, names(&share.served), &share.statistics.ends())?;
            }
        }
        Ok(())
    }

    fn encode_durations(&self, encoder: &mut DescriptorEncoder) -> Encoded {
        let help = "Time from a prediction's request to its answer, decoding included";
        let name = "bottega_inference_duration_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for route in self.0.live.load().values() {
            let labels = [("endpoint", route.name.as_str())];
            histogram(&mut family.encode_family(&labels)?, &route.metrics.seconds())?;
        }
        Ok(())
    }

    fn encode_stages(&self, encoder: &mut DescriptorEncoder) -> Encoded {
        let help = "Where the time of answered predictions went";
        let name = "bottega_inference_stage_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for route in self.0.live.load().values() {
            for share in &route.shares {
                let stages = share.statistics.stages();
                for (stage, told) in stages.seconds() {
                    let (model, version) = names(&share.served);
                    let labels = [
                        ("endpoint", route.name.as_str()),
                        ("model", model),
                        ("version", version),
                        ("stage", stage),
                    ];
                    histogram(&mut family.encode_family(&labels)?, &told)?;
                }
            }
        }
        Ok(())
    }

    fn encode_rows(&self, encoder: &mut DescriptorEncoder) -> Encoded {
        let help = "Rows of the runs that predictions shared";
        let name = "bottega_inference_batch_rows";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for route in self.0.live.load().values() {
            for share in &route.shares {
                let (model, version) = names(&share.served);
                let labels =
                    [("endpoint", route.name.as_str()), ("model", model), ("version", version)];
                let told = share.statistics.stages().rows();
                histogram(&mut family.encode_family(&labels)?, &told)?;
            }
        }
        Ok(())
    }

    /// Where traces are recorded.
    fn encode_traces(&self, encoder: &mut DescriptorEncoder) -> Encoded {
        let Some(Spans { counts, .. }) = &self.0.spans else { return Ok(()) };
        let help = "Predictions that were traced: the collector has them (sent), there was no room for them (dropped), or it did not take them (refused)";
        let name = "bottega_traces";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (outcome, count) in
            [("sent", &counts.sent), ("dropped", &counts.dropped), ("refused", &counts.refused)]
        {
            let labels = [("outcome", outcome)];
            let mut counter = family.encode_family(&labels)?;
            counter.encode_counter::<NoLabelSet, _, u64>(&count.load(Relaxed), None)?;
        }
        Ok(())
    }

    /// What belongs to a version, however many endpoints serve it.
    fn encode_replicas(&self, encoder: &mut DescriptorEncoder) -> Encoded {
        let live = self.0.live.load();
        let shares = live.values().flat_map(|route| &route.shares);
        let served: BTreeMap<_, _> =
            shares.map(|share| (share.served.version, &share.served)).collect();
        let help = "Predictions that wait for their turn";
        let name = "bottega_inference_queue_depth";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for served in served.values() {
            let (model, version) = names(served);
            let labels = [("model", model), ("version", version)];
            let waiting = i64::try_from(served.replica.queued()).unwrap_or(i64::MAX);
            family.encode_family(&labels)?.encode_gauge(&waiting)?;
        }
        let help = "Predictions that were not computed, since too many waited (full), they would have waited too long (slow) or been late (late)";
        let name = "bottega_inference_shed";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for served in served.values() {
            let Shed { full, slow, late } = served.replica.shed();
            for (reason, count) in [("full", full), ("slow", slow), ("late", late)] {
                let (model, version) = names(served);
                let labels = [("model", model), ("version", version), ("reason", reason)];
                let mut counter = family.encode_family(&labels)?;
                counter.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }
}

fn names(served: &Served) -> (&str, &str) {
    (served.model.as_str(), &served.labels.version)
}

fn histogram(encoder: &mut MetricEncoder<'_>, (sum, count, buckets): &Told) -> Encoded {
    encoder.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
}
