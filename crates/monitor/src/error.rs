//! What can go wrong in a use case.

use domain::Problem;

/// A failure of what is done with captured predictions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal that a caller can act on.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The bytes could not be read or written.
    #[error(transparent)]
    Artifacts(#[from] artifacts::Error),
    /// A file of kept rows is not what we wrote.
    #[error("a file of kept rows cannot be read or written: {0}")]
    Segment(#[from] parquet::errors::ParquetError),
    /// Background work ended before it was done.
    #[error("background work ended before it was done")]
    Join(#[from] tokio::task::JoinError),
}

/// What every use case answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for Problem {
    /// The cause is written to the log here, where it is left out of the answer.
    fn from(error: Error) -> Self {
        let cause = error.to_string();
        let problem = match error {
            Error::Refused(problem) => problem,
            Error::Store(error) => error.into(),
            Error::Artifacts(error) => error.into(),
            Error::Segment(_) | Error::Join(_) => Problem::internal(),
        };
        if rest::status(problem.code).is_server_error() {
            tracing::error!(error = cause, "a use case failed");
        }
        problem
    }
}
