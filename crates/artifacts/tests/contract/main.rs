//! What an artifact store promises, held to by a folder and by a real S3 server.
//!
//! Each place runs the whole suite in one test, since a server takes a second to start.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says which case it was at"
)]

mod faults;
mod places;
mod suite;
mod world;

use std::time::Duration;

use artifacts::Report;
use bytes::Bytes;
use chrono::TimeDelta;
use weed::Weed;

use crate::{
    places::Place,
    world::{World, halting},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_the_contract() {
    suite::run(|_| Place::folder()).await;
    faults::of_a_folder().await;
}

/// It takes as long as a renewal, so it stands beside the suite, and asks one place only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upload_keeps_its_lease() {
    let world = World::new(Place::folder()).await;
    let (body, taken, end) = halting(b"slowly, ");
    let slowly = async {
        taken.await.unwrap();
        let most_of_the_lease = TimeDelta::seconds(110);
        world.wait(most_of_the_lease);
        tokio::time::sleep(Duration::from_secs(13)).await;
        world.wait(most_of_the_lease);
        assert_eq!(world.collect().await, Report::default());
        end.send(Bytes::from_static(b"at last")).unwrap();
    };
    let (stored, ()) = tokio::join!(world.upload(None, body), slowly);
    assert_eq!(world.pull(&stored.unwrap().digest).await.unwrap(), b"slowly, at last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_keeps_the_contract() {
    let weed = Weed::start();
    suite::run(|case| Place::s3(&weed, case)).await;
    faults::of_s3(&weed).await;
}
