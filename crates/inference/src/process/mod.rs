//! A version in a process of its own.
//!
//! [`ProcessEngine`] is an engine as any other: it hands what it is asked to a confined process
//! ([`Program`]) and waits for the answer. A thread of its own ([`keeper`]) starts that process, watches
//! its memory, hears what it prints, and starts it again, later each time, when it has ended. So N
//! processes are N engines of one [`Replica`](crate::Replica), which puts requests together, queues and
//! drains as it does for engines in the node's own process.
//!
//! What the process does with itself before it touches the model is in [`worker`](crate::worker).

mod apart;
mod death;
mod engine;
pub(crate) mod frame;
mod group;
mod keeper;
mod link;
mod printed;
mod program;
mod tree;

use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

pub use self::{
    apart::{Apart, ApartEngine},
    engine::ProcessEngine,
    program::{Bounds, Program},
};
pub(crate) use self::{death::is_out_of_memory, program::Order};

use self::group::Groups;
use crate::sync::lock;

/// What a node gives to the processes that it starts.
#[derive(Clone)]
pub struct Host {
    exe: PathBuf,
    printed: Arc<dyn Fn(&str) + Send + Sync>,
    /// What this machine did not allow, as far as that was told.
    missing: Arc<Mutex<BTreeSet<String>>>,
    /// Where each process gets a group of its own.
    groups: Option<Arc<Groups>>,
}

impl Host {
    /// `exe` is the program whose `worker --serve` is [`serve`](crate::worker::serve), normally the running
    /// one. What models print is told to `tracing`.
    #[must_use]
    pub fn new(exe: PathBuf) -> Self {
        let printed = Arc::new(|line: &str| tracing::info!(target: "model", "{line}"));
        Self { exe, printed, missing: Arc::default(), groups: None }
    }

    /// Bounds each process by a control group of its own as well, where the machine gives this one a group
    /// that it may divide. This process moves into one of its own for that.
    #[must_use]
    pub fn in_groups(mut self) -> Self {
        match Groups::make() {
            Ok(groups) => {
                self.note_missing(groups.without());
                self.groups = Some(Arc::new(groups));
            }
            Err(error) => {
                tracing::debug!(%error, "control groups are not possible here");
                self.note_missing(["control groups".to_owned()]);
            }
        }
        self
    }

    /// The same for a version whose lines are told to somebody else, one by one and without their ends;
    /// none is too long, and there are not too many.
    #[must_use]
    pub fn printing(&self, printed: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { printed, ..self.clone() }
    }

    /// The program whose `worker` is ours.
    #[must_use]
    pub fn exe(&self) -> &std::path::Path {
        &self.exe
    }

    /// What workers are confined without, as far as that was seen.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        lock(&self.missing).iter().cloned().collect()
    }

    /// Says once what workers are confined without.
    fn note_missing(&self, without: impl IntoIterator<Item = String>) {
        let mut missing = lock(&self.missing);
        for what in without {
            if !missing.contains(&what) {
                tracing::warn!(
                    what,
                    "models in processes of their own are confined without it: this machine does not allow it"
                );
                missing.insert(what);
            }
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("exe", &self.exe).finish_non_exhaustive()
    }
}
