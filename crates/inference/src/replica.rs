//! One loaded version: queue, engines and the threads that run them.
//!
//! A fast model has one engine or two, shared by its inference threads and the callers' own threads, where
//! those who come at once run together ([`gathering`]). A slow one has as many engines as cores and always the
//! hop, so that no run holds up an HTTP thread. Inference threads take what is queued and wait for more
//! only where that is wished.

mod gathering;
mod serving;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use domain::{Batching, Signature, Tensor, serving::MaxQueue};
use tokio::sync::watch;

use self::serving::Shared;
use crate::{
    Ask, Engine, Error, ModelFolder, Profile, Runtime, arrange, batch,
    direct::Direct,
    onnx::{OnnxEngine, OnnxOptions},
    pace::Pace,
    padded::{Padded, with_any_rows},
    plan::Plan,
    probe::{Prepared, prepare},
    queue::{Limits, Queue},
    sharded::Sharded,
};

/// How a version is run. The default lets the model's own speed decide.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// Cores that this node has for inference.
    pub cores: usize,
    /// Inference threads; by default as many as pay.
    pub threads: Option<usize>,
    /// Rows that share one run at most; by default as many as pay.
    pub max_batch: Option<usize>,
    /// Requests that wait at most.
    pub queue: usize,
    /// How long they wait at most while more come than can be answered; by default as long as two full
    /// runs take. Who would wait longer is refused then.
    pub queue_time: Option<Duration>,
    /// The most bytes that one answer may have.
    pub max_output_bytes: usize,
    /// The longest that the first look at the model may take.
    pub probe_time: Duration,
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            threads: None,
            max_batch: None,
            queue: MaxQueue::MAX.get().unsigned_abs() as usize,
            queue_time: None,
            max_output_bytes: OnnxOptions::default().max_output_bytes,
            probe_time: Duration::from_secs(60),
        }
    }
}

/// What a request gets, and where its time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The model's outputs.
    pub outputs: Vec<Tensor>,
    /// The request's inputs, arranged as the signature has them: nobody copied them.
    pub inputs: Vec<Tensor>,
    /// How long it waited for its turn.
    pub queued: Duration,
    /// How many requests shared the run.
    pub batch: usize,
    /// The run that it comes from.
    pub run: Run,
    /// Whether it is the first answer of that run, so that who counts runs counts each once.
    pub leads: bool,
}

/// One run of a model, told with each answer that comes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How many rows it had in all; 1 where the model knows no rows.
    pub rows: usize,
    /// How long it waited for company, which those in it waited at most.
    pub collected: Duration,
    /// How long it took to put the requests' inputs together; nothing for one request.
    pub joined: Duration,
    /// How long the model took.
    pub computed: Duration,
    /// How long it took to take this request's outputs out of it; nothing for one request.
    pub split: Duration,
}

/// Those whom a replica did not serve since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shed {
    /// Refused as too many waited.
    pub full: u64,
    /// Refused as they would have waited too long.
    pub slow: u64,
    /// Given up as their answer would have come too late.
    pub late: u64,
}

/// One loaded version. Dropping it lets what is queued finish and then frees the model;
/// [`Replica::drain`] does so and waits for it.
pub struct Replica {
    shared: Arc<Shared>,
    running: watch::Receiver<usize>,
    /// Whether the model takes a fixed number of rows, and this any.
    is_padded: bool,
}

impl Replica {
    /// Loads an ONNX version and looks at its speed. Blocks: call it where that is allowed.
    ///
    /// # Errors
    /// What [`OnnxEngine::load`] says, or the model's failure on the example.
    pub fn load(
        runtime: &Runtime,
        model: &ModelFolder,
        options: &ReplicaOptions,
        example: Option<Vec<Tensor>>,
    ) -> Result<Self, Error> {
        let load = |threads| -> Result<Box<dyn Engine>, Error> {
            let onnx = OnnxOptions { threads, max_output_bytes: options.max_output_bytes };
            Ok(Box::new(OnnxEngine::load(runtime, model, &onnx)?))
        };
        Self::of(model.bytes, load, options, example)
    }

    /// Loads a version of so many bytes, and looks at its speed: as many engines as pay, each a copy of its
    /// own with so many threads. Blocks: call it where that is allowed.
    ///
    /// # Errors
    /// What `load` says, or the model's failure on the example.
    pub fn of(
        bytes: u64,
        load: impl Fn(usize) -> Result<Box<dyn Engine>, Error>,
        options: &ReplicaOptions,
        example: Option<Vec<Tensor>>,
    ) -> Result<Self, Error> {
        let plan = Plan::new(bytes, options.cores);
        let first = load(plan.threads_per_run)?;
        let example = example.map(|example| arrange(first.signature(), example)).transpose()?;
        let deadline = Instant::now() + options.probe_time;
        let prepared = prepare(first, example.as_deref(), deadline)?;
        let Prepared { engine: first, profile, rows } = prepared;
        let runs = || plan.runs(&profile, first.ends_runs_early());
        let threads = options.threads.unwrap_or_else(runs).max(1);
        let mut engines = vec![first];
        for _ in 1..threads {
            let next = load(plan.threads_per_run)?;
            engines.push(match rows {
                Some(rows) => Box::new(Padded::new(next, rows)),
                None => next,
            });
        }
        let mut replica = Self::start(engines, profile, options)?;
        replica.is_padded = rows.is_some();
        Ok(replica)
    }

    /// Serves by these engines, which all hold the same model.
    ///
    /// # Errors
    /// A thread cannot be started, or there is no engine.
    pub fn start(
        engines: Vec<Box<dyn Engine>>,
        mut profile: Profile,
        options: &ReplicaOptions,
    ) -> Result<Self, Error> {
        let Some(first) = engines.first() else {
            return Err(Error::Model("it has no engine".to_owned()));
        };
        profile.max_batch = options.max_batch.unwrap_or(profile.max_batch).max(1);
        let (pace, threads) = (Pace::new(&profile), engines.len());
        let limits =
            Limits::new(options.queue, threads, pace, profile.max_batch, options.queue_time);
        let shared = Arc::new(Shared {
            signature: first.signature().clone(),
            queue: Queue::new(limits),
            direct: Direct::new(first.ends_runs_early() && Plan::runs_on_callers_threads(&profile)),
            gathered: Sharded::default(),
            may_join: AtomicBool::new(profile.batchable),
            profile,
            engines: engines.into_iter().map(|engine| Mutex::new(Some(engine))).collect(),
        });
        let (alive, running) = watch::channel(0);
        let alive = Arc::new(alive);
        // Made first, so that the threads already started end if a later one cannot be.
        let replica = Self { shared: Arc::clone(&shared), running, is_padded: false };
        for at in 0..shared.engines.len() {
            let (shared, alive) = (Arc::clone(&shared), Arc::clone(&alive));
            alive.send_modify(|count| *count += 1);
            thread::Builder::new()
                .name(format!("infer-{at}"))
                .spawn(move || {
                    shared.serve(at);
                    alive.send_modify(|count| *count -= 1);
                })
                .map_err(Error::Thread)?;
        }
        Ok(replica)
    }

    /// What goes in and what comes out.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.shared.signature
    }

    /// What requests and answers fit where the version's own signature says this: with any number of
    /// rows, if the model takes a fixed one and keeps them apart.
    #[must_use]
    pub fn serves(&self, signature: Signature) -> Signature {
        if self.is_padded { with_any_rows(signature) } else { signature }
    }

    /// What the first look at the model found.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    /// Puts requests together like this from now on.
    pub fn set_batching(&self, batching: &Batching) {
        self.shared.queue.limits.set(batching);
    }

    /// Rows that share one run at most, as things stand.
    #[must_use]
    pub fn max_batch(&self) -> usize {
        self.shared.queue.limits.max_batch()
    }

    /// How long the first of a run waits for company, as things stand.
    #[must_use]
    pub fn batch_wait(&self) -> Duration {
        self.shared.queue.limits.company()
    }

    /// How many runs go on at once.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.shared.engines.len()
    }

    /// How many requests wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.queue.len()
    }

    /// Whom it did not serve.
    #[must_use]
    pub fn shed(&self) -> Shed {
        self.shared.queue.shed()
    }

    /// Whether a request would be taken in, as far as can be told before it is read; `ask` is not looked
    /// at while nobody is refused.
    ///
    /// # Errors
    /// [`Error::Overloaded`]: it need not be read.
    pub fn expect(&self, ask: impl FnOnce() -> Ask, now: Instant) -> Result<(), Error> {
        if self.shared.queue.refuses() { self.shared.queue.expect(&ask(), now) } else { Ok(()) }
    }

    /// Answers one request, in the company of others where that is faster. Dropping the future
    /// withdraws the request. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// Inputs that do not fit the signature, a failing model, [`Error::Timeout`] at the deadline, or
    /// before it where the answer would be late, [`Error::Overloaded`] at once when too many wait or
    /// waiting takes too long, [`Error::Draining`].
    pub fn infer(
        &self,
        inputs: Vec<Tensor>,
        ask: impl Into<Ask>,
    ) -> impl Future<Output = Result<Answer, Error>> {
        self.answer(inputs, ask.into())
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    fn answer(&self, inputs: Vec<Tensor>, ask: Ask) -> impl Future<Output = Result<Answer, Error>> {
        async move {
            let shared = &*self.shared;
            let mut inputs = arrange(&shared.signature, inputs)?;
            let joins = shared.may_join.load(Relaxed) && !sets_params(&shared.signature, &inputs);
            let rows = joins.then(|| batch::rows(&inputs)).flatten();
            let now = Instant::now();
            if shared.runs_here(&ask, now) {
                match shared.run_here(inputs, rows, &ask, now).await?.answer() {
                    Ok(answer) => return Ok(answer),
                    Err(back) => inputs = back,
                }
            }
            let answer = shared.queue.push(inputs, rows, &ask, Instant::now())?;
            match tokio::time::timeout_at(ask.deadline.into(), answer).await {
                // Nothing that was queued comes back.
                Ok(Ok(result)) => result?.answer().map_err(|_| Error::Draining),
                // The thread drops a job unanswered only when it came too late.
                Ok(Err(_)) | Err(_) => Err(Error::Timeout),
            }
        }
    }

    /// Takes nothing more in, finishes what is queued, then frees the model's memory.
    pub async fn drain(&self) {
        self.shared.queue.close();
        // An error means that the last thread is gone, which is what is waited for.
        let _ = self.running.clone().wait_for(|count| *count == 0).await;
    }
}

/// Whether a request sets what holds for all rows of a run.
fn sets_params(signature: &Signature, inputs: &[Tensor]) -> bool {
    !signature.params.is_empty() && inputs.iter().any(|tensor| signature.is_param(tensor))
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}
