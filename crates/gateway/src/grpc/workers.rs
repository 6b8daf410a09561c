//! The threads that serve connections, each with a scheduler of its own, as those of HTTP/1.1 are.
//!
//! A connection stays with one thread, which also answers its calls: most are shorter than it takes to wake
//! another thread. Where one connection brings many calls at a time, as from a client that has one for all of
//! its threads, those are shared with threads that have less to do.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use hyper::rt::Executor;
use tokio::runtime::{Builder, Handle};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// So many calls of one connection stay with its thread in any case, and so many more calls than another
/// thread it has before others are shared.
const OWN: usize = 2;

/// The threads. They end, with all they still serve, when this is dropped.
pub(super) struct Workers {
    all: Arc<[Worker]>,
    _end: DropGuard,
}

/// In cache lines of its own: each call counts itself here.
#[repr(align(128))]
struct Worker {
    handle: Handle,
    connections: AtomicUsize,
    /// Under way.
    calls: AtomicUsize,
}

impl Workers {
    /// # Errors
    /// The system gives no thread, or none that could wait for the network.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let end = CancellationToken::new();
        // Where one cannot be started, the others end.
        let _end = end.clone().drop_guard();
        let start = |number| Worker::start(number, end.clone());
        Ok(Self { all: (0..count).map(start).collect::<io::Result<_>>()?, _end })
    }

    /// Has a connection served by the thread that has the fewest. It is told where its calls go.
    pub(super) fn serve<F>(&self, tracker: &TaskTracker, connection: impl FnOnce(Calls) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let has = |&number: &usize| self.all[number].connections.load(Relaxed);
        if let Some(own) = (0..self.all.len()).min_by_key(has) {
            self.all[own].connections.fetch_add(1, Relaxed);
            let (workers, under_way) = (Arc::clone(&self.all), AtomicUsize::new(0));
            let served = Served { workers, own, under_way, turn: AtomicUsize::new(0) };
            let served = connection(Calls(Arc::new(served)));
            tracker.spawn_on(served, &self.all[own].handle);
        }
    }
}

impl Worker {
    fn start(number: usize, end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let serve = move || runtime.block_on(end.cancelled());
        thread::Builder::new().name(format!("grpc-{number}")).spawn(serve)?;
        Ok(Self { handle, connections: AtomicUsize::new(0), calls: AtomicUsize::new(0) })
    }
}

/// Where a connection's calls are answered.
#[derive(Clone)]
pub(super) struct Calls(Arc<Served>);

/// A connection and the thread that serves it.
struct Served {
    workers: Arc<[Worker]>,
    own: usize,
    /// Calls.
    under_way: AtomicUsize,
    /// Counts up.
    turn: AtomicUsize,
}

impl Served {
    /// The thread for the next call.
    fn next(&self) -> usize {
        let others = self.workers.len() - 1;
        if self.under_way.load(Relaxed) < OWN || others == 0 {
            return self.own;
        }
        // Another one each time: where there are many, to look at all takes as long as a call.
        let turn = self.turn.fetch_add(1, Relaxed) % others;
        let other = (self.own + 1 + turn) % self.workers.len();
        let has = |number: usize| self.workers[number].calls.load(Relaxed);
        if has(self.own) >= has(other) + OWN { other } else { self.own }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.workers[self.own].connections.fetch_sub(1, Relaxed);
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Calls {
    fn execute(&self, call: F) {
        let at = self.0.next();
        let call_is_under_way = UnderWay::new(self.clone(), at);
        self.0.workers[at].handle.spawn(async move {
            let _until_it_is_answered = call_is_under_way;
            call.await;
        });
    }
}

/// A call, counted until it is answered or given up.
struct UnderWay(Calls, usize);

impl UnderWay {
    fn new(calls: Calls, at: usize) -> Self {
        calls.0.under_way.fetch_add(1, Relaxed);
        calls.0.workers[at].calls.fetch_add(1, Relaxed);
        Self(calls, at)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self(Calls(served), at) = self;
        served.under_way.fetch_sub(1, Relaxed);
        served.workers[*at].calls.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread::ThreadId, time::Duration};

    use tokio::{
        sync::{Semaphore, mpsc},
        time::{sleep, timeout},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// The thread of a connection, and those that so many calls of it are answered by which are under way at
    /// the same time.
    async fn threads(workers: &Workers, count: usize) -> Vec<ThreadId> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        workers.serve(&TaskTracker::new(), |calls| async move {
            sender.send(thread::current().id()).unwrap();
            let gate = Arc::new(Semaphore::new(0));
            for _ in 0..count {
                let (sender, gate) = (sender.clone(), Arc::clone(&gate));
                calls.execute(async move {
                    assert!(gate.acquire().await.is_err());
                    sender.send(thread::current().id()).unwrap();
                });
            }
            gate.close();
        });
        let mut threads = Vec::new();
        while let Some(thread) = receiver.recv().await {
            threads.push(thread);
        }
        threads
    }

    #[tokio::test]
    async fn a_connection_stays_with_a_thread_unless_it_brings_many_calls_at_a_time() {
        let workers = Workers::start(2).unwrap();
        for few in 0..=OWN {
            let threads = threads(&workers, few).await;
            assert_eq!(HashSet::<_>::from_iter(&threads).len(), 1, "{few}: {threads:?}");
        }
        let threads = threads(&workers, 40).await;
        let own = threads.iter().skip(1).filter(|&thread| *thread == threads[0]).count();
        assert!((20..=20 + OWN).contains(&own), "{own} of 40");
        let none_is_counted = async {
            let counts =
                |it: &Worker| [&it.connections, &it.calls].map(|count| count.load(Relaxed));
            while workers.all.iter().flat_map(counts).any(|count| count > 0) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, none_is_counted).await.unwrap();
    }

    #[tokio::test]
    async fn connections_are_dealt_out_and_end_with_the_threads() {
        let workers = Workers::start(3).unwrap();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for _ in 0..6 {
            let sender = sender.clone();
            workers.serve(&TaskTracker::new(), |calls| async move {
                sender.send(thread::current().id()).unwrap();
                // Nobody ends it.
                std::future::pending::<()>().await;
                drop((sender, calls));
            });
        }
        drop(sender);
        let mut threads = Vec::new();
        for _ in 0..6 {
            threads.push(receiver.recv().await.unwrap());
        }
        let of = |&thread: &ThreadId| threads.iter().filter(|&it| *it == thread).count();
        assert_eq!(threads.iter().map(of).collect::<Vec<_>>(), [2; 6]);
        drop(workers);
        let ended = timeout(PATIENCE, receiver.recv()).await;
        assert_eq!(ended, Ok(None));
    }
}
