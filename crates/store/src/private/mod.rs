//! A Postgres of one's own: the embedded default, for a laptop or one server.
//!
//! `bottega up` without `--database-url` starts one and stops it again. Everything is under the
//! data directory:
//!
//! ```text
//! DATA_DIR/bottega.lock        held while a Bottega uses the directory (lock.rs)
//! DATA_DIR/postgres/data       the cluster; its owner and PG_VERSION decide user and binaries
//! DATA_DIR/postgres/data.new   a cluster being made; leftovers are removed (cluster.rs)
//! DATA_DIR/postgres/run        the socket, in a directory that only its owner can enter
//! DATA_DIR/postgres/log        what the server wrote since its last start
//! ```
//!
//! What holds, and where:
//! - No TCP. Whoever can enter the socket's directory may log in: its owner, and root (sockets.rs).
//! - Postgres refuses root, so a root Bottega runs it as another user (account.rs).
//! - Postgres never outlives us, not even a SIGKILL: it is told by the kernel (child.rs, process.rs).
//! - Whatever a crash leaves behind, the next start repairs (cluster.rs, leftover.rs).
//!
//! Not here: the schema. [`crate::migrate()`] with [`PrivatePostgres::migrate_url`] makes it.

mod account;
mod binaries;
mod bootstrap;
mod child;
mod cluster;
mod error;
mod leftover;
mod lock;
mod process;
mod sockets;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use self::{
    account::Account, binaries::Binaries, child::Child, cluster::Layout, process::Process,
    sockets::SocketDir,
};
pub use self::{error::Error, lock::DataDirLock};

/// How long a start is tried again: a crashed server's last children may still hold its memory.
const RETRY_FOR: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Every setting that is not Postgres' default. Memory is small and fixed; fsync stays on.
///
/// The log holds starts, stops and crashes only: failed statements go to whoever sent them, and
/// would bring users' values and an endless file.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "shared_buffers=128MB",
    "max_connections=60",
    "max_wal_size=1GB",
    "random_page_cost=1.1",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_logical_replication_workers=0",
    "autovacuum_max_workers=2",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=log",
    "log_min_error_statement=panic",
    "log_checkpoints=off",
    "log_autovacuum_min_duration=-1",
];

/// Which programs a start would use, without starting anything: `PostgreSQL 18 in /usr/lib/…`.
///
/// # Errors
/// None that fit the data directory.
pub fn find_programs(data_dir: &Path, bin_dir: Option<&Path>) -> Result<String, Error> {
    let layout = Layout { root: data_dir.join("postgres") };
    let binaries = Binaries::find(bin_dir, layout.cluster()?.as_ref(), &layout)?;
    Ok(format!("PostgreSQL {} in {}", binaries.major, binaries.dir.display()))
}

/// A running server. Dropping it asks the server to stop; [`PrivatePostgres::stop`] sees to it.
#[derive(Debug)]
pub struct PrivatePostgres {
    process: Process,
    layout: Layout,
    sockets: SocketDir,
    major: u32,
}

impl PrivatePostgres {
    /// Starts the server of a data directory, making its cluster the first time, and answers when
    /// the database `bottega` can be used. At most one at a time for each lock.
    ///
    /// The binaries are looked for in `bin_dir`, then in `postgres/bin` beside the executable, in
    /// `/usr/lib/postgresql` and on the PATH. Only those that fit an existing cluster are used.
    ///
    /// # Errors
    /// No binaries that fit, a directory that cannot be used, a server that does not start. Nothing
    /// half-made is left behind.
    pub async fn start(lock: &DataDirLock, bin_dir: Option<&Path>) -> Result<Self, Error> {
        let layout = Layout::prepare(lock.dir())?;
        let cluster = layout.cluster()?;
        let binaries = Binaries::find(bin_dir, cluster.as_ref(), &layout)?;
        let account = Account::choose(cluster.as_ref(), &layout, &binaries)?;
        if cluster.is_none() {
            cluster::create(&layout, &binaries, account).await?;
        }
        let deadline = Instant::now() + RETRY_FOR;
        loop {
            leftover::clear(&layout.data()).await?;
            let sockets = SocketDir::make(&layout, account)?;
            match launch(&layout, &binaries, account, &sockets).await {
                Ok(process) => {
                    let major = binaries.major;
                    tracing::info!(postgres.major = major, postgres.pid = process.pid(), postgres.account = %account, "the private Postgres runs");
                    return Ok(Self { process, layout, sockets, major });
                }
                Err(Error::Died { status, .. }) if Instant::now() < deadline => {
                    tracing::debug!(postgres.status = status, "Postgres did not start: again");
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where [`crate::migrate()`] connects: as the cluster's superuser.
    #[must_use]
    pub fn migrate_url(&self) -> String {
        self.sockets.url(bootstrap::SUPERUSER, bootstrap::DATABASE)
    }

    /// Where everything else connects: as a user who owns nothing.
    #[must_use]
    pub fn app_url(&self) -> String {
        self.sockets.url(bootstrap::APP, bootstrap::DATABASE)
    }

    /// The major version of the server.
    #[must_use]
    pub const fn major(&self) -> u32 {
        self.major
    }

    /// The server's process.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Waits until the server has ended, for whatever reason, and tells how ([`Error::Died`]).
    pub async fn exited(&self) -> Error {
        let exit = self.process.exited().await;
        Error::Died { status: exit.status, log: self.layout.last_words() }
    }

    /// Stops the server: politely, then less so.
    pub async fn stop(self) {
        const WAYS: [(Signal, Duration); 3] = [
            (Signal::SIGINT, Duration::from_secs(4)),
            (Signal::SIGQUIT, Duration::from_secs(1)),
            (Signal::SIGKILL, Duration::from_secs(1)),
        ];
        for (signal, patience) in WAYS {
            self.process.signal(signal);
            if tokio::time::timeout(patience, self.process.exited()).await.is_ok() {
                return;
            }
            tracing::warn!(postgres.pid = self.pid(), %signal, "Postgres did not stop in time");
        }
    }
}

/// Starts the server once and waits until it can be used.
async fn launch(
    layout: &Layout,
    binaries: &Binaries,
    account: Account,
    sockets: &SocketDir,
) -> Result<Process, Error> {
    let program = binaries.postgres();
    // Should we die, SIGINT lets it end its clients' sessions and leave a clean cluster.
    let mut server = Child::new(&program, account, &layout.root, Signal::SIGINT)?;
    let port = sockets::PORT.to_string();
    server.command.arg("-D").arg(layout.data()).args(["-p", &port]);
    server.command.arg("-k").arg(sockets.as_setting());
    for setting in SETTINGS {
        server.command.args(["-c", setting]);
    }
    server.log_to(layout)?;
    let process = Process::spawn(server).await?;
    bootstrap::make_usable(&process, sockets, layout).await?;
    Ok(process)
}
