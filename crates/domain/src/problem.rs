//! What a refusal says: one shape for every service and every compatible surface.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The closed list of error codes of the API. `rest` maps each to an HTTP status; each
/// compatible surface maps the same code to its own shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No credentials, or none that we know.
    Unauthenticated,
    /// Known, but may not.
    Forbidden,
    /// Not there, or not to be seen by this caller.
    NotFound,
    /// The present state does not allow it.
    Conflict,
    /// The input is wrong.
    Invalid,
    /// The input is larger than a limit.
    TooLarge,
    /// A promotion rule said no.
    GateRefused,
    /// A quota is spent.
    QuotaExceeded,
    /// Too many requests just now.
    RateLimited,
    /// A dependency is away, or nothing is ready to answer.
    Unavailable,
    /// It took longer than allowed.
    Timeout,
    /// Our fault.
    Internal,
}

impl ErrorCode {
    /// The code as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::GateRefused => "gate_refused",
            Self::QuotaExceeded => "quota_exceeded",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal that a person can act on: what is wrong, where, and what to do about it.
///
/// The message never carries a secret, a path of the server or a stack trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The kind of refusal.
    pub code: ErrorCode,
    /// What is wrong, and what was expected.
    pub message: String,
    /// The field, parameter, tensor or file that is wrong, if it is one.
    pub field: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of the given kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, hint: None }
    }

    /// Wrong input in `field`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message).at(field)
    }

    /// Something that is absent, e.g. `not_found("model", "fraud")`.
    pub fn not_found(kind: &str, name: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {kind} `{name}`"))
    }

    /// The present state does not allow it.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// A dependency is away.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// Our fault; the cause belongs in the log, not in the message.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            ErrorCode::Internal,
            "something went wrong on our side; the request id finds it in the log",
        )
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
