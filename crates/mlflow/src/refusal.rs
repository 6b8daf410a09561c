//! Errors in MLflow's shape.
//!
//! The codes and their statuses are those of MLflow's own server (`mlflow.exceptions`): its client
//! raises by `error_code` and retries by status, so both must be right.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use domain::{ErrorCode, Problem, quota::Spent};
use serde_json::json;

/// What every handler answers.
pub type Answer = Result<HttpResponse, Refusal>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal $status:ident;)*) => {
        /// MLflow's error codes, as far as this server uses them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// As it is written on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The status that goes with it.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)*
                }
            }
        }
    };
}

codes! {
    /// An argument is missing or wrong.
    InvalidParameterValue = "INVALID_PARAMETER_VALUE" BAD_REQUEST;
    /// The request as a whole cannot be read.
    BadRequest = "BAD_REQUEST" BAD_REQUEST;
    /// Made before, or by somebody else at the same moment.
    ResourceAlreadyExists = "RESOURCE_ALREADY_EXISTS" BAD_REQUEST;
    /// The present state does not allow it.
    ResourceConflict = "RESOURCE_CONFLICT" CONFLICT;
    /// No such experiment, run, model or version.
    ResourceDoesNotExist = "RESOURCE_DOES_NOT_EXIST" NOT_FOUND;
    /// No such path.
    EndpointNotFound = "ENDPOINT_NOT_FOUND" NOT_FOUND;
    /// No credentials, or none that we know.
    Unauthenticated = "UNAUTHENTICATED" UNAUTHORIZED;
    /// Known, but may not; or a quota or a promotion rule says no.
    PermissionDenied = "PERMISSION_DENIED" FORBIDDEN;
    /// Too many requests just now.
    RequestLimitExceeded = "REQUEST_LIMIT_EXCEEDED" TOO_MANY_REQUESTS;
    /// Something that is switched off here. MLflow answers 500, which its client repeats.
    FeatureDisabled = "FEATURE_DISABLED" BAD_REQUEST;
    /// A part of MLflow's API that this server does not have.
    NotImplemented = "NOT_IMPLEMENTED" NOT_IMPLEMENTED;
    /// A dependency is away.
    TemporarilyUnavailable = "TEMPORARILY_UNAVAILABLE" SERVICE_UNAVAILABLE;
    /// It took longer than allowed.
    DeadlineExceeded = "DEADLINE_EXCEEDED" GATEWAY_TIMEOUT;
    /// Our fault.
    InternalError = "INTERNAL_ERROR" INTERNAL_SERVER_ERROR;
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub code: Code,
    /// Why, and what to do.
    pub message: String,
    /// The quota that refuses, where one does.
    pub spent: Option<Box<Spent>>,
}

impl Refusal {
    /// An error with this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), spent: None }
    }

    /// An argument is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// The thing is not there.
    pub fn absent(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceDoesNotExist, message)
    }

    /// For operations that make something by name: what is in the way is there already.
    #[must_use]
    pub fn creating(problem: impl Into<Problem>) -> Self {
        let problem = problem.into();
        let exists = problem.code == ErrorCode::Conflict;
        let refusal = Self::from(problem);
        if exists { Self { code: Code::ResourceAlreadyExists, ..refusal } } else { refusal }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl<P: Into<Problem>> From<P> for Refusal {
    /// The one table from our codes to MLflow's. What its client must not retry is never 429 or 5xx.
    fn from(problem: P) -> Self {
        let problem = problem.into();
        let code = match problem.code {
            ErrorCode::Unauthenticated => Code::Unauthenticated,
            ErrorCode::Forbidden | ErrorCode::GateRefused | ErrorCode::QuotaExceeded => {
                Code::PermissionDenied
            }
            ErrorCode::NotFound => Code::ResourceDoesNotExist,
            ErrorCode::Conflict => Code::ResourceConflict,
            ErrorCode::Invalid | ErrorCode::TooLarge => Code::InvalidParameterValue,
            ErrorCode::RateLimited => Code::RequestLimitExceeded,
            ErrorCode::Unavailable => Code::TemporarilyUnavailable,
            ErrorCode::Timeout => Code::DeadlineExceeded,
            ErrorCode::Internal | ErrorCode::ModelFailed => Code::InternalError,
        };
        // Not there, or not to be seen: MLflow's words for both.
        if let (ErrorCode::NotFound, Some("experiment"), Some(id)) =
            (problem.code, problem.field.as_deref(), problem.message.split('`').nth(1))
        {
            return Self::new(code, format!("No Experiment with id={id} exists"));
        }
        let spent = problem.spent().cloned().map(Box::new);
        let message = match problem.hint {
            Some(hint) => format!("{}: {hint}", problem.message),
            None => problem.message,
        };
        Self { code, message, spent }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self.code {
            Code::Unauthenticated => {
                response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"mlflow\""));
            }
            Code::RequestLimitExceeded | Code::TemporarilyUnavailable => {
                response.insert_header((header::RETRY_AFTER, "1"));
            }
            Code::InvalidParameterValue
            | Code::BadRequest
            | Code::ResourceAlreadyExists
            | Code::ResourceConflict
            | Code::ResourceDoesNotExist
            | Code::EndpointNotFound
            | Code::PermissionDenied
            | Code::FeatureDisabled
            | Code::NotImplemented
            | Code::DeadlineExceeded
            | Code::InternalError => {}
        }
        let body = json!({"error_code": self.code.as_str(), "message": self.message});
        let mut response = response.json(body);
        if let Some(spent) = &self.spent {
            rest::tell_spent(&mut response, spent);
        }
        response
    }
}

/// A refusal of the guard or of the router, in this surface's shape.
#[must_use]
pub fn answer(problem: Problem) -> HttpResponse {
    let retry_after = problem.retry_after;
    let mut answer = Refusal::from(problem).error_response();
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.get().into());
    }
    answer
}
