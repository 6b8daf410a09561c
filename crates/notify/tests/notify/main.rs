//! Webhooks on a real Postgres, told to a real receiver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deliveries;
mod platform;
mod sharing;
