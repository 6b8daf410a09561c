//! What is captured of predictions, and what becomes of it.
//!
//! A gateway offers each request that was answered, or failed, to a [`Ring`], which never blocks: what finds no room is
//! dropped and counted. A thread beside the requests takes them out, adds their rows to sketches by
//! the minute (`minutes`, [`sketch`]), and hands those whose rows are kept to `keeper`, which writes
//! them to Parquet files in the artifact store.
//!
//! Invariants: a prediction never waits for any of this, and never fails because of it; what an
//! endpoint's owner masks is masked before anything is written; a part that is sent twice counts
//! once; what a killed process had not written is lost, that of one interval at most.
//!
//! - [`Watcher`] is a gateway's side; [`settings`] what owners say.
//! - [`captured`] reads and deletes kept rows, [`inferences`] tells what answered.
//! - [`expire_forever`] deletes what is older than its endpoint's retention.
//!
//! Not here: rows (`store::capture`), what a record is (`domain::capture`), bytes (`artifacts`).

pub mod captured;
mod error;
mod hashes;
mod http;
pub mod inferences;
mod keeper;
mod metrics;
mod minutes;
mod retention;
mod ring;
mod segment;
pub mod settings;
pub mod sketch;
mod state;
#[cfg(test)]
mod testing;
mod values;
mod watcher;

pub use error::{Error, Result};
pub use hashes::Hashes;
pub use http::routes;
pub use metrics::Metrics;
pub use retention::{expire, expire_forever};
pub use ring::Ring;
pub use state::State;
pub use watcher::{Given, Watcher};
