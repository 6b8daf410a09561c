//! What a crash leaves behind, the next start repairs.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Scratch, bin_dir, is_running, owner, read_back,
    second::{Orders, Second},
    start, until, write_down,
};
use crate::private::{Error, binaries::Binaries};

#[tokio::test]
async fn death_of_postgres_is_told_and_the_next_start_recovers() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    write_down(&postgres, "committed").await;
    kill(Pid::from_raw(postgres.pid()), Signal::SIGKILL).unwrap();
    let told = tokio::time::timeout(Duration::from_secs(2), postgres.exited()).await.unwrap();
    assert!(told.to_string().starts_with("Postgres ended (signal: 9 (SIGKILL))"), "{told}");
    assert!(scratch.pid_file().exists());
    let postgres = start(&lock).await.unwrap();
    assert_eq!(read_back(&postgres).await, "committed");
    postgres.stop().await;
}

#[tokio::test]
async fn killed_bottega_takes_its_postgres_along() {
    let scratch = Scratch::new();
    let mut second = Second::spawn(&scratch, Orders::default());
    let pid = second.hear_pid();
    assert!(is_running(pid));
    second.kill();
    until(Duration::from_secs(2), "Postgres is gone", || !is_running(pid)).await;
    start(&scratch.lock()).await.unwrap().stop().await;
}

#[tokio::test]
async fn bottega_killed_while_it_makes_a_cluster_is_no_harm() {
    let scratch = Scratch::new();
    let second = Second::spawn(&scratch, Orders::default());
    let begun = scratch.unfinished().join("PG_VERSION");
    until(Duration::from_secs(5), "initdb is at work", || begun.exists()).await;
    second.kill();
    assert!(!scratch.cluster().exists());
    assert!(scratch.unfinished().exists());
    start(&scratch.lock()).await.unwrap().stop().await;
    assert!(!scratch.unfinished().exists());
}

#[tokio::test]
async fn disk_that_fills_up_leaves_no_half_made_cluster() {
    let scratch = Scratch::new();
    let orders = Orders { file_limit: Some(100_000), ..Orders::default() };
    let refusal = Second::spawn(&scratch, orders).hear_refusal();
    let beginning = format!("cannot make a Postgres cluster in {}", scratch.cluster().display());
    assert!(refusal.starts_with(&beginning), "{refusal}");
    assert!(!scratch.unfinished().exists());
    assert!(!scratch.cluster().exists());
    start(&scratch.lock()).await.unwrap().stop().await;
}

#[tokio::test]
async fn pid_file_that_names_a_stranger_is_no_hindrance() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    start(&lock).await.unwrap().stop().await;
    let me = std::process::id();
    let content = format!("{me}\n{}\n1700000000\n5432\n", scratch.cluster().display());
    for content in [content.as_str(), "", "garbage\n"] {
        fs::write(scratch.pid_file(), content).unwrap();
        start(&lock).await.unwrap().stop().await;
    }
}

#[tokio::test]
async fn server_that_outlived_its_bottega_is_stopped_first() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    write_down(&postgres, "by the first").await;
    postgres.stop().await;
    let mut orphan = start_by_hand(&scratch);
    let pid = orphan.id().cast_signed();
    until(Duration::from_secs(5), "the orphan runs", || scratch.pid_file().exists()).await;
    let postgres = start(&lock).await.unwrap();
    assert!(!is_running(pid));
    assert_ne!(postgres.pid(), pid);
    assert_eq!(read_back(&postgres).await, "by the first");
    postgres.stop().await;
    orphan.wait().unwrap();
}

/// A server that does not hang on anybody's life.
fn start_by_hand(scratch: &Scratch) -> std::process::Child {
    let layout = crate::private::cluster::Layout { root: scratch.data_dir().join("postgres") };
    let binaries = Binaries::find(bin_dir().as_deref(), None, &layout).unwrap();
    let mut command = Command::new(binaries.postgres());
    command.arg("-D").arg(scratch.cluster()).arg("-k").arg(layout.root.join("run"));
    command.args(["-c", "listen_addresses="]).current_dir(&layout.root);
    if nix::unistd::geteuid().is_root() {
        let uid = owner(&scratch.cluster());
        command.uid(uid).gid(uid);
    }
    command.stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn server_that_cannot_start_says_why() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    start(&lock).await.unwrap().stop().await;
    let settings = scratch.cluster().join("postgresql.conf");
    fs::write(settings, "no_such_setting = 1\n").unwrap();
    match start(&lock).await.map(|postgres| postgres.pid()) {
        Err(Error::Died { log, .. }) => assert!(log.contains("no_such_setting"), "{log}"),
        other => panic!("{other:?}"),
    }
}
