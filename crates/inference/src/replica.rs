//! One loaded version: queue, engines and the threads that run them.
//!
//! A fast model has one engine, shared by its inference thread and, while requests come one at a
//! time, by the callers' own threads ([`direct`](crate::direct)). A slow one has as many engines as
//! cores and always the hop, so that no run holds up an HTTP thread. Inference threads take what
//! is queued and never wait for more to come.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use domain::{Signature, Tensor};
use tokio::sync::{oneshot, watch};

use crate::{
    Engine, Error, ModelFolder, Profile, Runtime, arrange, batch,
    direct::Direct,
    onnx::{OnnxEngine, OnnxOptions},
    plan::Plan,
    probe::probe,
    queue::{Job, Queue},
    sync::lock,
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
            queue: 1024,
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
    /// How long it waited for its turn.
    pub queued: Duration,
    /// How long its run took.
    pub ran: Duration,
    /// How many requests shared the run.
    pub batch: usize,
}

/// One loaded version. Dropping it lets what is queued finish and then frees the model;
/// [`Replica::drain`] does so and waits for it.
pub struct Replica {
    shared: Arc<Shared>,
    running: watch::Receiver<usize>,
}

struct Shared {
    signature: Signature,
    profile: Profile,
    queue: Queue,
    direct: Direct,
    /// Taken back at the first batch whose outputs do not have a row for each row.
    may_join: AtomicBool,
    /// One for each inference thread; empty once drained.
    engines: Vec<Mutex<Option<Box<dyn Engine>>>>,
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
        let plan = Plan::new(model.bytes, options.cores);
        let onnx = OnnxOptions {
            threads: plan.threads_per_run,
            max_output_bytes: options.max_output_bytes,
        };
        let load = || OnnxEngine::load(runtime, model, &onnx);
        let mut first = load()?;
        let example = example.map(|example| arrange(first.signature(), example)).transpose()?;
        let deadline = Instant::now() + options.probe_time;
        let (profile, _) = probe(&mut first, example.as_deref(), deadline)?;
        let threads = options.threads.unwrap_or_else(|| plan.runs(&profile)).max(1);
        let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(first)];
        for _ in 1..threads {
            engines.push(Box::new(load()?));
        }
        Self::start(engines, profile, options)
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
        let shared = Arc::new(Shared {
            signature: first.signature().clone(),
            queue: Queue::new(options.queue),
            direct: Direct::new(Plan::runs_on_callers_threads(&profile)),
            may_join: AtomicBool::new(profile.batchable),
            profile,
            engines: engines.into_iter().map(|engine| Mutex::new(Some(engine))).collect(),
        });
        let (alive, running) = watch::channel(0);
        let alive = Arc::new(alive);
        // Made first, so that the threads already started end if a later one cannot be.
        let replica = Self { shared: Arc::clone(&shared), running };
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

    /// What the first look at the model found.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    /// How many requests wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.queue.len()
    }

    /// Answers one request, in the company of others where that is faster. Dropping the future
    /// withdraws the request. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// Inputs that do not fit the signature, a failing model, [`Error::Timeout`] at the deadline,
    /// [`Error::Overloaded`] at once when too many wait, [`Error::Draining`].
    pub async fn infer(&self, inputs: Vec<Tensor>, deadline: Instant) -> Result<Answer, Error> {
        let inputs = arrange(&self.shared.signature, inputs)?;
        if let Some(result) = self.shared.run_here(&inputs, deadline) {
            return result;
        }
        let rows = self.shared.may_join.load(Relaxed).then(|| batch::rows(&inputs)).flatten();
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Job { inputs, rows, deadline, queued_at: Instant::now(), reply })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            // The thread drops a job unanswered only when it came too late.
            Ok(Err(_)) | Err(_) => Err(Error::Timeout),
        }
    }

    /// Takes nothing more in, finishes what is queued, then frees the model's memory.
    pub async fn drain(&self) {
        self.shared.queue.close();
        // An error means that the last thread is gone, which is what is waited for.
        let _ = self.running.clone().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Shared {
    /// Runs a request on the caller's thread, if that is allowed and an engine is free.
    fn run_here(&self, inputs: &[Tensor], deadline: Instant) -> Option<Result<Answer, Error>> {
        if !self.direct.is_allowed() {
            return None;
        }
        let Some(mut engine) = self.engines.first().and_then(|engine| engine.try_lock().ok())
        else {
            self.direct.met();
            return None;
        };
        let start = Instant::now();
        let result = run(engine.as_deref_mut()?, inputs, deadline);
        let ran = start.elapsed();
        drop(engine);
        self.direct.ran(1, ran);
        Some(result.map(|outputs| Answer { outputs, queued: Duration::ZERO, ran, batch: 1 }))
    }

    /// One inference thread's life.
    fn serve(&self, at: usize) {
        let Some(slot) = self.engines.get(at) else { return };
        while self.queue.wait() {
            // The engine first, so that what arrives while a caller uses it joins the batch.
            let mut engine = lock(slot);
            let jobs = self.queue.take(self.profile.max_batch);
            match engine.as_deref_mut() {
                Some(engine) if !jobs.is_empty() => self.run_jobs(engine, jobs),
                _ => {}
            }
        }
        // Dropped outside the lock: freeing a large model takes a while.
        let engine = lock(slot).take();
        drop(engine);
    }

    fn run_jobs(&self, engine: &mut dyn Engine, jobs: Vec<Job>) {
        let (start, count) = (Instant::now(), jobs.len());
        if count > 1 {
            self.run_together(engine, jobs);
        } else {
            jobs.into_iter().for_each(|job| run_alone(engine, job));
        }
        self.direct.ran(count, start.elapsed());
    }

    /// Runs several requests as one; if that fails, each alone, so that only the bad one fails.
    fn run_together(&self, engine: &mut dyn Engine, jobs: Vec<Job>) {
        let start = Instant::now();
        let requests: Vec<&[Tensor]> = jobs.iter().map(|job| job.inputs.as_slice()).collect();
        let rows: Vec<usize> = jobs.iter().filter_map(|job| job.rows).collect();
        // Those who cannot wait as long as the last one are told so by their own clocks.
        let deadline = jobs.iter().map(|job| job.deadline).max().unwrap_or(start);
        let parts = run(engine, &batch::join(&requests), deadline).and_then(|outputs| {
            batch::split(&outputs, &rows).inspect_err(|error| {
                tracing::warn!(%error, "the model mixes rows: its requests are run one by one");
                self.may_join.store(false, Relaxed);
            })
        });
        let Ok(parts) = parts else {
            jobs.into_iter().for_each(|job| run_alone(engine, job));
            return;
        };
        let (ran, batch) = (start.elapsed(), jobs.len());
        for (job, outputs) in jobs.into_iter().zip(parts) {
            let queued = start.duration_since(job.queued_at);
            job.answer(Ok(Answer { outputs, queued, ran, batch }));
        }
    }
}

fn run_alone(engine: &mut dyn Engine, job: Job) {
    let start = Instant::now();
    if !job.is_wanted(start) {
        return;
    }
    let queued = start.duration_since(job.queued_at);
    let result = run(engine, &job.inputs, job.deadline);
    let ran = start.elapsed();
    job.answer(result.map(|outputs| Answer { outputs, queued, ran, batch: 1 }));
}

/// A panic in an engine is that request's failure; the thread and the version live on.
fn run(
    engine: &mut dyn Engine,
    inputs: &[Tensor],
    deadline: Instant,
) -> Result<Vec<Tensor>, Error> {
    catch_unwind(AssertUnwindSafe(|| engine.infer(inputs, deadline)))
        .unwrap_or_else(|_| Err(Error::Run("the engine panicked".to_owned())))
}
