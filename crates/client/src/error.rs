//! What can go wrong between a client and Bottega.

use std::path::PathBuf;

use domain::{Problem, contract::Mismatch, promotion::Outcome};
use serde::{Deserialize, Serialize};

use crate::mlflow::SourceError;

/// A refusal, as the API words it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ApiError {
    /// The kind of refusal.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What each promotion rule found, where they refuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Outcome>,
    /// How a version does not fit an endpoint's contract, where that refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Box<Mismatch>>,
    /// The quota that refuses, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<serde_json::Value>,
    /// Finds the request in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A failure of a client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no.
    #[error("{}", .error.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The refusal.
        error: Box<ApiError>,
    },
    /// Nobody answers there.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// An answer began and did not come to its end.
    #[error("{0} broke off in the middle of its answer")]
    BrokenOff(String),
    /// It answers, but not as Bottega does.
    #[error("{url} does not answer as Bottega does (status {status}): is it the right address?")]
    NotBottega {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The base address is none.
    #[error("`{0}` is not an address: expected http://HOST:PORT")]
    Address(String),
    /// A local file or folder.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Something local is not as it must be.
    #[error(transparent)]
    Local(#[from] Problem),
    /// The MLflow server that something is imported from.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It took longer than allowed.
    #[error("{0}")]
    Timeout(String),
}

impl Error {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// The same error as the API would word it, for output that programs read.
    #[must_use]
    pub fn as_api_error(&self) -> ApiError {
        let plain = |code: &str| ApiError {
            code: code.to_owned(),
            message: self.to_string(),
            field: None,
            hint: None,
            rules: Vec::new(),
            contract: None,
            quota: None,
            request_id: None,
        };
        match self {
            Self::Refused { error, .. } => ApiError::clone(error),
            Self::Unreachable { .. } | Self::NotBottega { .. } => ApiError {
                hint: Some(
                    "is it running? `bottega up` starts one; --url or BOTTEGA_URL names another"
                        .to_owned(),
                ),
                ..plain("unavailable")
            },
            Self::BrokenOff(_) => ApiError {
                hint: Some("try again; the server's log says why".to_owned()),
                ..plain("unavailable")
            },
            Self::Address(_) | Self::File { .. } => plain("invalid"),
            Self::Local(problem) => ApiError {
                code: problem.code.to_string(),
                message: problem.message.clone(),
                field: problem.field.clone(),
                hint: problem.hint.clone(),
                rules: problem.rules.to_vec(),
                contract: problem.contract().cloned().map(Box::new),
                quota: None,
                request_id: None,
            },
            Self::Source(error) => {
                let (code, hint) = error.advice();
                ApiError { hint: hint.map(ToOwned::to_owned), ..plain(code) }
            }
            Self::Timeout(_) => plain("timeout"),
        }
    }
}
