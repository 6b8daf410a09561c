//! Requests that are being answered, so that a server that stops knows when it may.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// How often is looked whether the last one is answered.
const STEP: Duration = Duration::from_millis(10);

/// All that are being answered, counted for each worker by itself. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    workers: Mutex<Vec<Arc<AtomicUsize>>>,
    stopping: AtomicBool,
}

/// One worker's part.
#[derive(Debug)]
pub(crate) struct Counter {
    count: Arc<AtomicUsize>,
    all: Arc<Inner>,
}

/// One request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl InFlight {
    /// Another worker's part.
    pub(crate) fn worker(&self) -> Counter {
        let count = Arc::new(AtomicUsize::new(0));
        let mut workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.push(Arc::clone(&count));
        Counter { count, all: Arc::clone(&self.0) }
    }

    fn count(&self) -> usize {
        let workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Tells clients from now on to come by another connection, and waits until nobody is being
    /// answered any more, or for as long as that. How many are left then.
    pub async fn drained(&self, longest: Duration) -> usize {
        self.0.stopping.store(true, Relaxed);
        let waiting = async {
            while self.count() > 0 {
                tokio::time::sleep(STEP).await;
            }
        };
        let _late = tokio::time::timeout(longest, waiting).await;
        self.count()
    }
}

impl Counter {
    /// Counts a request.
    pub(crate) fn begin(&self) -> Counted {
        self.count.fetch_add(1, Relaxed);
        Counted(Arc::clone(&self.count))
    }

    /// Whether the server stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.all.stopping.load(Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_drained_once_all_are_answered() {
        let requests = InFlight::default();
        let (one, other) = (requests.worker(), requests.worker());
        let (first, second) = (one.begin(), other.begin());
        assert_eq!(requests.drained(Duration::from_millis(1)).await, 2);
        assert!(one.is_stopping());
        let ends = async {
            drop(first);
            tokio::task::yield_now().await;
            drop(second);
        };
        let (left, ()) = tokio::join!(requests.drained(Duration::from_secs(60)), ends);
        assert_eq!(left, 0);
    }
}
