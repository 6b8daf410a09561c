//! What a refusal says: one shape for every service and every compatible surface.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{contract::Mismatch, promotion::Outcome, quota::Spent, version::words};

words! {
    /// The closed list of error codes of the API. `rest` maps each to an HTTP status; each
    /// compatible surface maps the same code to its own shape.
    ErrorCode, "code" {
        /// No credentials, or none that we know.
        Unauthenticated = "unauthenticated",
        /// Known, but may not.
        Forbidden = "forbidden",
        /// Not there, or not to be seen by this caller.
        NotFound = "not_found",
        /// The present state does not allow it.
        Conflict = "conflict",
        /// The input is wrong.
        Invalid = "invalid",
        /// The input is larger than a limit.
        TooLarge = "too_large",
        /// A promotion rule or an endpoint's contract said no.
        GateRefused = "gate_refused",
        /// A quota is spent.
        QuotaExceeded = "quota_exceeded",
        /// Too many requests just now.
        RateLimited = "rate_limited",
        /// A dependency is away, or nothing is ready to answer.
        Unavailable = "unavailable",
        /// It took longer than allowed.
        Timeout = "timeout",
        /// What answers for the endpoint failed: its model's code, its process, a server that it asks.
        ModelFailed = "model_failed",
        /// Our fault.
        Internal = "internal",
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
    /// What each promotion rule found, where they refuse.
    pub rules: Box<[Outcome]>,
    /// After how many seconds it is worth trying again.
    pub retry_after: Option<NonZeroU32>,
    /// What it rests on, where a program may want to know more than the words say.
    pub grounds: Option<Box<Grounds>>,
}

/// What a refusal rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grounds {
    /// A version does not fit an endpoint's contract.
    Contract(Mismatch),
    /// A quota has no more to give.
    Quota(Spent),
}

impl Problem {
    /// A problem of the given kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            hint: None,
            rules: Box::default(),
            retry_after: None,
            grounds: None,
        }
    }

    /// How a version does not fit an endpoint's contract, where that refuses it.
    #[must_use]
    pub fn contract(&self) -> Option<&Mismatch> {
        match self.grounds.as_deref()? {
            Grounds::Contract(mismatch) => Some(mismatch),
            Grounds::Quota(_) => None,
        }
    }

    /// The quota that refuses, where one does.
    #[must_use]
    pub fn spent(&self) -> Option<&Spent> {
        match self.grounds.as_deref()? {
            Grounds::Quota(spent) => Some(spent),
            Grounds::Contract(_) => None,
        }
    }

    /// Wrong input in `field`.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message).at(field)
    }

    /// Something that is absent, e.g. `not_found("model", "fraud")`.
    pub fn not_found(kind: &str, name: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {kind} `{name}`"))
    }

    /// The same; where it says that something is not there, `absent` says it: of what was found by
    /// another name than that of what permission was asked for, so that its name tells nothing.
    #[must_use]
    pub fn absent_as(self, absent: impl FnOnce() -> Self) -> Self {
        if self.code == ErrorCode::NotFound { absent() } else { self }
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

    /// Says after how many seconds it is worth trying again; 0 is at once.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = NonZeroU32::new(seconds);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
