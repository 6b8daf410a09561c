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
    Engine, Error, Profile, batch,
    direct::{Direct, LONGEST},
    queue::{Job, Queue, Reply},
    sync::lock,
};

pub(super) struct Shared {
    pub(super) signature: Signature,
    pub(super) profile: Profile,
    pub(super) queue: Queue,
    pub(super) direct: Direct,
    /// Taken back at the first batch whose outputs do not have a row for each row.
    pub(super) may_join: AtomicBool,
    /// One for each inference thread; empty once drained.
    pub(super) engines: Vec<Mutex<Option<Box<dyn Engine>>>>,
}

impl Shared {
    /// Runs a request on the caller's thread, if that is allowed and an engine is free, and it does not
    /// take too long for that.
    pub(super) fn run_here(
        &self,
        inputs: &[Tensor],
        deadline: Instant,
    ) -> Option<Result<Answer, Error>> {
        if !self.direct.is_allowed() || !self.queue.limits.company().is_zero() {
            return None;
        }
        let Some(mut engine) = self.engines.first().and_then(|engine| engine.try_lock().ok())
        else {
            self.direct.met();
            return None;
        };
        let start = Instant::now();
        let longest = start + LONGEST;
        let result = run(engine.as_deref_mut()?, inputs, deadline.min(longest));
        let ran = start.elapsed();
        drop(engine);
        if matches!(result, Err(Error::Timeout)) && longest < deadline {
            self.direct.cut();
            return None;
        }
        self.direct.ran(1, ran);
        Some(result.map(|outputs| alone(outputs, Duration::ZERO, inputs, ran)))
    }

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
        let (count, rows) = (jobs.len(), jobs.iter().map(|job| job.weight).sum());
        if count > 1 {
            self.run_together(engine, jobs, start, collected);
        } else {
            jobs.into_iter().for_each(|job| run_alone(engine, job, start, collected));
        }
        let took = start.elapsed();
        self.queue.limits.pace.ran(rows, took);
        self.direct.ran(count, took);
    }

    /// Runs several requests as one; if that fails, each alone, so that only the bad one fails.
    fn run_together(
        &self,
        engine: &mut dyn Engine,
        jobs: Vec<Job>,
        start: Instant,
        collected: Duration,
    ) {
        let requests: Vec<&[Tensor]> = jobs.iter().map(|job| job.inputs.as_slice()).collect();
        let rows: Vec<usize> = jobs.iter().filter_map(|job| job.rows).collect();
        // Those who cannot wait as long as the last one are told so by their own clocks.
        let deadline = jobs.iter().map(|job| job.deadline).max().unwrap_or(start);
        let inputs = batch::join(&requests);
        let joined = start.elapsed();
        let computed = run(engine, &inputs, deadline).map(|outputs| (outputs, start.elapsed()));
        let parts = computed.and_then(|(outputs, computed)| {
            let parts = batch::split(outputs, &rows).inspect_err(|error| {
                tracing::warn!(%error, "the model mixes rows: its requests are run one by one");
                self.may_join.store(false, Relaxed);
            })?;
            Ok((parts, computed))
        });
        let Ok((parts, computed)) = parts else {
            jobs.into_iter().for_each(|job| run_alone(engine, job, Instant::now(), collected));
            return;
        };
        let computed = computed.saturating_sub(joined);
        let (rows, split) = (rows.iter().sum(), Duration::ZERO);
        let (run, batch) = (Run { rows, collected, joined, computed, split }, jobs.len());
        let mut leads = true;
        for (job, part) in jobs.into_iter().zip(parts) {
            let queued = start.duration_since(job.queued_at);
            // Who has left leads nobody.
            let (inputs, outputs) = (Vec::new(), Vec::new());
            let answer = Answer { outputs, inputs, queued, batch, run, leads };
            leads &= !job.answer(Ok(Reply::among_others(answer, part)));
        }
    }
}

fn run_alone(engine: &mut dyn Engine, job: Job, start: Instant, collected: Duration) {
    if !job.is_wanted(start, Duration::ZERO) {
        return;
    }
    let queued = start.duration_since(job.queued_at);
    let result = run(engine, &job.inputs, job.deadline);
    let ran = start.elapsed();
    let answer = result.map(|outputs| {
        let mut answer = alone(outputs, queued, &job.inputs, ran);
        answer.run.collected = collected;
        Reply::alone(answer)
    });
    job.answer(answer);
}

/// The answer of a run that no other request shares.
fn alone(outputs: Vec<Tensor>, queued: Duration, inputs: &[Tensor], computed: Duration) -> Answer {
    let rows = batch::rows(inputs).unwrap_or(1);
    let none = Duration::ZERO;
    let run = Run { rows, collected: none, joined: none, computed, split: none };
    Answer { outputs, inputs: Vec::new(), queued, batch: 1, run, leads: true }
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
