//! What is captured, on a real Postgres, with artifacts in a folder and on a real S3.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod rows;
mod sketches;
mod world;
