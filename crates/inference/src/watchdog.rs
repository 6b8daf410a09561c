//! One thread that ends every run of the process at its deadline.
//!
//! A run only writes its deadline into a slot of its own, so that runs never meet on a shared
//! lock. The thread sleeps until the earliest deadline that it has seen; only a run whose deadline
//! is earlier than that wakes it. As deadlines usually lie equally far ahead, this happens about
//! once per that distance and not once per run.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use ort::session::RunOptions;

use crate::sync::lock;

/// The thread, shared by all engines. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Watchdog(Arc<Shared>);

struct Shared {
    /// The zero of `wake_at`.
    epoch: Instant,
    /// When the thread looks next, in nanoseconds; `u64::MAX` while nothing runs.
    wake_at: AtomicU64,
    slots: Mutex<Vec<Weak<Slot>>>,
    earlier: Condvar,
}

struct Slot {
    options: RunOptions,
    run: Mutex<Run>,
}

#[derive(Default)]
struct Run {
    deadline: Option<Instant>,
    ended: bool,
}

/// One engine's place in the watchdog's list.
pub(crate) struct Watch {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

impl Watchdog {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            wake_at: AtomicU64::new(u64::MAX),
            slots: Mutex::default(),
            earlier: Condvar::new(),
        });
        let watching = Arc::clone(&shared);
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || watching.watch())?;
        Ok(Self(shared))
    }

    /// A place for one engine, which runs one request at a time.
    pub(crate) fn watch(&self) -> ort::Result<Watch> {
        let slot = Arc::new(Slot { options: RunOptions::new()?, run: Mutex::default() });
        lock(&self.0.slots).push(Arc::downgrade(&slot));
        Ok(Watch { slot, shared: Arc::clone(&self.0) })
    }
}

impl Watch {
    /// The options to run with.
    pub(crate) fn options(&self) -> &RunOptions {
        &self.slot.options
    }

    /// A run begins.
    pub(crate) fn begin(&self, deadline: Instant) {
        lock(&self.slot.run).deadline = Some(deadline);
        if self.shared.nanos(deadline) < self.shared.wake_at.load(SeqCst) {
            self.shared.wake_earlier(deadline);
        }
    }

    /// The run is over. Tells whether the watchdog ended it.
    pub(crate) fn finish(&self) -> ort::Result<bool> {
        let run = std::mem::take(&mut *lock(&self.slot.run));
        if run.ended {
            self.slot.options.unterminate()?;
        }
        Ok(run.ended)
    }
}

impl Shared {
    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    fn wake_earlier(&self, deadline: Instant) {
        // The thread holds this lock while it looks around: once we have it, the thread sleeps
        // and hears the notice.
        let _slots = lock(&self.slots);
        self.wake_at.fetch_min(self.nanos(deadline), SeqCst);
        self.earlier.notify_one();
    }

    fn watch(&self) {
        let mut slots = lock(&self.slots);
        loop {
            // Before the look around: a run that begins behind our back sees this and wakes us.
            self.wake_at.store(u64::MAX, SeqCst);
            let now = Instant::now();
            let mut next: Option<Instant> = None;
            slots.retain(|slot| {
                let Some(slot) = slot.upgrade() else { return false };
                if let Some(deadline) = slot.look(now) {
                    next = Some(next.map_or(deadline, |other| other.min(deadline)));
                }
                true
            });
            let sleep = match next {
                Some(deadline) => {
                    self.wake_at.fetch_min(self.nanos(deadline), SeqCst);
                    deadline.saturating_duration_since(now)
                }
                None => Duration::MAX,
            };
            slots =
                self.earlier.wait_timeout(slots, sleep).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Slot {
    /// Ends the run if it is due; else the deadline to come back for.
    fn look(&self, now: Instant) -> Option<Instant> {
        let mut run = lock(&self.run);
        let deadline = run.deadline.filter(|_| !run.ended)?;
        if now < deadline {
            return Some(deadline);
        }
        run.ended = true;
        if let Err(error) = self.options.terminate() {
            tracing::error!(%error, "a run cannot be ended at its deadline");
        }
        None
    }
}
