//! What cannot work is refused with what to do about it, before anything is touched.

use std::{fs, path::Path};

use super::{Scratch, refusal, start};
use crate::private::{DataDirLock, Error, PrivatePostgres};

#[tokio::test]
async fn cluster_of_another_major_version_is_refused_naming_both() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    let here = postgres.major();
    postgres.stop().await;
    let version = scratch.cluster().join("PG_VERSION");
    fs::write(&version, "9\n").unwrap();
    let refusal = refusal(&lock).await.to_string();
    let beginning =
        format!("{} belongs to PostgreSQL 9, but here is only", scratch.cluster().display());
    assert!(refusal.starts_with(&beginning), "{refusal}");
    assert!(refusal.contains(&format!("{here} (")), "{refusal}");
    // The cluster is as it was.
    fs::write(&version, format!("{here}\n")).unwrap();
    start(&lock).await.unwrap().stop().await;
}

#[tokio::test]
async fn directory_that_is_no_cluster_is_left_alone() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    fs::create_dir_all(scratch.cluster()).unwrap();
    fs::write(scratch.cluster().join("precious"), "data").unwrap();
    assert!(matches!(refusal(&lock).await, Error::NotACluster { .. }));
    assert_eq!(fs::read_to_string(scratch.cluster().join("precious")).unwrap(), "data");
}

#[tokio::test]
async fn named_directory_without_postgres_is_refused_rather_than_passed_over() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let started = PrivatePostgres::start(&lock, Some(Path::new("/usr/share"))).await;
    assert_eq!(
        started.map(|postgres| postgres.pid()).unwrap_err().to_string(),
        "/usr/share holds no postgres and initdb that run: name the directory of Postgres' programs, such as /usr/lib/postgresql/15/bin"
    );
    assert!(!scratch.unfinished().exists());
}

#[test]
fn data_directory_below_a_file_is_refused_naming_it() {
    let scratch = Scratch::new();
    let file = scratch.0.join("file");
    fs::write(&file, "").unwrap();
    let dir = file.join("data-dir");
    let refusal = DataDirLock::acquire(&dir).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refusal, format!("cannot create {}: File exists (os error 17)", file.display()));
}
