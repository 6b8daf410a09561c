//! What was answered, told: each prediction as an event of `tracing` for whoever wants all of them, and
//! some of them in the database, where `bottega logs` reads those of all gateways.
//!
//! In the database there are so many a second: failures first, others as far as there is room, and of the
//! rest how many they were. Neither tells what was sent or answered.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::TimeDelta;
use domain::{EndpointId, Streak};
use inference::Sharded;
use store::{
    prediction_log::{self, Entry},
    printed,
};
use tokio_util::sync::CancellationToken;

use crate::State;

/// How often is written down.
const EVERY: Duration = Duration::from_secs(1);
/// After so many times is forgotten what is old.
const FORGET_EACH: u32 = 60;
/// Of the room in each second all have this part, and only failures have the rest.
const OTHERS: i64 = 4;

/// What is written down, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Logging {
    /// Entries a second at most; 0 for none.
    pub rate: u32,
    /// How long they are kept.
    pub retention: Duration,
}

impl Default for Logging {
    fn default() -> Self {
        Self { rate: 50, retention: Duration::from_secs(6 * 3600) }
    }
}

/// What is to be written down.
pub(crate) struct Log {
    parts: Sharded<Part>,
    /// What was left out before this second, and is told with the endpoint's next entry.
    before: Mutex<HashMap<EndpointId, i64>>,
    /// The room that is left in this second, for failures alone and for all.
    failures: AtomicI64,
    others: AtomicI64,
    rate: i64,
}

#[derive(Default)]
struct Part {
    entries: Vec<Entry>,
    /// Since the endpoint's last entry here.
    left_out: HashMap<EndpointId, i64>,
}

impl Log {
    pub(crate) fn new(rate: u32) -> Self {
        let rate = i64::from(rate);
        let log = Self {
            parts: Sharded::default(),
            before: Mutex::default(),
            failures: AtomicI64::default(),
            others: AtomicI64::default(),
            rate,
        };
        log.refill();
        log
    }

    fn refill(&self) {
        let others = (self.rate + OTHERS - 1) / OTHERS;
        self.others.store(others, Relaxed);
        self.failures.store(self.rate - others, Relaxed);
    }

    /// Notes a prediction, if there is room, else that there was one.
    pub(crate) fn note(
        &self,
        endpoint: EndpointId,
        is_failure: bool,
        entry: impl FnOnce() -> Entry,
    ) {
        if self.rate == 0 {
            return;
        }
        // Looked at before it is written: where there is no room, threads only read it.
        let has = |room: &AtomicI64| room.load(Relaxed) > 0 && room.fetch_sub(1, Relaxed) > 0;
        let has_room = is_failure && has(&self.failures) || has(&self.others);
        let entry = has_room.then(entry);
        self.parts.change(|part| match entry {
            Some(mut entry) => {
                entry.left_out = part.left_out.remove(&endpoint).unwrap_or_default();
                part.entries.push(entry);
            }
            None => *part.left_out.entry(endpoint).or_default() += 1,
        });
    }

    /// Takes all that was noted, in its order, and makes room again. What was left out is told with an
    /// entry behind it: one of the same thread, else the endpoint's first that is taken after this.
    fn take(&self) -> Vec<Entry> {
        let (mut entries, mut left_out) = (Vec::new(), Vec::new());
        self.parts.each(|part| {
            entries.append(&mut part.entries);
            left_out.extend(part.left_out.drain());
        });
        self.refill();
        entries.sort_by_key(|entry: &Entry| entry.at);
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &mut entries {
            entry.left_out += before.remove(&entry.endpoint).unwrap_or_default();
        }
        for (endpoint, count) in left_out {
            *before.entry(endpoint).or_default() += count;
        }
        entries
    }
}

/// Writes down what was noted until told to stop, and then what is left. What cannot be written is gone.
pub(crate) async fn run(state: State, stop: CancellationToken) {
    let (mut streak, mut turn) = (Streak::default(), 0_u32);
    loop {
        let is_over = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none();
        let written = tokio::time::timeout(EVERY, write(&state, turn)).await;
        match written.map_err(|_| "no answer in time".to_owned()).flatten() {
            Ok(()) => drop(streak.ended()),
            Err(error) => {
                streak.failed();
                if streak.is_news() {
                    tracing::warn!(error, "the log of predictions cannot be written down");
                }
            }
        }
        if is_over {
            return;
        }
        turn = turn.wrapping_add(1);
    }
}

async fn write(state: &State, turn: u32) -> Result<(), String> {
    let (database, entries) = (&state.given.database, state.log.take());
    if !entries.is_empty() {
        let written = prediction_log::write(database, state.id, &entries).await;
        written.map_err(|error| error.to_string())?;
    }
    let lines = state.printed.take();
    if !lines.is_empty() {
        let written = printed::write(database, state.id, &lines).await;
        written.map_err(|error| error.to_string())?;
    }
    if turn.is_multiple_of(FORGET_EACH) {
        let retention = state.given.settings.logging.retention;
        let retention = TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX);
        if let Some(before) = database.now().checked_sub_signed(retention) {
            let forgotten = prediction_log::forget(database, before).await;
            forgotten.map_err(|error| error.to_string())?;
            let forgotten = printed::forget(database, before).await;
            forgotten.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    fn entry(endpoint: EndpointId, second: i64) -> Entry {
        Entry {
            endpoint,
            at: Timestamp::from_timestamp(second, 0).unwrap(),
            version: None,
            inference_id: None,
            request_id: second.to_string(),
            trace_id: None,
            caller: "user:ana".to_owned(),
            protocol: "v2",
            code: "ok",
            field: None,
            rows: 1,
            queue_micros: 0,
            compute_micros: 0,
            total_micros: 0,
            left_out: 0,
        }
    }

    #[test]
    fn failures_have_their_own_room_and_what_is_left_out_is_counted() {
        let (log, endpoint, other) = (Log::new(8), EndpointId::new(), EndpointId::new());
        for second in (0..10).rev() {
            log.note(endpoint, false, || entry(endpoint, second));
        }
        log.note(other, false, || entry(other, 1));
        for second in 10..30 {
            log.note(endpoint, true, || entry(endpoint, second));
        }
        let told = || -> Vec<_> {
            log.take().iter().map(|it| (it.request_id.clone(), it.left_out)).collect()
        };
        // Of the first ten two had room, and eight came before the first failure.
        let expected = [(8, 0), (9, 0), (10, 8), (11, 0), (12, 0), (13, 0), (14, 0), (15, 0)];
        assert_eq!(told(), expected.map(|(at, left_out): (i64, i64)| (at.to_string(), left_out)));
        // There is room again, and what came behind an endpoint's last entry is told with its next.
        log.note(other, false, || entry(other, 40));
        log.note(endpoint, true, || entry(endpoint, 41));
        log.note(endpoint, true, || entry(endpoint, 42));
        let expected = [("40", 1), ("41", 14), ("42", 0)];
        assert_eq!(told(), expected.map(|(at, left_out)| (at.to_owned(), left_out)));
    }

    #[test]
    fn nothing_is_noted_where_nothing_is_wanted() {
        let (log, endpoint) = (Log::new(0), EndpointId::new());
        log.note(endpoint, true, || entry(endpoint, 1));
        assert!(log.take().is_empty());
    }
}
