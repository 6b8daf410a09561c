//! The private Postgres on real binaries: those of `BOTTEGA_PG_BIN_DIR`, else what is found.
//!
//! Several tests need a second Bottega, to kill or to be somebody else: `second.rs`.

mod accounts;
mod crashes;
mod life;
mod refusals;
mod second;

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::mkdtemp;
use sqlx::{Connection, PgConnection};

use super::{DataDirLock, Error, PrivatePostgres};

/// An empty directory that everybody can pass through. It is removed with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = mkdtemp("/tmp/bottega-private-XXXXXX").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o711)).unwrap();
        Self(path)
    }

    fn data_dir(&self) -> PathBuf {
        self.0.join("data-dir")
    }

    fn cluster(&self) -> PathBuf {
        self.data_dir().join("postgres/data")
    }

    fn unfinished(&self) -> PathBuf {
        self.data_dir().join("postgres/data.new")
    }

    fn pid_file(&self) -> PathBuf {
        self.cluster().join("postmaster.pid")
    }

    fn lock(&self) -> DataDirLock {
        DataDirLock::acquire(&self.data_dir()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || thread::panicking(), "{removed:?}");
    }
}

/// Tests name their binaries, as `--pg-bin-dir` does.
fn bin_dir() -> Option<PathBuf> {
    env::var_os("BOTTEGA_PG_BIN_DIR").map(PathBuf::from)
}

async fn start(lock: &DataDirLock) -> Result<PrivatePostgres, Error> {
    PrivatePostgres::start(lock, bin_dir().as_deref()).await
}

async fn refusal(lock: &DataDirLock) -> Error {
    start(lock).await.map(|postgres| postgres.pid()).unwrap_err()
}

/// One value from the server.
async fn ask(url: &str, question: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let answer = sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

async fn write_down(postgres: &PrivatePostgres, text: &str) {
    let mut connection = PgConnection::connect(&postgres.migrate_url()).await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept (text text)").execute(&mut connection).await.unwrap();
    let insert = sqlx::query("INSERT INTO kept VALUES ($1)").bind(text);
    insert.execute(&mut connection).await.unwrap();
}

async fn read_back(postgres: &PrivatePostgres) -> String {
    ask(&postgres.migrate_url(), "SELECT text FROM kept").await
}

/// Waits for what must become true, for at most so long.
async fn until(within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process exists and is more than a zombie.
fn is_running(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok()
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}
