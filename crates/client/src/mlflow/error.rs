//! What can go wrong between us and an MLflow server.

use std::time::Duration;

/// A failure to read from an MLflow server.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address is none.
    #[error(
        "`{0}` is not the address of an MLflow server: expected http://HOST:PORT, without a user or a query"
    )]
    Address(String),
    /// Nobody answers there, or breaks off.
    #[error("the MLflow server {url} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// It does not know who asks, or does not let them.
    #[error("the MLflow server {url} refuses the credentials (status {status})")]
    Unauthorised {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// It answers, but not as MLflow does.
    #[error("{url} does not answer as MLflow does (status {status}): is this an MLflow server?")]
    NotMlflow {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// It sends us to another host.
    #[error("{url} redirects to {to}: give that address if you trust it")]
    Redirected {
        /// Where.
        url: String,
        /// Where to.
        to: String,
    },
    /// An answer was longer than any honest one.
    #[error("an answer of {0} is longer than 1 GiB")]
    TooLarge(String),
    /// It says no to one thing.
    #[error("{what}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// MLflow's `error_code`.
        code: String,
        /// In its words.
        message: String,
        /// How long it wants us to wait.
        wait: Option<Duration>,
    },
    /// Something that it named cannot be read or kept.
    #[error("{what}: {message}")]
    Odd {
        /// What.
        what: String,
        /// Why.
        message: String,
    },
}

impl SourceError {
    /// Whether only the one thing that was asked for is concerned; else nothing more will come.
    #[must_use]
    pub const fn is_of_item(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Odd { .. } | Self::Redirected { .. })
    }

    /// How often it is worth trying.
    pub(super) const fn tries(&self) -> u32 {
        match self {
            Self::Unreachable { .. } | Self::Refused { status: 429 | 502 | 503 | 504, .. } => 6,
            // Often for good: an artifact store that is gone, say. Once more, in case it is not.
            Self::Refused { status: 500, .. } => 2,
            Self::Refused { .. }
            | Self::Address(_)
            | Self::Unauthorised { .. }
            | Self::NotMlflow { .. }
            | Self::Redirected { .. }
            | Self::TooLarge(_)
            | Self::Odd { .. } => 1,
        }
    }

    /// How long the server wants us to wait.
    pub(super) const fn wait(&self) -> Option<Duration> {
        if let Self::Refused { wait, .. } = self { *wait } else { None }
    }

    /// The code that our API would give it, and what to do about it.
    #[must_use]
    pub const fn advice(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Address(_) => ("invalid", None),
            Self::Unreachable { .. } => (
                "unavailable",
                Some("is it running? run the same command again: it goes on where it was"),
            ),
            Self::Unauthorised { .. } => (
                "unauthenticated",
                Some("give --token, or --username and --password, of the MLflow server"),
            ),
            Self::NotMlflow { .. } => (
                "invalid",
                Some(
                    "give the address that MLFLOW_TRACKING_URI names, without a path of its pages",
                ),
            ),
            Self::Redirected { .. } | Self::TooLarge(_) => ("invalid", None),
            Self::Refused { .. } | Self::Odd { .. } => ("invalid", None),
        }
    }
}
