//! Who waits, and whose turn it is.
//!
//! Tenants take turns by start-time fair queueing: each has a line, and a line's turn moves on by the rows
//! that it got, divided by its weight. Whoever comes after a pause goes on from where the others are, or a
//! few rows before: so who asks seldom is not pushed aside by who asks all the time, and saves nothing up.
//! Among lines whose turn is the same, and within each, the priority decides: so nobody gets more by
//! calling their requests urgent.
//!
//! What an idle line got is remembered only until the others have got as much, and not for long: when
//! nobody waits all begin anew.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use domain::quota::Tenant;

use crate::{ask::Priority, queue::Job};

/// So much longer than one of the next higher priority somebody waits before they go first.
pub(crate) const AGE: Duration = Duration::from_millis(100);
/// A row of a tenant of weight 1, in parts that other weights divide.
const ROW: u64 = 1 << 16;
/// As far behind the others a line may be.
const BEHIND: u64 = 4 * ROW;
/// Idle lines that are remembered at most.
const REMEMBERED: usize = 128;
/// Lines whose room is kept for whoever comes next.
const SPARE: usize = 4;

/// Those of one tenant who wait.
struct Line {
    tenant: Tenant,
    /// By priority; in each those who came first stand first.
    jobs: [VecDeque<Job>; Priority::COUNT],
    /// What each of these weighs.
    rows: [usize; Priority::COUNT],
    /// When the next of them has its turn.
    turn: u64,
}

/// Lines, of which some may be empty.
#[derive(Default)]
pub(crate) struct Lanes {
    lines: Vec<Line>,
    /// The latest turn of those who were served.
    now: u64,
    len: usize,
    rows: usize,
}

/// Where somebody stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    line: usize,
    priority: usize,
}

impl Line {
    fn new(tenant: Tenant, now: u64) -> Self {
        let mut line = Self { tenant, jobs: Default::default(), rows: [0; 3], turn: 0 };
        line.begin(now);
        line
    }

    fn is_empty(&self) -> bool {
        self.jobs.iter().all(VecDeque::is_empty)
    }

    /// Somebody comes to the empty line.
    fn begin(&mut self, now: u64) {
        let first = now.saturating_sub(BEHIND);
        self.turn = if self.tenant.weight == 0 { u64::MAX } else { self.turn.max(first) };
    }

    /// When somebody has their turn who has so many rows of their line before them.
    fn turn_after(&self, rows: usize) -> u64 {
        let parts = (rows as u64).saturating_mul(ROW);
        let more = parts.checked_div(self.tenant.weight.into()).unwrap_or(u64::MAX);
        self.turn.saturating_add(more)
    }

    /// The highest priority whose first has waited long enough to go first, and since when.
    fn first(&self) -> Option<(usize, Instant)> {
        let fronts = self.jobs.iter().enumerate();
        let fronts = fronts.filter_map(|(at, jobs)| Some((at, aged(at, jobs.front()?))));
        fronts.min_by_key(|(_, since)| *since)
    }

    /// Whoever would come last of all.
    fn last(&self) -> Option<(usize, &Job)> {
        let (priority, jobs) = self.jobs.iter().enumerate().rfind(|(_, jobs)| !jobs.is_empty())?;
        Some((priority, jobs.back()?))
    }
}

impl Lanes {
    /// Puts somebody in their tenant's line.
    pub(crate) fn push(&mut self, tenant: Tenant, job: Job) {
        let at = self.find(tenant);
        let now = self.now;
        let Some(line) = self.lines.get_mut(at) else { return };
        line.tenant.weight = tenant.weight;
        if line.is_empty() {
            line.begin(now);
        }
        let lane = job.priority as usize;
        if let (Some(jobs), Some(rows)) = (line.jobs.get_mut(lane), line.rows.get_mut(lane)) {
            *rows += job.weight;
            self.rows += job.weight;
            self.len += 1;
            jobs.push_back(job);
        }
    }

    /// A tenant's line, which may have been another's that is remembered no more.
    fn find(&mut self, tenant: Tenant) -> usize {
        if let Some(at) = self.lines.iter().position(|line| line.tenant.id == tenant.id) {
            return at;
        }
        let idle = self.lines.iter().enumerate().filter(|(_, line)| line.is_empty());
        let count = idle.clone().count();
        let oldest = idle.min_by_key(|(_, line)| line.turn);
        let oldest = oldest.filter(|(_, line)| {
            line.turn.saturating_add(BEHIND) <= self.now || count >= REMEMBERED
        });
        let at = oldest.map(|(at, _)| at);
        match at.and_then(|at| Some((at, self.lines.get_mut(at)?))) {
            Some((at, line)) => {
                (line.tenant, line.turn) = (tenant, 0);
                at
            }
            None => {
                self.lines.push(Line::new(tenant, self.now));
                self.lines.len() - 1
            }
        }
    }

    /// Who is next.
    pub(crate) fn next(&self) -> Option<At> {
        let lines = self.lines.iter().enumerate();
        let firsts = lines.filter_map(|(at, line)| {
            let (priority, since) = line.first()?;
            Some((At { line: at, priority }, (line.turn, since)))
        });
        firsts.min_by_key(|(_, turn)| *turn).map(|(at, _)| at)
    }

    pub(crate) fn get(&self, at: At) -> Option<&Job> {
        self.lines.get(at.line)?.jobs.get(at.priority)?.front()
    }

    /// Takes out somebody who is served.
    pub(crate) fn serve(&mut self, at: At) -> Option<Job> {
        let line = self.lines.get_mut(at.line)?;
        let rows = line.jobs.get(at.priority)?.front()?.weight;
        if line.tenant.weight > 0 {
            (self.now, line.turn) = (self.now.max(line.turn), line.turn_after(rows));
        }
        self.remove(at, VecDeque::pop_front)
    }

    /// Takes out somebody who is not, and is charged nothing.
    pub(crate) fn give_up(&mut self, at: At) -> Option<Job> {
        self.remove(at, VecDeque::pop_front)
    }

    fn remove(
        &mut self,
        at: At,
        pop: impl FnOnce(&mut VecDeque<Job>) -> Option<Job>,
    ) -> Option<Job> {
        let line = self.lines.get_mut(at.line)?;
        let job = pop(line.jobs.get_mut(at.priority)?)?;
        if let Some(rows) = line.rows.get_mut(at.priority) {
            *rows -= job.weight;
        }
        self.rows -= job.weight;
        self.len -= 1;
        self.rest();
        Some(job)
    }

    /// Forgets everything once nobody waits, but for room that is used again.
    fn rest(&mut self) {
        if self.len == 0 {
            self.now = 0;
            self.lines.truncate(SPARE);
            self.lines.iter_mut().for_each(|line| line.turn = 0);
        }
    }

    /// When somebody of that tenant and priority who comes now has their turn.
    pub(crate) fn turn_of(&self, tenant: Tenant, priority: Priority) -> u64 {
        if tenant.weight == 0 {
            return u64::MAX;
        }
        let first = self.now.saturating_sub(BEHIND);
        let line = self.lines.iter().find(|line| line.tenant.id == tenant.id);
        line.map_or(first, |line| {
            let rows = line.rows.iter().take(priority as usize + 1).sum();
            line.turn_after(rows).max(first)
        })
    }

    /// Takes out whoever would have their turn last of all, if that is after the given one.
    pub(crate) fn pop_last(&mut self, after: Option<u64>) -> Option<Job> {
        let (at, turn) = self.last()?;
        if after.is_some_and(|after| turn <= after) {
            return None;
        }
        self.remove(at, VecDeque::pop_back)
    }

    /// Whether somebody would have their turn after that.
    pub(crate) fn goes_on_after(&self, turn: u64) -> bool {
        self.last().is_some_and(|(_, last)| last > turn)
    }

    fn last(&self) -> Option<(At, u64)> {
        let lines = self.lines.iter().enumerate();
        let lasts = lines.filter_map(|(at, line)| {
            let (priority, job) = line.last()?;
            let rows = line.rows.iter().sum::<usize>() - job.weight;
            let turn = line.turn_after(rows);
            Some((At { line: at, priority }, turn, aged(priority, job)))
        });
        lasts.max_by_key(|(_, turn, since)| (*turn, *since)).map(|(at, turn, _)| (at, turn))
    }

    /// Keeps only those for whom this holds.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Job) -> bool) {
        for line in &mut self.lines {
            for (jobs, rows) in line.jobs.iter_mut().zip(&mut line.rows) {
                jobs.retain(|job| {
                    let stays = keep(job);
                    if !stays {
                        *rows -= job.weight;
                        self.rows -= job.weight;
                        self.len -= 1;
                    }
                    stays
                });
            }
        }
        self.rest();
    }

    /// What waits in all.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Since when somebody waits, as if those of lower priority had come later.
fn aged(priority: usize, job: &Job) -> Instant {
    job.queued_at + AGE * priority as u32
}

#[cfg(test)]
mod tests {
    use domain::Tensor;
    use tokio::sync::oneshot;

    use super::*;

    fn tenant(at: u32) -> Tenant {
        Tenant { id: format!("{:032x}", at + 1).parse().unwrap(), weight: 1 }
    }

    fn job() -> Job {
        let (now, inputs) = (Instant::now(), Vec::<Tensor>::new());
        let (rows, priority, reply) = (Some(1), Priority::Normal, oneshot::channel().0);
        Job { inputs, rows, deadline: now, priority, queued_at: now, weight: 1, reply }
    }

    #[test]
    fn no_more_lines_are_kept_than_wait_and_some_that_are_remembered() {
        let mut lanes = Lanes::default();
        for at in 0..1_000 {
            lanes.push(tenant(at), job());
            lanes.push(tenant(at), job());
        }
        assert_eq!((lanes.lines.len(), lanes.len(), lanes.rows()), (1_000, 2_000, 2_000));
        for turn in 0..2_000 {
            let at = lanes.next().unwrap();
            assert_eq!(at.line, turn % 1_000, "each once, and then again");
            lanes.serve(at);
        }
        assert_eq!(lanes.lines.len(), SPARE);

        lanes.push(tenant(0), job());
        lanes.push(tenant(0), job());
        for at in 1..1_000 {
            lanes.push(tenant(at), job());
            lanes.serve(lanes.next().unwrap());
        }
        assert!(lanes.lines.len() <= REMEMBERED + 2, "{}", lanes.lines.len());
    }

    #[test]
    fn one_tenant_needs_one_line() {
        let mut lanes = Lanes::default();
        for _ in 0..1_000 {
            lanes.push(tenant(7), job());
            lanes.serve(lanes.next().unwrap());
        }
        assert_eq!((lanes.lines.len(), lanes.now), (1, 0));
    }
}
