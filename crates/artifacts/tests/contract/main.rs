//! What an artifact store promises, held to by a folder and by a real S3 server.
//!
//! Each place runs the whole suite in one test, since a server takes a second to start.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says which case it was at"
)]

mod faults;
mod places;
mod suite;
mod weed;
mod world;

use crate::{places::Place, weed::Weed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_the_contract() {
    suite::run(|_| Place::folder()).await;
    faults::of_a_folder().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_keeps_the_contract() {
    let weed = Weed::start().await;
    suite::run(|case| Place::s3(&weed, case)).await;
    faults::of_s3(&weed).await;
}
