//! Tracking: experiments, runs and what they log, logged models, and the files of all of them.
//!
//! One module for each noun holds its use cases; each takes a [`auth::Permit`]. What a run logs in
//! bulk (metrics, params, tags of runs) is data, not governance: its container is audited (a run is
//! created, finished, deleted), not each point.
//!
//! Not here: the words of MLflow's wire protocol (`mlflow`), registered models (`registry`), SQL
//! (`store`), bytes (`artifacts`).

mod error;
pub mod experiments;
pub mod files;
pub mod import;
mod location;
pub mod log;
pub mod logged_models;
mod name;
pub mod runs;
pub mod search;
mod state;

pub use error::{Error, Result};
pub use state::State;
