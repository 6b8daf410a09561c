//! What can go wrong in a use case.

use domain::Problem;

/// A failure of the registry.
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
    /// The scratch folder could not be used.
    #[error("the scratch folder cannot be used: {0}")]
    Scratch(#[from] std::io::Error),
    /// Work in the background ended early.
    #[error("the work was stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

/// What every use case answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for Problem {
    /// The cause is written to the log here, where it is left out of the answer.
    fn from(error: Error) -> Self {
        let cause = error.to_string();
        let problem = match error {
            Error::Refused(problem) => return problem,
            Error::Store(error) => error.into(),
            Error::Artifacts(error) => error.into(),
            Error::Scratch(_) => Self::unavailable("the server has no room to unpack archives in")
                .hint("the server's log says why; the request id finds it there"),
            Error::Stopped(_) => Self::internal(),
        };
        if rest::status(problem.code).is_server_error() {
            tracing::error!(error = cause, "a use case failed");
        }
        problem
    }
}
