//! A gateway on a real Postgres, with real models, and with a real deployer beside it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod batching;
mod binary;
mod capture;
mod faults;
mod grpc;
mod hooks;
mod hostile;
mod http;
mod limits;
mod on_demand;
mod repository;
mod routing;
mod seed;
mod server;
mod switching;
mod told;
