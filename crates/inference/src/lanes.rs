//! Who waits, by priority.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{ask::Priority, queue::Job};

/// So much longer than one of the next higher priority somebody waits before they go first.
pub(crate) const AGE: Duration = Duration::from_millis(100);

/// One line for each priority; in each those who came first stand first.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: [VecDeque<Job>; Priority::COUNT],
    /// What each line weighs.
    rows: [usize; Priority::COUNT],
}

impl Lanes {
    pub(crate) fn push(&mut self, job: Job) {
        let lane = job.priority as usize;
        if let (Some(jobs), Some(rows)) = (self.lanes.get_mut(lane), self.rows.get_mut(lane)) {
            *rows += job.weight;
            jobs.push_back(job);
        }
    }

    /// Who is next: of the first of each line whoever came earliest, if those of lower priority had
    /// come so much later.
    pub(crate) fn first(&self) -> Option<&Job> {
        self.lanes.iter().filter_map(VecDeque::front).min_by_key(|job| turn(job))
    }

    /// Takes whoever is next.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let lane = self.first()?.priority as usize;
        self.take(lane, VecDeque::pop_front)
    }

    /// Takes whoever would come last of all.
    pub(crate) fn pop_last(&mut self) -> Option<Job> {
        let lane = self.lanes.iter().rposition(|jobs| !jobs.is_empty())?;
        self.take(lane, VecDeque::pop_back)
    }

    fn take(
        &mut self,
        lane: usize,
        pop: impl FnOnce(&mut VecDeque<Job>) -> Option<Job>,
    ) -> Option<Job> {
        let job = pop(self.lanes.get_mut(lane)?)?;
        if let Some(rows) = self.rows.get_mut(lane) {
            *rows = rows.saturating_sub(job.weight);
        }
        Some(job)
    }

    /// Keeps only those for whom this holds.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Job) -> bool) {
        for (jobs, rows) in self.lanes.iter_mut().zip(&mut self.rows) {
            jobs.retain(|job| {
                let stays = keep(job);
                if !stays {
                    *rows = rows.saturating_sub(job.weight);
                }
                stays
            });
        }
    }

    /// What goes before somebody of this priority who comes now.
    pub(crate) fn rows_before(&self, priority: Priority) -> usize {
        self.rows.iter().take(priority as usize + 1).sum()
    }

    /// What waits in all.
    pub(crate) fn rows(&self) -> usize {
        self.rows.iter().sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }
}

fn turn(job: &Job) -> Instant {
    job.queued_at + AGE * job.priority as u32
}
