//! Callers of one thread, who run their requests together and there.
//!
//! A thread that serves many connections polls all that have sent something, one after the other. Whoever
//! comes first leads: they let the others go first, and then run what all of them brought as one. So nobody
//! waits for company that is not there already, and no request crosses to another thread and back.
//!
//! What is not run there is given back, and goes to the queue: while other threads have all engines or
//! somebody waits in the queue, what does not fit into the same runs or is too long, and whatever is left
//! when the leader goes away. So tenants, priorities and overload are the queue's affair as soon as anybody
//! has to wait longer than a few short runs take.

use std::{
    future::poll_fn,
    sync::Mutex,
    task::Poll,
    time::{Duration, Instant},
};

use domain::Tensor;

use super::serving::{Shared, alone, hand_out, run};
use crate::{
    Ask, Engine, Error,
    direct::{LONG, LONGEST},
    queue::{Job, Reply},
    sync::lock,
};

/// So often whoever leads lets others go first while other threads have all engines.
const TURNS: usize = 8;

impl Shared {
    /// Whether such a request may be run on its caller's thread now.
    pub(super) fn runs_here(&self, ask: &Ask, now: Instant) -> bool {
        self.direct.is_allowed()
            && self.queue.is_idle()
            && self.queue.limits.company().is_zero()
            // Nobody's clock rings while others run.
            && now + LONGEST < ask.deadline
    }

    /// Runs a request on this thread, with whoever else brings one to it meanwhile; or gives it back.
    ///
    /// # Errors
    /// What the model says.
    pub(super) fn run_here(
        &self,
        inputs: Vec<Tensor>,
        rows: Option<usize>,
        ask: &Ask,
        now: Instant,
    ) -> impl Future<Output = Result<Reply, Error>> + use<'_> {
        let (job, waiting) = Job::new(inputs, rows, 1, ask, now);
        let gathered = self.gathered.mine();
        let leads = {
            let mut jobs = lock(gathered);
            jobs.push(job);
            jobs.len() == 1
        };
        // Made only where it is one: whoever drops it gives back what was brought.
        let lead = leads.then(|| Lead { shared: self, gathered });
        async move {
            if let Some(lead) = lead {
                lead.lead().await;
            }
            waiting.await.map_err(|_| Error::Timeout)?
        }
    }

    /// Runs jobs as long as that is short, and gives the rest back.
    fn run_gathered(&self, engine: &mut dyn Engine, mut jobs: Vec<Job>) {
        let until = Instant::now() + LONG;
        while !jobs.is_empty() {
            let rest = jobs.split_off(first_run(&jobs, self.queue.limits.max_batch()));
            match self.run_until(engine, jobs, until) {
                Ok(()) => jobs = rest,
                Err(back) => {
                    jobs = back;
                    jobs.extend(rest);
                    break;
                }
            }
        }
        jobs.into_iter().for_each(Job::give_back);
    }

    /// Runs jobs as one, unless that takes too long or fails: then they come back. What fails alone has its
    /// answer by that.
    fn run_until(
        &self,
        engine: &mut dyn Engine,
        mut jobs: Vec<Job>,
        until: Instant,
    ) -> Result<(), Vec<Job>> {
        let (start, pace) = (Instant::now(), &self.queue.limits.pace);
        let rows = jobs.iter().map(|job| job.weight).sum();
        if start + pace.run(rows) > until {
            return Err(jobs);
        }
        let longest = start + LONGEST;
        let ran = match (jobs.pop(), jobs.is_empty()) {
            (Some(only), true) => match run(engine, &only.inputs, longest) {
                Err(Error::Timeout) => Err((Error::Timeout, vec![only])),
                result => {
                    let answer = result.map(|outputs| alone(outputs, &only, start, Duration::ZERO));
                    only.answer(answer.map(Reply::Alone));
                    Ok(())
                }
            },
            (last, _) => {
                jobs.extend(last);
                match self.compute(engine, &jobs, start, longest) {
                    Ok((parts, run)) => {
                        hand_out(jobs, parts, run, start);
                        Ok(())
                    }
                    Err(error) => Err((error, jobs)),
                }
            }
        };
        let took = start.elapsed();
        pace.ran(rows, took);
        self.direct.ran(took);
        ran.map_err(|(error, jobs)| {
            if matches!(error, Error::Timeout) {
                self.direct.cut();
            }
            jobs
        })
    }
}

/// How many of the jobs, from the first on, may share one run.
fn first_run(jobs: &[Job], max_rows: usize) -> usize {
    let Some((first, others)) = jobs.split_first() else { return 0 };
    let mut rows = first.weight;
    let joining = others.iter().take_while(|job| {
        let joins = job.joins(first, rows, max_rows);
        rows += job.weight;
        joins
    });
    1 + joining.count()
}

/// Whoever came first to a thread, until they have run what was brought there.
struct Lead<'a> {
    shared: &'a Shared,
    gathered: &'a Mutex<Vec<Job>>,
}

impl Lead<'_> {
    /// Lets the others go first, and runs what is there then. While other threads have all engines, which
    /// is not for long, more may come.
    async fn lead(self) {
        for _ in 0..TURNS {
            others_first().await;
            if self.run() {
                return;
            }
        }
    }

    /// Runs what is there; false while other threads have all engines.
    fn run(&self) -> bool {
        let free = self.shared.engines.iter().find_map(|slot| slot.try_lock().ok());
        let Some(mut engine) = free else { return false };
        if let Some(engine) = engine.as_deref_mut() {
            self.shared.run_gathered(engine, self.take());
        }
        true
    }

    /// What was brought. As many may come the next time.
    fn take(&self) -> Vec<Job> {
        let mut jobs = lock(self.gathered);
        let room = Vec::with_capacity(jobs.len());
        std::mem::replace(&mut *jobs, room)
    }
}

impl Drop for Lead<'_> {
    /// Nobody waits for somebody who went away.
    fn drop(&mut self) {
        lock(self.gathered).drain(..).for_each(Job::give_back);
    }
}

/// Lets everybody else go first who is ready on this thread.
async fn others_first() {
    let mut are_done = false;
    poll_fn(|context| {
        if are_done {
            return Poll::Ready(());
        }
        are_done = true;
        // And not tokio's yielding, which looks after the network before.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
