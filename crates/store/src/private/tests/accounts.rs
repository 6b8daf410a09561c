//! Whom Postgres runs as. As root these try all ways; as somebody else there is only one.

use std::{
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::Path,
};

use nix::unistd::{Gid, Uid, chown, geteuid};

use super::{
    Scratch, bin_dir, owner, read_back, refusal,
    second::{Orders, Second},
    start, write_down,
};
use crate::private::{
    DataDirLock, Error,
    account::{Account, NOBODY},
    binaries::Binaries,
    cluster::Layout,
};

#[tokio::test]
async fn server_never_runs_as_root_and_its_cluster_is_its_own() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    let postgres = start(&lock).await.unwrap();
    let server = owner(Path::new(&format!("/proc/{}", postgres.pid())));
    assert_ne!(server, 0);
    assert_eq!(server, owner(&scratch.cluster()));
    for closed in ["data", "run"] {
        let path = scratch.data_dir().join("postgres").join(closed);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
    }
    postgres.stop().await;
}

#[tokio::test]
async fn directory_of_the_socket_is_closed_at_every_start_and_no_link() {
    let scratch = Scratch::new();
    let lock = scratch.lock();
    start(&lock).await.unwrap().stop().await;
    let run = scratch.data_dir().join("postgres/run");
    fs::set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
    start(&lock).await.unwrap().stop().await;
    assert_eq!(fs::metadata(&run).unwrap().permissions().mode() & 0o777, 0o700);
    fs::remove_dir(&run).unwrap();
    let elsewhere = scratch.0.join("elsewhere");
    DirBuilder::new().mode(0o755).create(&elsewhere).unwrap();
    symlink(&elsewhere, &run).unwrap();
    assert!(matches!(refusal(&lock).await, Error::Path { .. }));
    assert_eq!(fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn bottega_that_is_not_root_runs_postgres_as_itself() {
    if !geteuid().is_root() {
        return; // then every other test shows it
    }
    let scratch = Scratch::new();
    DirBuilder::new().mode(0o700).create(scratch.data_dir()).unwrap();
    give(&scratch.data_dir(), NOBODY);
    let mut second = Second::spawn(&scratch, Orders { uid: Some(NOBODY), ..Orders::default() });
    let pid = second.hear_pid();
    assert_eq!(owner(Path::new(&format!("/proc/{pid}"))), NOBODY);
    assert_eq!(owner(&scratch.cluster()), NOBODY);
    second.kill();
    // An existing cluster's owner decides, also for root.
    let postgres = start(&scratch.lock()).await.unwrap();
    assert_eq!(owner(Path::new(&format!("/proc/{}", postgres.pid()))), NOBODY);
    postgres.stop().await;
}

#[tokio::test]
async fn directory_closed_to_others_is_no_hindrance_or_is_named() {
    if !geteuid().is_root() {
        return; // nobody else would run it
    }
    let scratch = Scratch::new();
    let closed = scratch.0.join("closed");
    DirBuilder::new().mode(0o700).create(&closed).unwrap();
    let lock = DataDirLock::acquire(&closed.join("data-dir")).unwrap();
    match start(&lock).await {
        Ok(postgres) => {
            // A user namespace: the files stay root's.
            assert_eq!(owner(&closed.join("data-dir/postgres/data")), 0);
            write_down(&postgres, "root's").await;
            postgres.stop().await;
            let postgres = start(&lock).await.unwrap();
            assert_eq!(read_back(&postgres).await, "root's");
            postgres.stop().await;
        }
        Err(Error::Blocked { blocking, .. }) => assert_eq!(blocking, closed),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn directory_in_the_way_of_postgres_is_named() {
    if !geteuid().is_root() {
        return; // only root has another user run it
    }
    let scratch = Scratch::new();
    let closed = scratch.0.join("closed");
    let root = closed.join("data-dir/postgres");
    fs::create_dir_all(&root).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let layout = Layout { root: root.clone() };
    let binaries = Binaries::find(bin_dir().as_deref(), None, &layout).unwrap();
    let nobody = Account::Other(Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    assert_eq!(
        nobody.try_out(&layout, &binaries).unwrap_err().to_string(),
        format!(
            "Postgres runs as user nobody, who cannot reach {} because of {closed}: run chmod o+x {closed}, or choose another place",
            root.display(),
            closed = closed.display()
        )
    );
}

#[test]
fn cluster_of_somebody_else_is_refused_to_who_is_not_root() {
    if !geteuid().is_root() {
        return; // only root can make one
    }
    let scratch = Scratch::new();
    let cluster = scratch.cluster();
    fs::create_dir_all(&cluster).unwrap();
    fs::write(cluster.join("PG_VERSION"), "15\n").unwrap();
    fs::set_permissions(&cluster, Permissions::from_mode(0o700)).unwrap();
    give(&scratch.data_dir(), NOBODY);
    let orders = Orders { uid: Some(NOBODY), ..Orders::default() };
    let refusal = Second::spawn(&scratch, orders).hear_refusal();
    assert_eq!(
        refusal,
        format!(
            "{} belongs to uid 0, as whom Postgres must run: run Bottega as that user or as root, or run chown -R on it",
            cluster.display()
        )
    );
}

#[test]
fn user_without_a_name_is_told_so() {
    const NAMELESS: u32 = 1_234_567;
    if !geteuid().is_root() {
        return; // only root can become one
    }
    let scratch = Scratch::new();
    DirBuilder::new().mode(0o700).create(scratch.data_dir()).unwrap();
    give(&scratch.data_dir(), NAMELESS);
    let orders = Orders { uid: Some(NAMELESS), ..Orders::default() };
    let refusal = Second::spawn(&scratch, orders).hear_refusal();
    assert!(refusal.starts_with("uid 1234567 has no line in /etc/passwd"), "{refusal}");
    assert!(!scratch.unfinished().exists());
}

#[test]
fn data_directory_that_cannot_be_written_is_named() {
    let scratch = Scratch::new();
    // As root, who may write anywhere: a place where nothing can be.
    let (dir, orders) = if geteuid().is_root() {
        DirBuilder::new().mode(0o755).create(scratch.data_dir()).unwrap();
        (scratch.data_dir().join("bottega.lock"), Orders { uid: Some(NOBODY), ..Orders::default() })
    } else {
        DirBuilder::new().mode(0o555).create(scratch.data_dir()).unwrap();
        (scratch.data_dir().join("bottega.lock"), Orders::default())
    };
    let refusal = Second::spawn(&scratch, orders).hear_refusal();
    assert_eq!(refusal, format!("cannot write {}: Permission denied (os error 13)", dir.display()));
}

fn give(path: &Path, uid: u32) {
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid))).unwrap();
}
