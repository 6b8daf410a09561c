//! What use cases work with, and how long polls learn that something changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use artifacts::Artifacts;
use chrono::TimeDelta;
use domain::Problem;
use remote::Remote;
use store::{Database, outbox::Listener};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Result, collections::RETENTION, lookups::Lookups};

/// How often a long poll looks although nobody told it to.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the watcher waits for one notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much callers may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest file in bytes.
    pub blob_bytes: u64,
    /// The longest archive in bytes, and the most that one may hold.
    pub archive_bytes: u64,
    /// The longest body of a request for a prediction that nodes take, in bytes.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { blob_bytes: 64 << 30, archive_bytes: 64 << 30, body_bytes: 16 << 20 }
    }
}

/// What all use cases of this crate work with.
pub struct State {
    pub(crate) database: Database,
    pub(crate) artifacts: Artifacts,
    pub(crate) scratch: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) retention: TimeDelta,
    pub(crate) lookups: Lookups,
    remote: Option<Arc<Remote>>,
    /// Sent whenever something changed; `true` once the process stops.
    changes: watch::Sender<bool>,
}

impl State {
    /// Archives are put into the folder `scratch` before they are unpacked; it must exist.
    #[must_use]
    pub fn new(database: Database, artifacts: Artifacts, scratch: PathBuf, limits: Limits) -> Self {
        let (retention, changes) = (RETENTION, watch::Sender::new(false));
        let (lookups, remote) = (Lookups::default(), None);
        Self { database, artifacts, scratch, limits, retention, lookups, remote, changes }
    }

    /// The same, where what is deleted can be restored for another time than [`RETENTION`].
    #[must_use]
    pub fn with_retention(self, retention: TimeDelta) -> Self {
        Self { retention, ..self }
    }

    /// The same, where releases may ask servers of others.
    #[must_use]
    pub fn with_remote(self, remote: Arc<Remote>) -> Self {
        Self { remote: Some(remote), ..self }
    }

    /// What asks servers of others.
    ///
    /// # Errors
    /// None are asked here.
    pub(crate) fn remote(&self) -> Result<&Remote, Problem> {
        let none = || Problem::unavailable("servers of others are not asked here");
        self.remote.as_deref().ok_or_else(none)
    }

    /// Reads until `is_over` says so, `wait` has passed or the process stops; answers what was read
    /// last. It looks again whenever something changed anywhere, and holds nothing in between.
    pub(crate) async fn settled<T>(
        &self,
        wait: Duration,
        read: impl AsyncFn() -> Result<T>,
        is_over: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let deadline = Instant::now() + wait;
        let mut changes = self.changes.subscribe();
        loop {
            // Interest first, look after: what changes in between is seen in the next round.
            let stopping = *changes.borrow_and_update();
            let found = read().await?;
            let now = Instant::now();
            if stopping || now >= deadline || is_over(&found) {
                return Ok(found);
            }
            let look_at = deadline.min(now + LOOK_EVERY);
            let _ = tokio::time::timeout_at(look_at, changes.changed()).await;
        }
    }
}

/// Wakes long polls whenever something changed, over one connection for all of them, until the
/// process stops; then sends them home. Without it they look by time only, and nothing is answered
/// out of memory.
pub async fn watch(state: &State, stop: CancellationToken) {
    let mut listener = Listener::vouching(&state.database);
    loop {
        tokio::select! {
            () = listener.changed(PATIENCE) => state.changes.send_replace(false),
            () = stop.cancelled() => break,
        };
    }
    state.changes.send_replace(true);
}
