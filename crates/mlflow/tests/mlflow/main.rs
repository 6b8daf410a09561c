//! MLflow's paths over their real routes, on a real Postgres and a folder of artifacts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod experiments;
mod logging;
mod runs;
mod server;
