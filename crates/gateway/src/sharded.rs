//! A value in as many parts as keep threads apart, for counts that every request adds to.

use std::{
    cell::Cell,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Threads share as few of these as is worth the memory.
const SHARDS: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) % SHARDS);
}

/// The parts: a thread takes a lock that only few others share.
#[derive(Debug, Default)]
pub(crate) struct Sharded<T>([Mutex<T>; SHARDS]);

impl<T> Sharded<T> {
    /// Changes this thread's part.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        if let Some(part) = self.0.get(SHARD.get()) {
            change(&mut part.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Looks at all parts, one after the other.
    pub(crate) fn each(&self, mut look: impl FnMut(&mut T)) {
        for part in &self.0 {
            look(&mut part.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
