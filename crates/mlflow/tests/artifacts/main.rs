//! Files, logged models and the registry over MLflow's own routes, on a real Postgres and a folder of artifacts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collections;
mod direct;
mod logged_models;
mod models;
mod platform;
mod promotion;
mod proxy;
