//! The one queue of a version: bounded, and full means refused at once.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError},
    time::Instant,
};

use domain::Tensor;
use tokio::sync::oneshot;

use crate::{Answer, Error, batch, sync::lock};

/// One waiting request, arranged.
pub(crate) struct Job {
    pub(crate) inputs: Vec<Tensor>,
    /// How many rows, if it may share a run with others.
    pub(crate) rows: Option<usize>,
    pub(crate) deadline: Instant,
    pub(crate) queued_at: Instant,
    pub(crate) reply: oneshot::Sender<Result<Answer, Error>>,
}

impl Job {
    /// Whether anybody still wants the answer: the caller is there, and not too late.
    pub(crate) fn is_wanted(&self, now: Instant) -> bool {
        !self.reply.is_closed() && now < self.deadline
    }

    /// Gives the answer to the caller; false if they have left meanwhile.
    pub(crate) fn answer(self, result: Result<Answer, Error>) -> bool {
        self.reply.send(result).is_ok()
    }
}

pub(crate) struct Queue {
    state: Mutex<State>,
    something: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait for a job and that nobody has woken yet.
    sleeping: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), something: Condvar::new(), capacity }
    }

    /// Puts a job at the end.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if the queue is full, [`Error::Draining`] if it is closed.
    pub(crate) fn push(&self, job: Job) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::Draining);
        }
        if state.jobs.len() >= self.capacity {
            // Those who left or are too late hold no place against those who can be served.
            let now = Instant::now();
            state.jobs.retain(|job| job.is_wanted(now));
        }
        if state.jobs.len() >= self.capacity {
            return Err(Error::Overloaded);
        }
        state.jobs.push_back(job);
        // A thread that is busy looks here before it sleeps: waking costs a system call, so only
        // who sleeps is woken, and only once.
        if let Some(left) = state.sleeping.checked_sub(1) {
            state.sleeping = left;
            drop(state);
            self.something.notify_one();
        }
        Ok(())
    }

    /// Sleeps until there is a job. False when the queue is closed and empty.
    pub(crate) fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        loop {
            if !state.jobs.is_empty() {
                return true;
            }
            if state.closed {
                return false;
            }
            state.sleeping += 1;
            state = self.something.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes what can share one run: the oldest job and those behind it that fit, up to
    /// `max_rows`. Jobs that nobody wants any more are dropped on the way; those who wait too long
    /// have been told so by their own clocks.
    pub(crate) fn take(&self, max_rows: usize) -> Vec<Job> {
        let mut taken: Vec<Job> = Vec::new();
        let mut rows = 0;
        let now = Instant::now();
        let mut state = lock(&self.state);
        while let Some(job) = state.jobs.pop_front() {
            if !job.is_wanted(now) {
                continue;
            }
            let room = match (job.rows, taken.first()) {
                (_, None) => true,
                (Some(more), Some(first)) => {
                    rows + more <= max_rows
                        && first.rows.is_some()
                        && batch::fit(&first.inputs, &job.inputs)
                }
                (None, Some(_)) => false,
            };
            if !room {
                state.jobs.push_front(job);
                break;
            }
            rows += job.rows.unwrap_or(max_rows);
            taken.push(job);
            if rows >= max_rows {
                break;
            }
        }
        taken
    }

    /// Lets nothing more in.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.something.notify_all();
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).jobs.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::TensorData;

    use super::*;

    type Reply = oneshot::Receiver<Result<Answer, Error>>;

    fn job(width: usize, rows: Option<usize>, wait: Duration) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        let count = rows.unwrap_or(1);
        let data = TensorData::F32(vec![0.0; count * width]);
        let inputs = vec![Tensor::new("x", vec![count, width], data).unwrap()];
        let now = Instant::now();
        (Job { inputs, rows, deadline: now + wait, queued_at: now, reply }, receiver)
    }

    fn filled(jobs: &[(usize, Option<usize>)]) -> (Queue, Vec<Reply>) {
        let queue = Queue::new(64);
        let mut replies = Vec::new();
        for &(width, rows) in jobs {
            let (job, reply) = job(width, rows, Duration::from_secs(60));
            queue.push(job).unwrap();
            replies.push(reply);
        }
        (queue, replies)
    }

    #[test]
    fn what_fits_is_taken_at_once_and_in_order() {
        let (queue, _replies) = filled(&[(2, Some(1)), (2, Some(3)), (3, Some(1)), (2, Some(1))]);
        assert_eq!([2, 1, 1, 0].map(|_| queue.take(8).len()), [2, 1, 1, 0]);
    }

    #[test]
    fn a_batch_has_at_most_max_rows_but_a_large_request_runs_alone() {
        let (queue, _replies) = filled(&[(2, Some(2)), (2, Some(2)), (2, Some(1)), (2, Some(9))]);
        assert_eq!([0; 3].map(|_| queue.take(4).len()), [2, 1, 1]);
    }

    #[test]
    fn what_may_not_be_joined_runs_alone() {
        let (queue, _replies) = filled(&[(2, None), (2, Some(1)), (2, None), (2, None)]);
        assert_eq!([0; 4].map(|_| queue.take(8).len()), [1, 1, 1, 1]);
    }

    #[test]
    fn a_full_queue_refuses_at_once_and_a_closed_one_says_so() {
        let queue = Queue::new(1);
        let minute = Duration::from_secs(60);
        let (first, _reply) = job(1, Some(1), minute);
        queue.push(first).unwrap();
        assert!(matches!(queue.push(job(1, Some(1), minute).0), Err(Error::Overloaded)));
        queue.close();
        assert!(matches!(queue.push(job(1, Some(1), minute).0), Err(Error::Draining)));
        assert!(queue.wait(), "what was queued before is still served");
        assert_eq!(queue.take(1).len(), 1);
        assert!(!queue.wait());
    }

    #[test]
    fn who_left_or_is_too_late_is_not_computed_and_holds_no_place() {
        let queue = Queue::new(2);
        let (left, reply) = job(1, Some(1), Duration::from_secs(60));
        let (late, _late_reply) = job(1, Some(1), Duration::ZERO);
        queue.push(left).unwrap();
        queue.push(late).unwrap();
        drop(reply);
        let (next, _reply) = job(1, Some(1), Duration::from_secs(60));
        queue.push(next).unwrap();
        assert_eq!((queue.len(), queue.take(8).len()), (1, 1));
    }
}
