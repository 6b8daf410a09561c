//! What can be wrong with a server's answer, in words for whoever asked.

use domain::{ErrorCode, Problem};

/// Why a server did not answer as it should. It says nothing of secrets, and of URLs only their hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It took too long.
    #[error("it did not answer in time")]
    Late,
    /// It cannot be reached, or may not be.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It sends whoever asks elsewhere.
    #[error("it answers {0}, a redirect: none is followed")]
    Redirect(u16),
    /// It says that it failed, or refuses.
    #[error("it answers {status}{told}")]
    Status {
        /// The status.
        status: u16,
        /// What it said, after a colon; empty if nothing.
        told: String,
    },
    /// Its answer is something else.
    #[error("its answer is none: {0}")]
    Wrong(String),
    /// Its answer is larger than allowed.
    #[error("its answer has more than {limit} bytes")]
    TooLarge {
        /// The tensor that was too much, where that is known.
        output: Option<String>,
        /// What is allowed.
        limit: usize,
    },
    /// What was to be sent to it cannot be.
    #[error(transparent)]
    Input(Problem),
    /// What it is to be told is not there.
    #[error("the credential `{0}` is not there, or is for another server")]
    Credential(String),
}

impl Failure {
    /// The refusal of a request for which this server was asked, which is `who`.
    #[must_use]
    pub fn of(&self, who: &str) -> Problem {
        let code = match self {
            Self::Late => ErrorCode::Timeout,
            Self::Unreachable(_)
            | Self::Redirect(_)
            | Self::Status { .. }
            | Self::Wrong(_)
            | Self::TooLarge { .. }
            | Self::Credential(_) => ErrorCode::ModelFailed,
            Self::Input(problem) => return problem.clone(),
        };
        Problem::new(code, format!("{who}: {self}"))
    }
}
