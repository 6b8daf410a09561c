//! What every HTTP service shares, so that all of them answer alike.
//!
//! - [`ApiError`]: a [`domain::Problem`] as an answer. One table, [`status`], says which code has
//!   which status. Handlers return `Result<_, ApiError>` and use `?` on whatever becomes a problem.
//! - [`RequestContext`]: the one middleware: request id, trace, log line, metrics.
//! - [`Json`], [`Query`], [`Path`]: what callers send, with refusals that name the field; `Json`
//!   is also what a handler answers with. [`NoQuery`] refuses what an operation does not take.
//! - [`PageQuery`], [`PageBody`]: lists.
//! - [`Content`]: a file's bytes, whole or in part; [`body`]: bodies that stream in.
//! - [`fallback`]: unknown paths and wrong methods.
//! - [`openapi`]: the error answers of an operation, documented in one word.
//! - [`Health`]: the answer to a probe.
//!
//! To write an operation: take `Path<..>`, `Query<..>` or `Json<..>` of a struct that derives
//! `Deserialize` with `#[serde(deny_unknown_fields)]`, return `Result<Json<..>, ApiError>`, and
//! give `#[utoipa::path]` the parameters and answers: `params(ThingPath, PageQuery), responses((
//! status = 200, body = PageBody<Thing>), openapi::Reads)`; the body it finds by itself.
//!
//! Not here: who the caller is and what they may do (`auth`), the operations (their services), and
//! the error shapes of compatible surfaces (MLflow, Open Inference Protocol), which map
//! [`domain::ErrorCode`] in their own way.

pub mod body;
mod content;
mod context;
mod error;
mod extract;
pub mod fallback;
mod health;
mod in_flight;
mod instant;
pub mod metrics;
pub mod openapi;
mod paced;
mod page;
#[cfg(test)]
mod tests;
mod trace;

pub use content::Content;
pub use context::{RequestContext, request_id};
pub use error::{ApiError, ErrorBody, ErrorDetail, quota_headers, status, tell_spent};
pub use extract::{BodyLimit, Json, NoQuery, Path, Query, decode_at};
pub use health::{Check, Health, HealthStatus};
pub use in_flight::InFlight;
pub use instant::instant;
pub use paced::{Paced, Patience};
pub use page::{PageBody, PageQuery};
pub use trace::TraceParent;
