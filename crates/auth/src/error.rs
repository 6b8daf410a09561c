//! What can go wrong in a use case.

use domain::Problem;

/// A failure of a use case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal that a caller can act on.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(store::Error),
}

/// What every use case answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if let store::Error::Refused(problem) = error {
            return Self::Refused(problem);
        }
        Self::Store(error)
    }
}

impl From<Error> for Problem {
    /// The cause is written to the log here, where it is left out of the answer.
    fn from(error: Error) -> Self {
        let error = match error {
            Error::Refused(problem) => return problem,
            Error::Store(error) => error,
        };
        let cause = error.to_string();
        let problem = Self::from(error);
        if rest::status(problem.code).is_server_error() {
            tracing::error!(error = cause, "a use case failed");
        }
        problem
    }
}
