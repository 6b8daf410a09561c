//! Tracking: experiments, runs, logged models, and what may be said of them.
//!
//! - `id`: identifiers in the form that MLflow's clients know.
//! - `key`: which names params, metrics and tags may have.
//! - `batch`: what a run logs at once, checked as a whole.
//! - `dataset`: what a run read.

mod batch;
mod dataset;
mod id;
mod key;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use batch::{Batch, Metric, Param, Tag};
pub use dataset::{Dataset, DatasetInput};
pub use id::{ExperimentId, LoggedModelId, RunId};
pub use key::{check_key, check_length};

use crate::{Problem, version::words};

/// The longest name of an experiment, in characters.
pub const LONGEST_EXPERIMENT_NAME: usize = 500;
/// The longest key of a param, metric or tag, in characters.
pub const LONGEST_KEY: usize = 250;
/// The longest value of a param, in characters; longer ones are cut, as MLflow does.
pub const LONGEST_PARAM: usize = 6000;
/// The longest value of a run's tag, in characters; longer ones are cut, as MLflow does.
pub const LONGEST_TAG: usize = 8000;
/// The longest value of an experiment's tag, in characters.
pub const LONGEST_EXPERIMENT_TAG: usize = 20_000;
/// The tag that a run's name is repeated in.
pub const RUN_NAME_TAG: &str = "mlflow.runName";

words! {
    /// How far a run has come.
    RunStatus, "status" {
        /// It runs.
        Running = "RUNNING",
        /// It waits for its turn.
        Scheduled = "SCHEDULED",
        /// It ended well.
        Finished = "FINISHED",
        /// It ended badly.
        Failed = "FAILED",
        /// It was ended.
        Killed = "KILLED",
    }
}

/// An experiment's name.
///
/// # Errors
/// It is empty or too long.
pub fn check_experiment_name(name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        return Err(Problem::invalid(
            "name",
            "Invalid experiment name: '': expected 1 to 500 characters",
        ));
    }
    check_length("name", name, LONGEST_EXPERIMENT_NAME)
}

/// A tag of an experiment.
///
/// # Errors
/// Its key is no key, or it is too long.
pub fn check_experiment_tag(tag: &Tag) -> Result<(), Problem> {
    check_key("key", &tag.key)?;
    check_length("key", &tag.key, LONGEST_KEY)?;
    check_length("value", &tag.value, LONGEST_EXPERIMENT_TAG)
}
