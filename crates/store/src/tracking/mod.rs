//! Tracking: experiments, runs, what runs log, logged models, and the files of all of them.
//!
//! - [`experiments`], [`runs`]: their rows; making, ending and deleting them goes through [`crate::Change`].
//! - [`runs::load`]: whole runs, with their latest metrics, params, tags, inputs and outputs.
//! - [`Log`]: the door for what runs log in bulk: data, not governance, so neither audited nor announced.
//! - [`direct`]: uploads of files whose parts go straight to S3.
//! - [`inputs`]: which datasets and models a run took in and put out.

pub mod direct;
pub mod experiments;
pub mod files;
pub mod inputs;
mod log;
pub mod logged_models;
mod metrics;
pub mod points;
pub mod runs;

pub use experiments::Experiment;
pub use log::Log;
pub use runs::{Run, RunData};
