//! The error answers of operations, documented in one word.
//!
//! `#[utoipa::path(responses((status = 201, body = Model), openapi::Writes))]` lists what an
//! operation that writes may answer besides 201. The answers themselves stand once in the
//! document: its author has `use rest::openapi::Refusals` and `#[openapi(modifiers(&Refusals))]`.

mod actions;

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use domain::{ErrorCode, Problem};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, Modify, PartialSchema as _, ToSchema};

use crate::error::{ErrorBody, ErrorDetail, header_of, status};

pub use actions::Actions;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $($code:ident)*;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                references(&[$(ErrorCode::$code),*])
            }
        }
    )*};
}

refusals! {
    /// What an operation that reads may answer.
    Reads: Invalid Unauthenticated Forbidden NotFound RateLimited Internal Unavailable;
    /// What logging in may answer.
    LogsIn: Invalid Unauthenticated TooLarge RateLimited Internal Unavailable;
    /// What an operation whose failures are counted may answer besides.
    Limited: RateLimited;
    /// What an operation that changes something may answer.
    Writes: Invalid Unauthenticated Forbidden NotFound Conflict TooLarge RateLimited Internal Unavailable;
}

fn references(codes: &[ErrorCode]) -> BTreeMap<String, RefOr<Response>> {
    let reference = |&code: &ErrorCode| {
        let status = status(code);
        (status.as_str().to_owned(), RefOr::Ref(Ref::from_response_name(name(status))))
    };
    codes.iter().map(reference).collect()
}

/// Puts every error answer and the error body's schema into a document.
#[derive(Debug, Clone, Copy)]
pub struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        for (name, schema) in
            [(ErrorBody::name(), ErrorBody::schema()), (ErrorDetail::name(), ErrorDetail::schema())]
        {
            components.schemas.insert(name.into_owned(), schema);
        }
        for &code in ErrorCode::ALL {
            let status = status(code);
            components.responses.entry(name(status)).or_insert_with(|| response(status).into());
        }
    }
}

/// `NotFound`.
fn name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().replace(' ', "")
}

/// One answer for each status, with an example for each code that has it.
fn response(of: StatusCode) -> Response {
    let codes = || ErrorCode::ALL.iter().copied().filter(|&code| status(code) == of);
    let description: Vec<_> = codes().map(|code| format!("`{code}`: {}", meaning(code))).collect();
    let examples = codes().map(|code| {
        let body = ErrorBody::new(&example(code), "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1");
        let value = serde_json::to_value(body).ok();
        (code.as_str(), RefOr::T(ExampleBuilder::new().value(value).build()))
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ErrorBody::name())))
        .examples_from_iter(examples)
        .build();
    let mut response = ResponseBuilder::new()
        .description(description.join("; "))
        .content("application/json", content)
        .header("x-request-id", HeaderBuilder::new().build());
    for (header, _) in codes().filter_map(header_of) {
        response = response.header(header.as_str(), HeaderBuilder::new().build());
    }
    response.build()
}

const fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Unauthenticated => "no credentials, or none that we know",
        ErrorCode::Forbidden => "known, but may not",
        ErrorCode::NotFound => "not there, or not to be seen by this caller",
        ErrorCode::Conflict => "the present state does not allow it",
        ErrorCode::Invalid => "the input is wrong",
        ErrorCode::TooLarge => "the input is larger than a limit",
        ErrorCode::GateRefused => "a promotion rule or an endpoint's contract said no",
        ErrorCode::QuotaExceeded => "a quota is spent",
        ErrorCode::RateLimited => "too many requests just now",
        ErrorCode::Unavailable => "a dependency is away, or nothing is ready to answer",
        ErrorCode::Timeout => "it took longer than allowed",
        ErrorCode::ModelFailed => "what answers for the endpoint failed",
        ErrorCode::Internal => "our fault",
    }
}

fn example(code: ErrorCode) -> Problem {
    match code {
        ErrorCode::Unauthenticated => {
            Problem::new(code, "the token is not known").hint("send `Authorization: Bearer TOKEN`")
        }
        ErrorCode::Forbidden => Problem::new(code, "`user:ana` may not promote `model:fraud`"),
        ErrorCode::NotFound => Problem::not_found("model", "fraud"),
        ErrorCode::Conflict => Problem::conflict("the alias `champion` has followers: `fraud.dev`"),
        ErrorCode::Invalid => {
            Problem::invalid("tags.team", "invalid type: integer `3`, expected a string")
        }
        ErrorCode::TooLarge => Problem::new(code, "the body is larger than 1048576 bytes"),
        ErrorCode::GateRefused => Problem::new(code, "the rule `accuracy >= 0.9` is not met: 0.87"),
        ErrorCode::QuotaExceeded => Problem::new(code, "the quota `models` is spent: 100 of 100"),
        ErrorCode::RateLimited => Problem::new(code, "more than 50 requests in a second"),
        ErrorCode::Unavailable => Problem::unavailable("the database does not answer"),
        ErrorCode::Timeout => Problem::new(code, "no answer within 30 s"),
        ErrorCode::ModelFailed => {
            Problem::new(code, "the model's process is not there: it was killed (SIGSEGV)")
        }
        ErrorCode::Internal => Problem::internal(),
    }
}
