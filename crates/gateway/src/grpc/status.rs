//! How gRPC says no.

use domain::{ErrorCode, Problem};
use tonic::{Code, Status};

use crate::refusal::text;

pub(super) fn status(problem: &Problem) -> Status {
    Status::new(code(problem.code), text(problem))
}

const fn code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        ErrorCode::Forbidden | ErrorCode::GateRefused => Code::PermissionDenied,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::Conflict => Code::FailedPrecondition,
        ErrorCode::Invalid => Code::InvalidArgument,
        ErrorCode::TooLarge | ErrorCode::QuotaExceeded | ErrorCode::RateLimited => {
            Code::ResourceExhausted
        }
        ErrorCode::Unavailable | ErrorCode::ModelFailed => Code::Unavailable,
        ErrorCode::Timeout => Code::DeadlineExceeded,
        ErrorCode::Internal => Code::Internal,
    }
}
