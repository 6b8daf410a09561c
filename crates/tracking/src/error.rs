//! What can go wrong in a use case.

use domain::Problem;

/// A failure of tracking.
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
}

/// What every use case answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(problem) => problem,
            Error::Store(error) => error.into(),
            Error::Artifacts(error) => error.into(),
        }
    }
}
