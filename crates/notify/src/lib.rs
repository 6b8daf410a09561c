//! Webhooks: what happened, told to whoever asked, at least once and in order.
//!
//! - [`events`] is the vocabulary: what can be heard of, and how the outbox's events are told.
//! - [`webhooks`] and [`deliveries`] are the use cases; each demands a permit.
//! - [`run`] works in the background, in as many processes as there are.
//! - [`auth::egress`] decides which addresses may be reached, at every connection anew.
//!
//! Policy. A delivery is tried up to ten times over about a day: again after 408, 425, 429, any 5xx,
//! or no answer, and later than usual where a 429 or 503 asks for that by `Retry-After`, up to a
//! day; any other refusal, redirects included, is final at once, since the same bytes would be
//! refused again. What is given up stays as `dead` until somebody replays it, and no
//! longer holds back what is behind it. A disabled webhook is not told of what happens meanwhile;
//! what was waiting for it waits until it is active again.
//!
//! Not here: rows (`store::webhooks`), the words of MLflow's wire protocol (`mlflow`).

pub mod deliveries;
mod error;
pub mod events;
mod http;
mod send;
mod state;
pub mod webhooks;
mod worker;

pub use error::{Error, Result};
pub use http::routes;
pub use state::State;
pub use worker::{run, step};
