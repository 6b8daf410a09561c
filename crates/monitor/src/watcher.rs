//! A gateway's side: takes records out of the ring, and writes down what they come to.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use artifacts::Artifacts;
use auth::Limiter;
use domain::{NodeId, Streak, capture::Record};
use store::{
    Database,
    capture::sketches::{self, Part},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Hashes, Metrics, Ring,
    keeper::{self, Keeper, Room},
    metrics::Outcome,
    minutes::Minutes,
    ring, sketch,
};

/// How often the ring is looked at. Nobody who puts something in wakes us: that would cost them more
/// than all the rest.
const LOOK: Duration = Duration::from_millis(20);

/// How long we work before we let others work.
const TURN: Duration = Duration::from_millis(4);

/// The part of the machine's cores that we take at most: what does not fit is dropped.
const SHARE: f64 = 0.1;

/// Sketches that are written in one transaction.
const AT_ONCE: usize = 500;

/// Bytes of sketches that are kept while the database is away.
const KEPT: usize = 64 << 20;

/// How long one part may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a watcher is given.
pub struct Given {
    /// Where sketches go.
    pub database: Database,
    /// Where files of kept rows go.
    pub artifacts: Artifacts,
    /// How many rows may be kept.
    pub limiter: Arc<Limiter>,
    /// What masked values become.
    pub hashes: Hashes,
    /// Where is counted what was captured.
    pub metrics: Metrics,
    /// How often it is written down.
    pub every: Duration,
}

/// Watches what one gateway answers.
pub struct Watcher {
    given: Given,
    ring: Ring,
    minutes: Mutex<Minutes>,
    /// For rows that are kept, on their way to their files.
    room: Room,
    stopped: AtomicBool,
}

impl Watcher {
    /// One with an empty ring.
    #[must_use]
    pub fn new(given: Given) -> Self {
        let ring = Ring::new(given.metrics.clone());
        let (minutes, room) = (Mutex::default(), Room::default());
        Self { given, ring, minutes, room, stopped: AtomicBool::new(false) }
    }

    /// Works until told to stop, and then writes down what is left.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (keeper, kept) = mpsc::unbounded_channel();
        let keeping = tokio::spawn(self.keeper().run(kept));
        let watcher = Arc::clone(&self);
        let worker = tokio::task::spawn_blocking(move || watcher.work(&keeper));
        let stopping = Stopping(&self.stopped);
        let mut writer = Writer::new(NodeId::new());
        while stop.run_until_cancelled(tokio::time::sleep(self.given.every)).await.is_some() {
            writer.flush(&self).await;
        }
        drop(stopping);
        if worker.await.is_err() {
            tracing::error!("what was captured last is lost: its thread panicked");
        }
        writer.flush(&self).await;
        if keeping.await.is_err() {
            tracing::error!("rows that were kept last are lost: their task panicked");
        }
    }

    fn keeper(&self) -> Keeper {
        let given = &self.given;
        Keeper::new(keeper::Given {
            database: given.database.clone(),
            artifacts: given.artifacts.clone(),
            limiter: Arc::clone(&given.limiter),
            hashes: given.hashes.clone(),
            metrics: given.metrics.clone(),
            every: given.every,
            room: self.room.clone(),
        })
    }

    /// Takes records out until told to stop, and then what is still there.
    fn work(&self, keeper: &mpsc::UnboundedSender<Box<Record>>) {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let share = (cores as f64 * SHARE).min(1.0);
        let mut taken = VecDeque::new();
        loop {
            let is_last = self.stopped.load(Relaxed);
            let begun = Instant::now();
            if is_last || taken.is_empty() {
                taken.append(&mut self.ring.take());
            }
            while let Some(record) = taken.pop_front() {
                self.watch(&record);
                self.keep(record, keeper, is_last);
                if !is_last && begun.elapsed() > TURN {
                    break;
                }
            }
            if is_last {
                return;
            }
            thread::sleep(LOOK.max(begun.elapsed().div_f64(share)));
        }
    }

    /// Hands rows on that are kept, while there is room for them. At the end all that the ring holds is.
    fn keep(&self, record: Record, keeper: &mpsc::UnboundedSender<Box<Record>>, is_last: bool) {
        if !record.keep {
            return;
        }
        let (source, rows) = (Arc::clone(&record.source), record.held());
        let weight = ring::weight(&record);
        if is_last {
            self.room.insist(weight);
        }
        let has_room = is_last || self.room.take(weight);
        if !has_room || keeper.send(Box::new(record)).is_err() {
            self.given.metrics.rows(&source.name, Outcome::Lost, rows);
        }
    }

    fn watch(&self, record: &Record) {
        let (name, held) = (record.source.name.as_str(), record.held());
        self.given.metrics.rows(name, Outcome::Cut, record.rows.saturating_sub(held));
        if record.source.settings.sketches {
            let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
            minutes.add(record, &self.given.hashes);
            drop(minutes);
            let outcome = match (record.code, record.shadow) {
                (Some(_), _) => Outcome::Failed,
                (None, true) => Outcome::Shadow,
                (None, false) => Outcome::Sketched,
            };
            self.given.metrics.rows(name, outcome, held);
        }
    }
}

/// Lets the thread end, also where whoever waits for it is dropped.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl domain::capture::Sink for Watcher {
    fn offer(&self, record: Record) {
        self.ring.offer(record);
    }
}

/// Writes sketches down, part by part. A part keeps its number until it is known to have arrived.
struct Writer {
    node: NodeId,
    epoch: i64,
    waiting: VecDeque<(i64, Part)>,
    away: Streak,
}

impl Writer {
    fn new(node: NodeId) -> Self {
        Self { node, epoch: 0, waiting: VecDeque::new(), away: Streak::default() }
    }

    async fn flush(&mut self, watcher: &Watcher) {
        // Not encoded under the lock, which whoever watches waits for.
        let mut minutes =
            mem::take(&mut *watcher.minutes.lock().unwrap_or_else(PoisonError::into_inner));
        self.queue(minutes.take());
        while let Some((epoch, part)) = self.waiting.front() {
            let sent =
                sketches::add(&watcher.given.database, self.node, *epoch, part, sketch::merge);
            match tokio::time::timeout(PATIENCE, sent).await {
                Ok(Ok(odd)) => {
                    if let Some(odd @ 1..) = odd {
                        tracing::error!(odd, "sketches did not fit those that were there");
                    }
                    self.away.ended();
                    self.waiting.pop_front();
                }
                Ok(Err(error)) if !error.is_unreachable() => {
                    tracing::error!(%error, columns = part.sketches.len(), "sketches are refused, and lost");
                    self.waiting.pop_front();
                }
                failed => {
                    self.away.failed();
                    if self.away.is_news() {
                        let error = match failed {
                            Ok(Err(error)) => error.to_string(),
                            Ok(Ok(_)) | Err(_) => "no answer in time".to_owned(),
                        };
                        tracing::warn!(error, "sketches cannot be written down: they are kept");
                    }
                    return;
                }
            }
        }
    }

    /// Numbers what is to be written, and forgets the oldest where that is too much.
    fn queue(&mut self, seen: Part) {
        let Part { sketches, mut failures } = seen;
        let mut parts: Vec<_> = sketches.chunks(AT_ONCE).map(<[_]>::to_vec).collect();
        if parts.is_empty() && !failures.is_empty() {
            parts.push(Vec::new());
        }
        for sketches in parts {
            self.epoch += 1;
            let failures = mem::take(&mut failures);
            self.waiting.push_back((self.epoch, Part { sketches, failures }));
        }
        let weight = |part: &Part| {
            let sketches = part.sketches.iter().map(|it| it.bytes.len() + 200).sum::<usize>();
            sketches + part.failures.len() * 200
        };
        let mut kept: usize = self.waiting.iter().map(|(_, part)| weight(part)).sum();
        while kept > KEPT
            && let Some((_, oldest)) = self.waiting.pop_front()
        {
            kept -= weight(&oldest);
            tracing::error!(
                columns = oldest.sketches.len(),
                "the database is away for too long: sketches are lost"
            );
        }
    }
}
