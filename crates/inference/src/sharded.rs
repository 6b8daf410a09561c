//! A value in as many parts as keep threads apart, for what every request changes.

use std::{
    cell::Cell,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::sync::lock;

/// Threads share as few of these as is worth the memory.
const SHARDS: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) % SHARDS);
}

/// The parts: a thread takes a lock that only few others share.
#[derive(Debug, Default)]
pub struct Sharded<T>([Mutex<T>; SHARDS]);

impl<T> Sharded<T> {
    /// This thread's part.
    pub(crate) fn mine(&self) -> &Mutex<T> {
        let [first, ..] = &self.0;
        self.0.get(SHARD.get()).unwrap_or(first)
    }

    /// Changes this thread's part.
    pub fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut lock(self.mine()));
    }

    /// Looks at all parts, one after the other.
    pub fn each(&self, mut look: impl FnMut(&mut T)) {
        for part in &self.0 {
            look(&mut lock(part));
        }
    }
}
