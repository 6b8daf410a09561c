//! Why the private Postgres cannot run, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A private Postgres that cannot run. Whoever started Bottega reads these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Someone else holds the data directory's lock.
    #[error("another Bottega (pid {pid}) uses {dir}; stop it or choose another --data-dir")]
    InUse {
        /// What the holder wrote into the lock's file.
        pid: String,
        /// The data directory.
        dir: PathBuf,
    },
    /// A file or directory that we need cannot be used.
    #[error("cannot {action} {path}: {source}")]
    Path {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No Postgres on this machine.
    #[error(
        "no Postgres found: run apt-get install postgresql, name its programs' directory with --pg-bin-dir, or use an external database with --database-url"
    )]
    NoBinaries,
    /// The directory that was named holds no Postgres.
    #[error(
        "{dir} holds no postgres and initdb that run: name the directory of Postgres' programs, such as /usr/lib/postgresql/15/bin"
    )]
    BinDir {
        /// What was named.
        dir: PathBuf,
    },
    /// The cluster was made by another major version than those that are here.
    #[error(
        "{data} belongs to PostgreSQL {needed}, but here is only {found}: install PostgreSQL {needed} or name its programs with --pg-bin-dir"
    )]
    Version {
        /// The cluster.
        data: PathBuf,
        /// Its major version.
        needed: u32,
        /// What was found, with its places.
        found: String,
    },
    /// The place of the cluster holds something else.
    #[error(
        "{data} is no Postgres cluster (no readable PG_VERSION in it): move it away, or restore it from a backup"
    )]
    NotACluster {
        /// The place.
        data: PathBuf,
    },
    /// The cluster is someone else's, and we are not root.
    #[error(
        "{data} belongs to uid {owner}, as whom Postgres must run: run Bottega as that user or as root, or run chown -R on it"
    )]
    Owner {
        /// The cluster.
        data: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The cluster is root's, as whom Postgres refuses to run, and there is no way around it.
    #[error(
        "{data} belongs to root, as whom Postgres does not run, and a user namespace is not possible here ({source}): run chown -R postgres: on it"
    )]
    OwnedByRoot {
        /// The cluster.
        data: PathBuf,
        /// Why there is no namespace.
        source: io::Error,
    },
    /// initdb wants a name for the user it runs as.
    #[error(
        "uid {uid} has no line in /etc/passwd, which Postgres needs to make its files: add one, or use an external database with --database-url"
    )]
    NoPasswdLine {
        /// Ourselves.
        uid: u32,
    },
    /// Postgres' user cannot reach what it must.
    #[error(
        "Postgres runs as {account}, who cannot reach {path} because of {blocking}: run chmod o+x {blocking}, or choose another place"
    )]
    Blocked {
        /// Whom Postgres runs as.
        account: String,
        /// What must be reached.
        path: PathBuf,
        /// The directory in the way.
        blocking: PathBuf,
    },
    /// A program could not be run at all.
    #[error("cannot run {program} as {account}: {source}")]
    Run {
        /// The program.
        program: PathBuf,
        /// As whom.
        account: String,
        /// What the system said.
        source: io::Error,
    },
    /// The cluster could not be made.
    #[error("cannot make a Postgres cluster in {data} ({status}):\n{log}")]
    Initdb {
        /// Where.
        data: PathBuf,
        /// How initdb ended.
        status: String,
        /// Its last words.
        log: String,
    },
    /// The server ended.
    #[error("Postgres ended ({status}):\n{log}")]
    Died {
        /// How.
        status: String,
        /// Its last words.
        log: String,
    },
    /// A server of an earlier run does not stop.
    #[error(
        "Postgres of an earlier run (pid {pid}) uses {data} and does not stop: run kill -QUIT {pid}"
    )]
    Orphan {
        /// Its process.
        pid: i32,
        /// The cluster.
        data: PathBuf,
    },
    /// The server runs, but does not let us in.
    #[error("Postgres runs but cannot be used: {0}")]
    NotReady(#[source] sqlx::Error),
}

impl Error {
    /// For `map_err` on what was tried on a path.
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Path { action, path: path.to_owned(), source }
    }
}
