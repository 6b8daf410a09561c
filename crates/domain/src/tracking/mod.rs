//! Tracking: experiments, runs, logged models, and what may be said of them.

mod id;

pub use id::{ExperimentId, LoggedModelId, RunId};
