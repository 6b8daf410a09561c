//! What can go wrong between a model's folder and an answer.

use std::{io, path::PathBuf};

use domain::{ErrorCode, Problem};

/// Why a model was not loaded, tried or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ONNX Runtime's library is missing, too old, or no such library. For the operator: it names
    /// the path.
    #[error("{0}")]
    Library(String),
    /// The model's file is broken, or asks for something that the engine lacks.
    #[error("the model cannot be loaded: {0}")]
    Model(String),
    /// The request does not fit the model.
    #[error(transparent)]
    Input(#[from] Problem),
    /// The model itself failed on this input.
    #[error("the model failed on this input: {0}")]
    Run(String),
    /// The model's own code failed, whatever the input.
    #[error("the model failed: {0}")]
    Failed(String),
    /// The process that holds the model is not there; with the cause.
    #[error("the model's process is not there: {0}")]
    Gone(String),
    /// There was not enough memory to load or run the model.
    #[error("the model asked for more memory than there is")]
    Memory,
    /// The model's answer is larger than allowed.
    #[error("the model's output `{name}` is larger than the limit of {limit} bytes")]
    OutputTooLarge {
        /// The output.
        name: String,
        /// The most bytes that one answer may have.
        limit: usize,
    },
    /// The deadline passed.
    #[error("the model did not answer in time")]
    Timeout,
    /// Too many requests wait for this version.
    #[error("too many requests wait for this model on this node")]
    Overloaded,
    /// This replica is being drained and takes nothing new.
    #[error("this replica is shutting down")]
    Draining,
    /// A worker's process could not be started or confined: our fault, not the model's.
    #[error("the worker failed: {0}")]
    Worker(String),
    /// The machine has no more threads.
    #[error("no thread could be started: {0}")]
    Thread(io::Error),
    /// A version's files could not be fetched from the artifact store.
    #[error(transparent)]
    Fetch(#[from] artifacts::Error),
    /// The node's cache of versions' files does not work. For the operator: it names the folder.
    #[error("the model cache {} cannot be used: {reason}", folder.display())]
    Cache {
        /// Where.
        folder: PathBuf,
        /// What the machine says.
        reason: String,
    },
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Input(problem) => problem,
            Error::Library(_) => Self::unavailable("ONNX Runtime is not available on this node")
                .hint("an administrator installs it and names its library by BOTTEGA_ONNXRUNTIME"),
            Error::Model(_) => Self::new(ErrorCode::Invalid, message).at("model"),
            Error::Run(_) => Self::new(ErrorCode::Invalid, message)
                .hint("compare the values with those that the model was trained on"),
            Error::Failed(_) => Self::new(ErrorCode::ModelFailed, message),
            Error::Gone(_) => Self::new(ErrorCode::ModelFailed, message)
                .hint("it is started again: try again shortly"),
            Error::OutputTooLarge { name, .. } => {
                Self::new(ErrorCode::TooLarge, message).at(name).hint("send fewer rows at a time")
            }
            Error::Timeout => Self::new(ErrorCode::Timeout, message)
                .hint("send fewer rows at a time, or allow more time"),
            Error::Memory => Self::unavailable(message).hint("send fewer rows at a time"),
            Error::Overloaded => {
                Self::unavailable(message).hint("try again shortly, or add replicas")
            }
            Error::Draining => Self::unavailable(message).hint("try again"),
            Error::Fetch(error) => error.into(),
            Error::Cache { .. } => Self::unavailable("this node cannot keep the model's files")
                .hint("its log says why"),
            Error::Worker(_) | Error::Thread(_) => Self::internal(),
        }
    }
}
