//! Bytes go in and out in constant memory. A process of its own, since it measures the process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, sync::Arc};

use artifacts::{Artifacts, Location, S3Settings};
use bytes::Bytes;
use domain::{Actor, Problem, SystemClock};
use futures_util::{StreamExt as _, stream};
use store::testing::TestDatabase;

const MIB: usize = 1 << 20;
const LENGTH: usize = 512 * MIB;
const CHUNK: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_gibibyte_goes_in_and_out_in_little_memory() {
    let database = TestDatabase::with_clock(Arc::new(SystemClock)).await;
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Folder(folder.path().to_owned());
    let db = database.database().clone();
    let artifacts = Artifacts::at(&location, &S3Settings::default(), db).unwrap();

    let before = memory("VmRSS");
    // Each chunk is memory of its own, as from a socket.
    let body = stream::iter(0..LENGTH / CHUNK)
        .map(|n| Ok::<_, Problem>(Bytes::from(vec![n.to_le_bytes()[0]; CHUNK])));
    let stored = artifacts.upload(&Actor::user("ana"), None, body).await.unwrap();
    assert_eq!(stored.size, LENGTH as u64);
    let mut download = artifacts.open(&stored.digest).await.unwrap();
    while let Some(chunk) = download.body.next().await {
        chunk.unwrap();
    }
    let grown = memory("VmHWM").saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB more at the peak", grown / MIB);
}

fn memory(what: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
