//! How fast bytes go in and out, and how much memory that takes.
//!
//! ```text
//! BOTTEGA_TEST_DATABASE_URL=… cargo run --release -p artifacts --example streaming -- FILE LOCATION
//! ```
//!
//! `LOCATION` is a folder or `s3://bucket/prefix`, reached by the `AWS_*` variables. Compare with
//! `cp FILE elsewhere && sha256sum FILE`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement, not a service"
)]

use std::{env, fs, path::Path, time::Instant};

use artifacts::{Artifacts, S3Settings};
use bytes::Bytes;
use domain::{Actor, Problem};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use store::testing::TestDatabase;
use tokio_util::io::ReaderStream;

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let [file, location] =
        env::args().skip(1).collect::<Vec<_>>().try_into().expect("FILE and LOCATION");
    let database = TestDatabase::fresh().await;
    let db = database.database().clone();
    let artifacts = Artifacts::at(&location.parse().unwrap(), &S3Settings::from_env(), db).unwrap();
    if let Err(error) = artifacts.check().await {
        println!("the store does not work: {error}");
        return;
    }

    let begin = Instant::now();
    let body = body(&file).await;
    let stored = artifacts.upload(&Actor::user("ana"), None, body).await.unwrap();
    report("upload", stored.size, begin);

    let begin = Instant::now();
    let mut download = artifacts.open(&stored.digest).await.unwrap();
    while let Some(chunk) = download.body.next().await {
        chunk.unwrap();
    }
    report("open", stored.size, begin);

    let folder = tempfile::tempdir_in(Path::new(&file).parent().unwrap()).unwrap();
    let begin = Instant::now();
    artifacts.fetch(&stored.digest, &folder.path().join("file")).await.unwrap();
    report("fetch", stored.size, begin);
}

/// A body as it comes from a socket: in chunks of 64 KiB.
async fn body(file: &str) -> impl Stream<Item = Result<Bytes, Problem>> + use<> {
    let file = tokio::fs::File::open(file).await.unwrap();
    ReaderStream::with_capacity(file, 64 << 10).map_err(|_| Problem::internal())
}

fn report(what: &str, size: u64, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
    let rate = size as f64 / seconds / 1e6;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{what:6} {seconds:6.2} s {rate:8.0} MB/s  {peak}");
}
