//! Brings what was asked for about: tries new versions, and moves endpoints from one release to
//! the next.
//!
//! Two loops, both level-triggered: woken by a notice or by time, they read the tables, do what
//! there is to do, and sleep again.
//!
//! - [`reconcile`] asks `domain::rollout::step` what to do with each release that is on its way,
//!   and writes the answer down. Gateways see it in the tables; no gateway is ever called.
//! - `trial` loads each new version in a throw-away worker process before anything may serve it.
//!
//! Invariants: any number of deployers may run, and each may die at any moment, since releases end
//! once (the row's state says so) and trials are leased. A fault of ours never rejects a version.
//!
//! Not here: rules (`domain`), SQL (`store`), replicas that serve (`gateway`), what a worker does
//! (`inference`).

mod external;
pub mod reconcile;
mod state;
mod trial;

pub use state::{DecodeExample, State, Trials};

use std::time::Duration;

use store::outbox::Listener;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often to look when no notice comes: a lost one costs no more than this.
const RESYNC: Duration = Duration::from_secs(5);

/// Does both until told to stop. Trials that are running then are given back.
pub async fn run(state: State, stop: CancellationToken) {
    let (look, looks) = watch::channel(());
    let listener = Listener::new(&state.database);
    let tasks = TaskTracker::new();
    tasks.spawn(listen(listener, look, stop.clone()));
    tasks.spawn(reconcile::run(state.clone(), looks.clone(), stop.clone()));
    tasks.spawn(trial::run(state, looks, stop));
    tasks.close();
    tasks.wait().await;
}

/// Wakes both loops when something may have changed, over one connection.
async fn listen(mut listener: Listener, look: watch::Sender<()>, stop: CancellationToken) {
    while stop.run_until_cancelled(listener.changed(RESYNC)).await.is_some() {
        look.send_replace(());
    }
}
