//! Kept rows on their way into files.
//!
//! Rows gather by version until there are enough of them or the first has waited long enough. A file
//! is whole and durable before its row is written; its id is given before the first try, so a try
//! whose end nobody knows does not make a second one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use artifacts::Artifacts;
use auth::Limiter;
use bytes::Bytes;
use domain::{
    Actor, EndpointId, Problem, Streak, VersionId,
    capture::{Record, Source},
    quota::Key,
};
use futures_util::stream;
use store::{
    Database,
    capture::segments::{self, Segment},
};
use tokio::sync::mpsc;

use crate::{Hashes, Metrics, Result, metrics::Outcome, ring, segment::Table};

/// A file of that many rows is written at once.
const ROWS: usize = 10_000;

/// And one of that many bytes.
const BYTES: usize = 8 << 20;

/// Bytes of rows that are on their way at most, while the database or the artifacts are away.
const MOST: usize = 64 << 20;

/// The bytes of all rows that are on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Room(Arc<AtomicUsize>);

impl Room {
    /// Takes room for so many bytes, if there is so much.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= MOST);
        self.0.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Takes it whether it is there or not.
    pub(crate) fn insist(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

/// How often it is looked, in the time after which a file is due, whether one is.
const LOOKS: u32 = 12;

/// How long one file may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a keeper is given.
pub(crate) struct Given {
    pub(crate) database: Database,
    pub(crate) artifacts: Artifacts,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) hashes: Hashes,
    pub(crate) metrics: Metrics,
    pub(crate) every: Duration,
    pub(crate) room: Room,
}

/// Rows that will be one file.
struct Batch {
    source: Arc<Source>,
    records: Vec<Record>,
    rows: usize,
    bytes: usize,
    since: Instant,
}

/// A file that is not known to be written yet.
struct Sealed {
    source: Arc<Source>,
    segment: Segment,
    bytes: Bytes,
    weight: usize,
}

/// What the rows of a file have in common, besides settings. What was answered has other columns than what
/// failed, and that again others than what could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    endpoint: EndpointId,
    version: VersionId,
    failed: bool,
    decoded: bool,
}

impl Kind {
    fn of(record: &Record) -> Self {
        let Source { endpoint, version, .. } = *record.source;
        let (failed, decoded) = (record.code.is_some(), !record.inputs.is_empty());
        Self { endpoint, version, failed, decoded }
    }
}

/// Gathers and writes.
pub(crate) struct Keeper {
    given: Given,
    open: HashMap<Kind, Batch>,
    sealed: VecDeque<Sealed>,
    away: Streak,
}

impl Keeper {
    pub(crate) fn new(given: Given) -> Self {
        let (open, sealed) = (HashMap::new(), VecDeque::new());
        Self { given, open, sealed, away: Streak::default() }
    }

    /// Works until nobody hands anything in any more, and then writes what is left. Whoever hands a
    /// record in has taken room for it: while a file waits for the database, records wait for us.
    pub(crate) async fn run(mut self, mut kept: mpsc::UnboundedReceiver<Box<Record>>) {
        // Looked at more often than files are due, or a row could wait for twice as long.
        let mut tick = tokio::time::interval(self.given.every / LOOKS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                record = kept.recv() => match record {
                    Some(record) => self.take(record).await,
                    None => break,
                },
                _ = tick.tick() => {
                    self.seal(|batch, every| batch.since.elapsed() >= every).await;
                    self.write().await;
                }
            }
        }
        self.seal(|_, _| true).await;
        self.write().await;
    }

    async fn take(&mut self, record: Box<Record>) {
        let (source, rows) = (Arc::clone(&record.source), record.held());
        let weight = ring::weight(&record);
        if rows == 0 {
            self.given.room.give_back(weight);
            return;
        }
        let amount = rows as u64;
        let counted =
            self.given.limiter.count(Key::CapturedRowsPerDay, &record.caller, source.team, amount);
        if counted.await.is_err() {
            self.given.metrics.rows(&source.name, Outcome::OverQuota, rows);
            self.given.room.give_back(weight);
            return;
        }
        let key = Kind::of(&record);
        // A file has one set of settings: what is masked in it is masked in all of it.
        let differs = |batch: &Batch| batch.source.settings != source.settings;
        if let Some(batch) = self.open.remove(&key) {
            if differs(&batch) || batch.rows >= ROWS || batch.bytes >= BYTES {
                self.close(batch).await;
                self.write().await;
            } else {
                self.open.insert(key, batch);
            }
        }
        let batch = self.open.entry(key).or_insert_with(|| Batch {
            source,
            records: Vec::new(),
            rows: 0,
            bytes: 0,
            since: Instant::now(),
        });
        batch.rows += rows;
        batch.bytes += weight;
        batch.records.push(*record);
    }

    async fn seal(&mut self, is_due: impl Fn(&Batch, Duration) -> bool) {
        let every = self.given.every;
        let due: Vec<_> = self.open.extract_if(|_, batch| is_due(batch, every)).collect();
        for (_, batch) in due {
            self.close(batch).await;
        }
    }

    /// Makes a file of a batch.
    async fn close(&mut self, batch: Batch) {
        let Batch { source, records, rows, bytes: weight, .. } = batch;
        let (hashes, place) = (self.given.hashes.clone(), (source.endpoint, source.version));
        let made = tokio::task::spawn_blocking(move || -> Result<_> {
            let table = Table::of(&records, &hashes);
            let bytes = Bytes::from(table.write()?);
            let known = (domain::Digest::of(&bytes), bytes.len() as u64);
            Ok((table.describe(place, known, &hashes), bytes))
        });
        match made.await.map_err(crate::Error::from).flatten() {
            Ok((segment, bytes)) => {
                self.sealed.push_back(Sealed { source, segment, bytes, weight });
            }
            Err(error) => {
                tracing::error!(%error, rows, "kept rows make no file, and are lost");
                self.given.metrics.rows(&source.name, Outcome::Lost, rows);
                self.given.room.give_back(weight);
            }
        }
    }

    /// Writes what is sealed, until something is away.
    async fn write(&mut self) {
        while let Some(sealed) = self.sealed.front() {
            let written = tokio::time::timeout(PATIENCE, put(&self.given, sealed)).await;
            let error = match written {
                Ok(Ok(())) => {
                    self.away.ended();
                    let rows = usize::try_from(sealed.segment.rows).unwrap_or_default();
                    self.given.metrics.rows(&sealed.source.name, Outcome::Kept, rows);
                    self.given.room.give_back(sealed.weight);
                    self.sealed.pop_front();
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            self.away.failed();
            if self.away.is_news() {
                tracing::warn!(error, "kept rows cannot be written down: they wait");
            }
            return;
        }
    }
}

/// The bytes first, then the row.
async fn put(given: &Given, sealed: &Sealed) -> Result<()> {
    let body = stream::iter([Ok::<_, Problem>(sealed.bytes.clone())]);
    let digest = Some(sealed.segment.digest);
    given.artifacts.upload(&Actor::system("capture"), digest, body).await?;
    // Where that is false the endpoint is gone, or the row was written by a try before this one.
    segments::insert(&given.database, &sealed.segment).await?;
    Ok(())
}
