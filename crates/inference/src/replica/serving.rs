//! What a replica's threads and its callers share, and what the threads do with it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use domain::{Signature, Tensor};

use super::{Answer, Run};
use crate::{
    Engine, Error, Profile,
    batch::{self, Part},
    direct::Direct,
    queue::{Job, Queue, Reply},
    sharded::Sharded,
    sync::lock,
};

pub(super) struct Shared {
    pub(super) signature: Signature,
    pub(super) profile: Profile,
    pub(super) queue: Queue,
    pub(super) direct: Direct,
    /// Those of each thread who run together there.
    pub(super) gathered: Sharded<Vec<Job>>,
    /// Taken back at the first batch whose outputs do not have a row for each row.
    pub(super) may_join: AtomicBool,
    /// One for each inference thread; empty once drained.
    pub(super) engines: Vec<Mutex<Option<Box<dyn Engine>>>>,
}

impl Shared {
    /// One inference thread's life.
    pub(super) fn serve(&self, at: usize) {
        let Some(slot) = self.engines.get(at) else { return };
        while let Some(collected) = self.queue.wait() {
            // The engine first, so that what arrives while a caller uses it joins the batch.
            let mut engine = lock(slot);
            let start = Instant::now();
            let jobs = self.queue.take(start);
            match engine.as_deref_mut() {
                Some(engine) if !jobs.is_empty() => self.run_jobs(engine, jobs, start, collected),
                _ => {}
            }
        }
        // Dropped outside the lock: freeing a large model takes a while.
        let engine = lock(slot).take();
        drop(engine);
    }

    fn run_jobs(
        &self,
        engine: &mut dyn Engine,
        jobs: Vec<Job>,
        start: Instant,
        collected: Duration,
    ) {
        let rows = jobs.iter().map(|job| job.weight).sum();
        if jobs.len() > 1 {
            self.run_together(engine, jobs, start, collected);
        } else {
            jobs.into_iter().for_each(|job| run_alone(engine, job, start, collected));
        }
        let took = start.elapsed();
        self.queue.limits.pace.ran(rows, took);
        self.direct.ran(took);
    }

    /// Runs several requests as one; if that fails, each alone, so that only the bad one fails.
    fn run_together(
        &self,
        engine: &mut dyn Engine,
        jobs: Vec<Job>,
        start: Instant,
        collected: Duration,
    ) {
        // Those who cannot wait as long as the last one are told so by their own clocks.
        let deadline = jobs.iter().map(|job| job.deadline).max().unwrap_or(start);
        match self.compute(engine, &jobs, start, deadline) {
            Ok((parts, run)) => hand_out(jobs, parts, Run { collected, ..run }, start),
            Err(_) => {
                jobs.into_iter().for_each(|job| run_alone(engine, job, Instant::now(), collected));
            }
        }
    }

    /// Each request's part of what one run of them all makes.
    pub(super) fn compute(
        &self,
        engine: &mut dyn Engine,
        jobs: &[Job],
        start: Instant,
        deadline: Instant,
    ) -> Result<(Vec<Part>, Run), Error> {
        let requests: Vec<&[Tensor]> = jobs.iter().map(|job| job.inputs.as_slice()).collect();
        let rows: Vec<usize> = jobs.iter().filter_map(|job| job.rows).collect();
        let inputs = batch::join(&requests);
        let joined = start.elapsed();
        let outputs = run(engine, &inputs, deadline)?;
        let computed = start.elapsed().saturating_sub(joined);
        let parts = batch::split(outputs, &rows).inspect_err(|error| {
            tracing::warn!(%error, "the model mixes rows: its requests are run one by one");
            self.may_join.store(false, Relaxed);
        })?;
        let (rows, none) = (rows.iter().sum(), Duration::ZERO);
        Ok((parts, Run { rows, collected: none, joined, computed, split: none }))
    }
}

/// Gives each request its part of the run that they shared.
pub(super) fn hand_out(jobs: Vec<Job>, parts: Vec<Part>, run: Run, start: Instant) {
    let (batch, mut leads) = (jobs.len(), true);
    for (job, part) in jobs.into_iter().zip(parts) {
        let queued = start.duration_since(job.queued_at);
        let (inputs, outputs) = (Vec::new(), Vec::new());
        let answer = Answer { outputs, inputs, queued, batch, run, leads };
        // Who has left leads nobody.
        leads &= !job.answer(Ok(Reply::AmongOthers(answer, part)));
    }
}

fn run_alone(engine: &mut dyn Engine, job: Job, start: Instant, collected: Duration) {
    if !job.is_wanted(start, Duration::ZERO) {
        return;
    }
    let result = run(engine, &job.inputs, job.deadline);
    let answer = result.map(|outputs| alone(outputs, &job, start, collected));
    job.answer(answer.map(Reply::Alone));
}

/// The answer of a run that no other request shares.
pub(super) fn alone(
    outputs: Vec<Tensor>,
    job: &Job,
    start: Instant,
    collected: Duration,
) -> Answer {
    let rows = batch::rows(&job.inputs).unwrap_or(1);
    let (computed, none) = (start.elapsed(), Duration::ZERO);
    let run = Run { rows, collected, joined: none, computed, split: none };
    let queued = start.duration_since(job.queued_at);
    Answer { outputs, inputs: Vec::new(), queued, batch: 1, run, leads: true }
}

/// A panic in an engine is that request's failure; the thread and the version live on.
pub(super) fn run(
    engine: &mut dyn Engine,
    inputs: &[Tensor],
    deadline: Instant,
) -> Result<Vec<Tensor>, Error> {
    catch_unwind(AssertUnwindSafe(|| engine.infer(inputs, deadline)))
        .unwrap_or_else(|_| Err(Error::Run("the engine panicked".to_owned())))
}
