//! What other programs import to work with Bottega over HTTP: the CLI is the first of them.
//!
//! [`Connection`] speaks to one Bottega; [`push`] sends a model's files, [`pull`] brings them back
//! and verifies them, with or without a network. [`mlflow`] reads an MLflow server, [`import`] carries
//! what it has over to Bottega.
//!
//! Not here: anything that decides. The server does.

mod connection;
mod error;
pub mod import;
mod lines;
pub mod mlflow;
pub mod pull;
pub mod push;

pub use connection::{Connection, path};
pub use error::{ApiError, Error};
pub use lines::Lines;

/// Counts bytes as they pass, for whoever shows progress.
pub trait Progress: Send + Sync {
    /// What is being done now, and how many bytes there are in all.
    fn begin(&self, what: &str, bytes: u64);
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}
