//! The way into the audit trail for what changes nothing: refusals, logins, exports, reads of
//! captured data. Nobody waits for it: events go into a queue, a task writes them.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
    time::Duration,
};

use domain::{
    Action, Actor, AuditEvent, Clock, Decision, RequestId, Resource, Streak, SystemClock,
    Timestamp, quota::Spent,
};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use serde_json::{Value, json};
use store::{Database, audit};
use tokio::{
    sync::{
        Mutex,
        mpsc::{self, error::TryRecvError},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::Caller;

/// Events that may wait to be written.
const WAITING: usize = 10_000;

/// Kinds of events that are counted at a time.
const COUNTED: usize = 10_000;

/// Events that are written in one transaction.
const BATCH: usize = 500;

/// How long events may wait for others, to be written together.
const GATHER: Duration = Duration::from_millis(200);

/// For how long events that are alike are counted, before one is written for all.
const COUNT_FOR: Duration = Duration::from_secs(60);

enum Note {
    /// To be written.
    Each(AuditEvent),
    /// To be counted with those that are alike.
    Alike(AuditEvent),
}

/// Where events are handed in. Cheap to clone; never blocks, never fails: what finds no room is
/// dropped and counted, and the trail says how many that were.
#[derive(Clone)]
pub struct Trail(Arc<Inner>);

struct Inner {
    queue: mpsc::Sender<(Timestamp, Note)>,
    written: Mutex<Writer>,
    dropped: Counter,
    clock: Arc<dyn Clock>,
}

/// A trail that nobody writes down: for parts that are used by themselves.
impl Default for Trail {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail").field("dropped", &self.0.dropped.get()).finish_non_exhaustive()
    }
}

impl Trail {
    /// A trail that is written down by [`Trail::write`].
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (queue, notes) = mpsc::channel(WAITING);
        let dropped = Counter::default();
        let writer = Writer { notes, alike: HashMap::new(), dropped: dropped.clone(), told: 0 };
        Self(Arc::new(Inner { queue, written: Mutex::new(writer), dropped, clock }))
    }

    /// Makes known how many events found no room.
    pub fn register(&self, metrics: &mut Registry) {
        metrics.register(
            "bottega_audit_dropped",
            "Audit events of refusals, logins and exports that found no room",
            self.0.dropped.clone(),
        );
    }

    /// Writes what is handed in until it is stopped, and then what is still there.
    pub async fn write(&self, database: &Database, stop: &CancellationToken) {
        self.0.written.lock().await.run(database, stop).await;
    }

    /// Records that the caller was refused. What happens by the thousand, predictions and looks at
    /// things, is counted and recorded once a minute for each caller, action and resource.
    pub fn refused(
        &self,
        caller: &Caller,
        action: Action,
        resource: Resource,
        policies: Vec<String>,
    ) {
        let detail = json!({"message": format!("{action} on {resource} was refused")});
        let event = caller.event(Some(action), resource, "access.refused", detail).refused();
        let event = AuditEvent { policies, ..event };
        if matches!(action, Action::Invoke | Action::View) {
            self.count(event);
        } else {
            self.record(event);
        }
    }

    /// Records that a quota refused the caller, once a minute for each caller and quota.
    pub fn over_quota(&self, caller: &Caller, spent: &Spent) {
        let Spent { subject, quota, limit, .. } = spent;
        let message = format!("the quota `{quota}` of {subject} refused more than {limit}");
        let detail =
            json!({"quota": quota, "subject": subject, "limit": limit, "message": message});
        self.count(caller.event(None, Resource::Platform, "quota.refused", detail).refused());
    }

    /// Records an event.
    pub fn record(&self, event: AuditEvent) {
        self.hand_in(Note::Each(event));
    }

    /// Counts an event with those that are alike: of the same actor, action, resource, change,
    /// decision and quota. One is written a minute, with `count`, `first_at` and `last_at` in its detail, and
    /// the rest as the first one had it.
    pub fn count(&self, event: AuditEvent) {
        self.hand_in(Note::Alike(event));
    }

    fn hand_in(&self, note: Note) {
        let now = self.0.clock.now();
        if self.0.queue.try_send((now, note)).is_err() {
            self.0.dropped.inc();
        }
    }
}

/// What makes events alike.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    actor: String,
    action: Option<Action>,
    resource: Resource,
    change: &'static str,
    is_refused: bool,
    /// The quota that refused, and whose.
    quota: Option<(String, String)>,
}

impl Kind {
    fn of(event: &AuditEvent) -> Self {
        let word = |key: &str| event.detail.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            actor: event.actor.to_string(),
            action: event.action,
            resource: event.resource.clone(),
            change: event.change,
            is_refused: event.decision == Decision::Refused,
            quota: word("quota").zip(word("subject")),
        }
    }
}

/// Events that are alike.
struct Alike {
    first: (Timestamp, AuditEvent),
    last: Timestamp,
    count: u64,
    since: Instant,
}

impl Alike {
    fn into_event(self) -> (Timestamp, AuditEvent) {
        let (first_at, mut event) = self.first;
        if let Value::Object(detail) = &mut event.detail {
            detail.insert("count".to_owned(), self.count.into());
            detail.insert("first_at".to_owned(), json!(first_at));
            detail.insert("last_at".to_owned(), json!(self.last));
        }
        (self.last, event)
    }
}

/// Writes what is handed in.
struct Writer {
    notes: mpsc::Receiver<(Timestamp, Note)>,
    alike: HashMap<Kind, Alike>,
    dropped: Counter,
    /// How many of those that were dropped the trail has told.
    told: u64,
}

impl Writer {
    async fn run(&mut self, database: &Database, stop: &CancellationToken) {
        let mut events = Vec::new();
        let mut streak = Streak::default();
        loop {
            let is_last = tokio::select! {
                () = tokio::time::sleep(GATHER) => false,
                () = stop.cancelled() => true,
            };
            let is_through = self.gather(&mut events, is_last);
            if events.is_empty() {
                if is_last {
                    return;
                }
                continue;
            }
            match audit::append(database, &events).await {
                Ok(()) => {
                    events.clear();
                    streak.ended();
                    if is_last && is_through {
                        return;
                    }
                }
                Err(error) => {
                    let wait = streak.failed();
                    if streak.is_news() {
                        tracing::warn!(%error, "audit events cannot be written: they wait");
                    }
                    if is_last {
                        tracing::error!(count = events.len(), "audit events are lost");
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = stop.cancelled() => {}
                    }
                }
            }
        }
    }

    /// Takes what waits, up to a batch. Answers whether nothing is left.
    fn gather(&mut self, events: &mut Vec<(Timestamp, AuditEvent)>, is_last: bool) -> bool {
        let mut is_through = false;
        while events.len() < BATCH {
            match self.notes.try_recv() {
                Ok((at, Note::Each(event))) => events.push((at, event)),
                Ok((at, Note::Alike(event))) => self.add(at, event),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    is_through = true;
                    break;
                }
            }
        }
        let is_due = |_: &Kind, alike: &mut Alike| is_last || alike.since.elapsed() >= COUNT_FOR;
        events.extend(self.alike.extract_if(is_due).map(|(_, alike)| alike.into_event()));
        self.tell_dropped(events);
        is_through
    }

    fn add(&mut self, at: Timestamp, event: AuditEvent) {
        let has_room = self.alike.len() < COUNTED;
        match self.alike.entry(Kind::of(&event)) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.count += 1;
                known.last = known.last.max(at);
            }
            Entry::Vacant(place) if has_room => {
                let since = Instant::now();
                place.insert(Alike { first: (at, event), last: at, count: 1, since });
            }
            Entry::Vacant(_) => {
                self.dropped.inc();
            }
        }
    }

    /// That events are missing is an event.
    fn tell_dropped(&mut self, events: &mut Vec<(Timestamp, AuditEvent)>) {
        let dropped = self.dropped.get();
        if let Some((at, _)) = events.last()
            && dropped > self.told
        {
            let detail = json!({"count": dropped - self.told});
            let (actor, request_id) = (Actor::system("audit"), RequestId::new());
            let event = AuditEvent::new(
                actor,
                None,
                Resource::Platform,
                "audit.dropped",
                request_id,
                detail,
            );
            events.push((*at, event));
            self.told = dropped;
        }
    }
}
