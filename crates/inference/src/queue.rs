//! The one queue of a version: bounded, fair between tenants; what cannot be answered in time is refused
//! at once, or dropped before it is computed.

mod limits;

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use domain::Tensor;
use tokio::sync::oneshot;

pub(crate) use self::limits::Limits;
use crate::{
    Answer, Error, Shed,
    ask::{Ask, Priority},
    batch::{self, Part},
    gauge::{Arrival, Gauge},
    lanes::{At, Lanes},
    sync::lock,
};

/// So often a thread without work lets others go first before it sleeps. Where more threads want to
/// run than there are cores, those are the callers' own, about to bring the next requests: they then
/// need not wake it, and come together. Where a core is free it costs a few system calls.
const YIELDS: u32 = 4;

/// One waiting request, arranged.
pub(crate) struct Job {
    pub(crate) inputs: Vec<Tensor>,
    /// How many rows, if it may share a run with others.
    pub(crate) rows: Option<usize>,
    pub(crate) deadline: Instant,
    pub(crate) priority: Priority,
    pub(crate) queued_at: Instant,
    /// Its rows; as much as a full run where it has none, since it runs alone.
    pub(crate) weight: usize,
    pub(crate) reply: oneshot::Sender<Result<Reply, Error>>,
}

/// What whoever runs a request says to whoever waits for it.
pub(crate) enum Reply {
    /// An answer of a run of its own.
    Alone(Answer),
    /// An answer whose outputs are a part of those of its run.
    AmongOthers(Answer, Part),
    /// The request itself: it was not run.
    Back(Vec<Tensor>),
}

/// Where a request's reply is waited for.
pub(crate) type Waiting = oneshot::Receiver<Result<Reply, Error>>;

impl Reply {
    /// The answer with its outputs, or the request's inputs.
    pub(crate) fn answer(self) -> Result<Answer, Vec<Tensor>> {
        match self {
            Self::Alone(answer) => Ok(answer),
            Self::AmongOthers(mut answer, part) => {
                let at = Instant::now();
                answer.outputs = part.take();
                answer.run.split = at.elapsed();
                Ok(answer)
            }
            Self::Back(inputs) => Err(inputs),
        }
    }
}

impl Job {
    /// A request with its rows, if it may share a run with others; one without runs alone and weighs so much.
    pub(crate) fn new(
        inputs: Vec<Tensor>,
        rows: Option<usize>,
        alone: usize,
        ask: &Ask,
        queued_at: Instant,
    ) -> (Self, Waiting) {
        let (reply, waiting) = oneshot::channel();
        let Ask { deadline, priority, .. } = *ask;
        let weight = rows.unwrap_or(alone);
        (Self { inputs, rows, deadline, priority, queued_at, weight, reply }, waiting)
    }

    /// Whether it may share the run of another one that has so many rows so far.
    pub(crate) fn joins(&self, first: &Self, rows: usize, max_rows: usize) -> bool {
        self.rows.is_some_and(|more| rows + more <= max_rows)
            && first.rows.is_some()
            && batch::fit(&first.inputs, &self.inputs)
    }

    /// Whether anybody still wants the answer: the caller is there, and would not be too late with a
    /// run that takes so long.
    pub(crate) fn is_wanted(&self, now: Instant, takes: Duration) -> bool {
        !self.reply.is_closed() && now + takes < self.deadline
    }

    /// Gives the answer to the caller, and their inputs back; false if they have left meanwhile.
    pub(crate) fn answer(self, result: Result<Reply, Error>) -> bool {
        let Self { inputs, reply, .. } = self;
        let result = result.map(|mut reply| {
            if let Reply::Alone(answer) | Reply::AmongOthers(answer, _) = &mut reply {
                answer.inputs = inputs;
            }
            reply
        });
        reply.send(result).is_ok()
    }

    /// Gives the request back to the caller.
    pub(crate) fn give_back(self) {
        let Self { inputs, reply, .. } = self;
        // Who has left needs it no more.
        let _left = reply.send(Ok(Reply::Back(inputs)));
    }
}

pub(crate) struct Queue {
    state: Mutex<State>,
    something: Condvar,
    /// For threads that wait for company.
    full: Condvar,
    /// Whether the last one who came was refused, or there is overload: else nobody need ask before.
    refuses: AtomicBool,
    /// Whether somebody waits.
    waits: AtomicBool,
    pub(crate) limits: Limits,
}

struct State {
    lanes: Lanes,
    gauge: Gauge,
    shed: Shed,
    /// Threads that wait for a job and that nobody has woken yet.
    sleeping: usize,
    /// Threads that wait for company.
    collecting: usize,
    closed: bool,
}

impl State {
    /// Who is next.
    fn next(&self) -> Option<(At, &Job)> {
        let at = self.lanes.next()?;
        Some((at, self.lanes.get(at)?))
    }

    /// Refuses whoever waits and would have their turn last, if that is after the given one.
    fn shed_last(&mut self, after: Option<u64>, count: fn(&mut Shed) -> &mut u64) -> bool {
        let Some(job) = self.lanes.pop_last(after) else { return false };
        // Who has left is refused nothing.
        if job.answer(Err(Error::Overloaded)) {
            *count(&mut self.shed) += 1;
        }
        true
    }
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State {
            lanes: Lanes::default(),
            gauge: Gauge::new(Instant::now()),
            shed: Shed::default(),
            sleeping: 0,
            collecting: 0,
            closed: false,
        };
        let state = Mutex::new(state);
        let (refuses, waits) = Default::default();
        Self { state, something: Condvar::new(), full: Condvar::new(), refuses, waits, limits }
    }

    /// Whether nobody waits, as far as can be told without looking closely.
    pub(crate) fn is_idle(&self) -> bool {
        !self.waits.load(Relaxed)
    }

    /// Whether anybody was refused lately.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Relaxed)
    }

    /// Whether there would be room for such a request, as far as can be told before it is read.
    ///
    /// # Errors
    /// [`Error::Overloaded`], which is counted as if it had come.
    pub(crate) fn expect(&self, ask: &Ask, now: Instant) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let is_long = self.is_long(&state.lanes);
        let is_full = state.lanes.len() >= self.capacity(ask);
        let turn = state.lanes.turn_of(ask.tenant, ask.priority);
        if !(is_full || is_long && state.gauge.is_overloaded()) || state.lanes.goes_on_after(turn) {
            self.refuses.store(is_long || is_full, Relaxed);
            return Ok(());
        }
        let rows = state.gauge.usual();
        self.make_room(&mut state, ask, rows, now)
    }

    /// Puts a request in its place. The answer, or why there is none, comes by the receiver; it is
    /// dropped where the request was given up because it would be late.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too many wait, or it would wait too long while more comes in than can
    /// be answered; [`Error::Draining`] if the queue is closed.
    pub(crate) fn push(
        &self,
        inputs: Vec<Tensor>,
        rows: Option<usize>,
        ask: &Ask,
        now: Instant,
    ) -> Result<Waiting, Error> {
        let max_batch = self.limits.max_batch();
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::Draining);
        }
        self.make_room(&mut state, ask, rows.unwrap_or(max_batch), now)?;
        let (job, answer) = Job::new(inputs, rows, max_batch, ask, now);
        state.lanes.push(ask.tenant, job);
        self.waits.store(true, Relaxed);
        // A thread that is busy looks here before it sleeps: waking costs a system call, so only
        // who sleeps is woken, and only once.
        if let Some(left) = state.sleeping.checked_sub(1) {
            state.sleeping = left;
            drop(state);
            self.something.notify_one();
        } else if state.collecting > 0 && state.lanes.rows() >= max_batch {
            drop(state);
            self.full.notify_one();
        }
        Ok(answer)
    }

    fn is_long(&self, lanes: &Lanes) -> bool {
        self.limits.wait(lanes.rows()) > self.limits.target_and_window().0
    }

    fn capacity(&self, ask: &Ask) -> usize {
        self.limits.capacity.min(ask.max_queue)
    }

    /// Sees to it that there is room for one more: whoever would have their turn last is shed, be that the
    /// one who comes or one who waits.
    fn make_room(
        &self,
        state: &mut State,
        ask: &Ask,
        rows: usize,
        at: Instant,
    ) -> Result<(), Error> {
        let limits = &self.limits;
        let (_, window) = limits.target_and_window();
        let slack = limits.max_batch() * limits.threads;
        let arrival = Arrival { at, rows, waits_long: self.is_long(&state.lanes), window, slack };
        let (is_overloaded, begins) = state.gauge.comes(&arrival);
        // Those who joined while it came about would wait too long as well.
        while begins && self.is_long(&state.lanes) && state.shed_last(None, |shed| &mut shed.slow) {
        }
        let turn = state.lanes.turn_of(ask.tenant, ask.priority);
        let mut has_room = true;
        while has_room && is_overloaded && self.is_long(&state.lanes) {
            has_room = state.shed_last(Some(turn), |shed| &mut shed.slow);
        }
        self.refuses.store(is_overloaded || !has_room, Relaxed);
        if !has_room {
            state.shed.slow += 1;
            return Err(Error::Overloaded);
        }
        let capacity = self.capacity(ask);
        if state.lanes.len() >= capacity {
            // Those who left or are too late hold no place against those who can be served.
            let run = limits.pace.run(1);
            state.lanes.retain(|job| job.is_wanted(at, run));
        }
        while state.lanes.len() >= capacity {
            if !state.shed_last(Some(turn), |shed| &mut shed.full) {
                self.refuses.store(true, Relaxed);
                state.shed.full += 1;
                return Err(Error::Overloaded);
            }
        }
        Ok(())
    }

    /// Sleeps until there is a job, and then, if that is wished, a little for company. Tells how long
    /// that was; nothing when the queue is closed and empty.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let mut state = lock(&self.state);
        let mut yielded = 0;
        loop {
            if !state.lanes.is_empty() {
                break;
            }
            if state.closed {
                return None;
            }
            if yielded < YIELDS {
                yielded += 1;
                drop(state);
                thread::yield_now();
                state = lock(&self.state);
                continue;
            }
            state.sleeping += 1;
            state = self.something.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let longest = self.limits.company();
        if longest.is_zero() {
            return Some(Duration::ZERO);
        }
        let begun = Instant::now();
        loop {
            let rows = state.lanes.rows();
            let first = state.lanes.next().and_then(|at| state.lanes.get(at));
            let Some(first) = first.filter(|_| rows < self.limits.max_batch() && !state.closed)
            else {
                break;
            };
            // Nobody is made late by it.
            let late = first.deadline.checked_sub(self.limits.pace.run(rows) * 2);
            let until = late.map_or(begun, |late| late.min(first.queued_at + longest));
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state.collecting += 1;
            state = self.full.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.collecting -= 1;
        }
        Some(begun.elapsed())
    }

    /// Takes what can share one run: who is next and those behind that fit, up to `max_batch` rows
    /// and as long as nobody becomes late by the company. Jobs that nobody wants any more, or that
    /// would be late even alone, are dropped on the way.
    pub(crate) fn take(&self, now: Instant) -> Vec<Job> {
        let (limits, max_rows) = (&self.limits, self.limits.max_batch());
        let mut taken: Vec<Job> = Vec::new();
        let (mut rows, mut earliest) = (0, None::<Instant>);
        let mut state = lock(&self.state);
        while let Some((at, job)) = state.next() {
            if !job.is_wanted(now, limits.pace.run(job.weight)) {
                if !job.reply.is_closed() {
                    state.shed.late += 1;
                    limits.pace.gave_up();
                }
                state.lanes.give_up(at);
                continue;
            }
            let until = earliest.map_or(job.deadline, |earliest| earliest.min(job.deadline));
            let has_room = taken.first().is_none_or(|first| {
                job.joins(first, rows, max_rows) && now + limits.pace.run(rows + job.weight) < until
            });
            if !has_room {
                break;
            }
            (rows, earliest) = (rows + job.weight, Some(until));
            taken.extend(state.lanes.serve(at));
            if rows >= max_rows {
                break;
            }
        }
        state.gauge.goes(rows);
        self.waits.store(!state.lanes.is_empty(), Relaxed);
        taken
    }

    /// Lets nothing more in.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.something.notify_all();
        self.full.notify_all();
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).lanes.len()
    }

    /// Whom it refused or gave up so far.
    pub(crate) fn shed(&self) -> Shed {
        lock(&self.state).shed
    }
}

#[cfg(test)]
mod tests;
