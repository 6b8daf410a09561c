//! What a server has done with its models, over REST and over gRPC.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::grpc::messages;

/// The answer to `GET /v2/models/{name}/stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsAnswer {
    /// One for each version of each model that was asked for.
    pub model_stats: Vec<ModelStatistics>,
}

/// One version of one model, since the server began to serve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStatistics {
    /// The model.
    pub name: String,
    /// The version.
    pub version: String,
    /// When the last request ended, in milliseconds of Unix time; 0 for never.
    pub last_inference: u64,
    /// The rows of all answered requests.
    pub inference_count: u64,
    /// The runs of the model that they took.
    pub execution_count: u64,
    /// Where the time of requests went.
    pub inference_stats: InferStatistics,
    /// The runs, by their rows.
    pub batch_stats: Vec<BatchStatistics>,
}

/// How often something was done, and how long it took in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// How often.
    pub count: u64,
    /// Nanoseconds in all.
    pub ns: u64,
}

impl Spent {
    /// Once more.
    pub fn add(&mut self, took: Duration) {
        self.merge(Self { count: 1, ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) });
    }

    /// Both together.
    pub const fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.ns = self.ns.saturating_add(other.ns);
    }
}

/// Where the time of requests went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InferStatistics {
    /// Requests that were answered.
    pub success: Spent,
    /// Requests that were not.
    pub fail: Spent,
    /// Waiting for their turn.
    pub queue: Spent,
    /// Reading the inputs and putting them together with those of others.
    pub compute_input: Spent,
    /// The model.
    pub compute_infer: Spent,
    /// Taking the outputs apart and writing them.
    pub compute_output: Spent,
    /// Answers out of a cache; there is none.
    pub cache_hit: Spent,
    /// What a cache did not have; there is none.
    pub cache_miss: Spent,
}

impl InferStatistics {
    /// Both together.
    pub const fn merge(&mut self, other: &Self) {
        self.success.merge(other.success);
        self.fail.merge(other.fail);
        self.queue.merge(other.queue);
        self.compute_input.merge(other.compute_input);
        self.compute_infer.merge(other.compute_infer);
        self.compute_output.merge(other.compute_output);
        self.cache_hit.merge(other.cache_hit);
        self.cache_miss.merge(other.cache_miss);
    }
}

/// Runs of so many rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchStatistics {
    /// How many rows.
    pub batch_size: u64,
    /// Putting the inputs of several requests together.
    pub compute_input: Spent,
    /// The model.
    pub compute_infer: Spent,
    /// Taking the outputs apart again.
    pub compute_output: Spent,
}

impl BatchStatistics {
    /// The runs of both.
    pub const fn merge(&mut self, other: &Self) {
        self.compute_input.merge(other.compute_input);
        self.compute_infer.merge(other.compute_infer);
        self.compute_output.merge(other.compute_output);
    }
}

impl From<StatisticsAnswer> for messages::ModelStatisticsResponse {
    fn from(answer: StatisticsAnswer) -> Self {
        Self { model_stats: answer.model_stats.into_iter().map(Into::into).collect() }
    }
}

impl From<ModelStatistics> for messages::ModelStatistics {
    fn from(statistics: ModelStatistics) -> Self {
        Self {
            name: statistics.name,
            version: statistics.version,
            last_inference: statistics.last_inference,
            inference_count: statistics.inference_count,
            execution_count: statistics.execution_count,
            inference_stats: Some(statistics.inference_stats.into()),
            batch_stats: statistics.batch_stats.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Spent> for messages::StatisticDuration {
    fn from(Spent { count, ns }: Spent) -> Self {
        Self { count, ns }
    }
}

impl From<InferStatistics> for messages::InferStatistics {
    fn from(statistics: InferStatistics) -> Self {
        Self {
            success: Some(statistics.success.into()),
            fail: Some(statistics.fail.into()),
            queue: Some(statistics.queue.into()),
            compute_input: Some(statistics.compute_input.into()),
            compute_infer: Some(statistics.compute_infer.into()),
            compute_output: Some(statistics.compute_output.into()),
            cache_hit: Some(statistics.cache_hit.into()),
            cache_miss: Some(statistics.cache_miss.into()),
        }
    }
}

impl From<BatchStatistics> for messages::InferBatchStatistics {
    fn from(statistics: BatchStatistics) -> Self {
        Self {
            batch_size: statistics.batch_size,
            compute_input: Some(statistics.compute_input.into()),
            compute_infer: Some(statistics.compute_infer.into()),
            compute_output: Some(statistics.compute_output.into()),
        }
    }
}
