//! What other programs import to work with Bottega over HTTP: the CLI is the first of them.
//!
//! [`Connection`] speaks to one Bottega; [`push`] sends a model's files, [`pull`] brings them back
//! and verifies them, with or without a network. [`Connection::predict`] asks an endpoint with tensors
//! ([`Array`] makes them of vectors). [`mlflow`] reads an MLflow server, [`import`] carries
//! what it has over to Bottega.
//!
//! Not here: anything that decides. The server does.

mod array;
mod connection;
mod error;
pub mod import;
mod lines;
pub mod mlflow;
mod predict;
pub mod pull;
pub mod push;

pub use array::{Array, Element};
pub use connection::{Connection, path};
pub use domain::{DataType, Tensor, TensorData};
pub use error::{ApiError, Error};
pub use half::{bf16, f16};
pub use lines::Lines;
pub use predict::Prediction;

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
