//! Starting, stopping, starting again.

use std::{path::PathBuf, sync::Arc, time::Duration};

use domain::SystemClock;
use sqlx::{Connection, PgConnection};

use super::{Scratch, ask, is_running, read_back, start, until, write_down};
use crate::{Database, private::DataDirLock};

#[tokio::test]
async fn first_start_makes_a_database_that_can_be_migrated_and_used() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    crate::migrate(&postgres.migrate_url()).await.unwrap();
    let database = Database::connect(&postgres.app_url(), 2, Arc::new(SystemClock)).await.unwrap();
    assert!(database.server_version().await.unwrap().starts_with(&postgres.major().to_string()));
    database.close().await;
    postgres.stop().await;
}

#[tokio::test]
async fn application_is_no_superuser_and_nothing_listens_on_tcp() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    let app = postgres.app_url();
    assert_eq!(ask(&app, "SELECT current_setting('is_superuser')").await, "off");
    assert_eq!(ask(&app, "SELECT current_setting('listen_addresses')").await, "");
    assert_eq!(ask(&app, "SELECT current_setting('fsync')").await, "on");
    assert_eq!(ask(&app, "SELECT current_setting('shared_buffers')").await, "128MB");
    let owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'bottega'";
    assert_eq!(ask(&app, owner).await, "bottega_owner");
    postgres.stop().await;
}

#[tokio::test]
async fn second_start_keeps_the_data() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    write_down(&postgres, "here to stay").await;
    postgres.stop().await;
    let postgres = start(&lock).await.unwrap();
    assert_eq!(read_back(&postgres).await, "here to stay");
    postgres.stop().await;
}

#[tokio::test]
async fn stop_does_not_wait_for_clients_and_leaves_nothing_running() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    let _client = PgConnection::connect(&postgres.app_url()).await.unwrap();
    let pid = postgres.pid();
    tokio::time::timeout(Duration::from_secs(3), postgres.stop()).await.unwrap();
    assert!(!is_running(pid));
    assert!(!scratch.pid_file().exists());
}

#[tokio::test]
async fn server_that_is_dropped_without_a_stop_ends() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    let pid = postgres.pid();
    drop(postgres);
    until(Duration::from_secs(2), "Postgres is gone", || !is_running(pid)).await;
}

#[tokio::test]
async fn second_bottega_on_a_data_directory_is_refused_at_once() {
    let scratch = Scratch::new();
    let first = scratch.lock();
    let error = DataDirLock::acquire(&scratch.data_dir()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "another Bottega (pid {}) uses {}; stop it or choose another --data-dir",
            std::process::id(),
            first.dir().display()
        )
    );
    drop(first);
    // A program that another test is about to run may have our files open until it runs.
    let free = || DataDirLock::acquire(&scratch.data_dir()).is_ok();
    until(Duration::from_secs(1), "the lock is free", free).await;
}

#[tokio::test]
async fn path_too_long_for_a_socket_gets_one_elsewhere_until_the_stop() {
    let scratch = Scratch::new();
    let dir = scratch.data_dir().join("long".repeat(30));
    let lock = DataDirLock::acquire(&dir).unwrap();
    let postgres = start(&lock).await.unwrap();
    let setting = "SELECT current_setting('unix_socket_directories')";
    let socket = ask(&postgres.migrate_url(), setting).await;
    let socket = PathBuf::from(socket.trim_matches('"'));
    assert!(socket.is_dir());
    postgres.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn path_of_any_characters_works() {
    let scratch = Scratch::new();
    let lock = DataDirLock::acquire(&scratch.data_dir().join("a b,c\"d'e%20é?#&")).unwrap();
    let postgres = start(&lock).await.unwrap();
    assert_eq!(ask(&postgres.app_url(), "SELECT current_user::text").await, "bottega_app");
    postgres.stop().await;
}
