//! What can go wrong in a use case.

use domain::Problem;

/// A failure of notification.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal that a caller can act on.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
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
        };
        if rest::status(problem.code).is_server_error() {
            tracing::error!(error = cause, "a use case failed");
        }
        problem
    }
}
