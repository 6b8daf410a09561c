//! The data plane: holds the versions that the tables ask for, and answers predictions with them.
//!
//! A gateway is a node. It reads what it should serve, loads it, reports how far it has come, and
//! moves its traffic when the tables say so; nobody calls it for that. Requests meet only memory:
//! [`predict`] looks into the present table of routes (`live`), which `sync` swaps whole, so
//! that a node keeps answering while Postgres is away.
//!
//! Invariants: an endpoint's traffic moves only to versions that are loaded and warm here, and the
//! versions that it leaves are freed only when nobody uses them any more; a request takes no lock
//! that all requests share, and asks no database. Protocols' modules only convert: [`http`] and
//! [`grpc`] have one core.
//!
//! To add a protocol: its bytes to tensors in `protocol`, a module beside [`http::v2`] that calls
//! [`predict::predict`], and its errors from [`domain::ErrorCode`] in one `match`.
//!
//! Not here: when a release is complete (`deployer`), how a model is run (`inference`), bytes on
//! the wire (`protocol`).

// What is generated names what it uses by this crate's name, in its tests as well.
extern crate self as gateway;

mod admission;
mod batching;
mod capture;
mod collector;
mod demand;
mod elsewhere;
pub mod external;
pub mod grpc;
mod hooks;
pub mod http;
mod identity;
mod isolation;
mod live;
mod load;
mod log;
mod metadata;
mod metrics;
mod node;
pub mod own;
pub mod predict;
mod printed;
mod python;
mod refusal;
mod repository;
mod routing;
mod spans;
mod stages;
mod state;
mod statistics;
mod sync;
mod told;
mod usage;

pub use http::{Forwarder, api_routes, refusal, routes};
pub use live::Served;
pub use log::Logging;
pub use metrics::Metrics;
pub use routing::Headers;
pub use spans::{Tracing, collector_headers};
pub use state::{Limits, Resources, Settings, State};
pub use told::limited;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Is a node until told to stop: beats, loads, moves traffic.
///
/// Cancel `stop` once no more requests come in. The models stay loaded until the [`State`] is
/// dropped, so requests in flight are still answered.
pub async fn run(state: State, stop: CancellationToken) {
    // The node must be known before it can report anything.
    node::beat(&state).await;
    let tasks = TaskTracker::new();
    tasks.spawn(node::run(state.clone(), stop.clone()));
    tasks.spawn(usage::run(state.clone(), stop.clone()));
    tasks.spawn(log::run(state.clone(), stop.clone()));
    tasks.spawn(spans::run(state.clone(), stop.clone()));
    tasks.spawn(routing::run_shadows(state.clone(), stop.clone()));
    tasks.spawn(sync::run(state.clone(), stop));
    tasks.close();
    tasks.wait().await;
    node::leave(&state).await;
}
