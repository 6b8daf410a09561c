mod fair;

use std::sync::Arc;

use domain::{Batching, TensorData};

use super::*;
use crate::{Profile, pace::Pace};

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A queue before so many threads of a model whose runs take 10 ms however many rows they have.
fn queue(capacity: usize, max_batch: usize) -> Queue {
    let single = 10 * MS;
    let per_row = single / u32::try_from(max_batch).unwrap();
    let profile = Profile { batchable: max_batch > 1, single, max_batch, per_row };
    Queue::new(Limits::new(capacity, 1, Pace::new(&profile), max_batch, None))
}

fn inputs(width: usize, rows: Option<usize>) -> Vec<Tensor> {
    let count = rows.unwrap_or(1);
    let data = TensorData::F32(vec![0.0; count * width]);
    vec![Tensor::new("x", vec![count, width], data).unwrap()]
}

fn ask(now: Instant, wait: Duration, priority: Priority) -> Ask {
    Ask { priority, ..Ask::from(now + wait) }
}

fn push(
    queue: &Queue,
    width: usize,
    rows: Option<usize>,
    wait: Duration,
) -> Result<Waiting, Error> {
    let now = Instant::now();
    queue.push(inputs(width, rows), rows, &ask(now, wait, Priority::Normal), now)
}

fn filled(max_batch: usize, jobs: &[(usize, Option<usize>)]) -> (Queue, Vec<Waiting>) {
    let queue = queue(64, max_batch);
    let push = |&(width, rows): &(usize, _)| push(&queue, width, rows, MINUTE).unwrap();
    let replies = jobs.iter().map(push).collect();
    (queue, replies)
}

fn sizes<const N: usize>(queue: &Queue) -> [usize; N] {
    [0; N].map(|_| queue.take(Instant::now()).len())
}

#[test]
fn what_fits_is_taken_at_once_and_in_order() {
    let (queue, _replies) = filled(8, &[(2, Some(1)), (2, Some(3)), (3, Some(1)), (2, Some(1))]);
    assert_eq!(sizes(&queue), [2, 1, 1, 0]);
}

#[test]
fn a_batch_has_at_most_max_rows_but_a_large_request_runs_alone() {
    let (queue, _replies) = filled(4, &[(2, Some(2)), (2, Some(2)), (2, Some(1)), (2, Some(9))]);
    assert_eq!(sizes(&queue), [2, 1, 1]);
}

#[test]
fn what_may_not_be_joined_runs_alone() {
    let (queue, _replies) = filled(8, &[(2, None), (2, Some(1)), (2, None), (2, None)]);
    assert_eq!(sizes(&queue), [1, 1, 1, 1]);
}

#[test]
fn max_batch_may_be_changed_at_any_time() {
    let (queue, _replies) = filled(8, &[(2, Some(1)); 6]);
    queue.limits.set(&Batching::new(Some(2), Duration::ZERO).unwrap());
    assert_eq!(sizes(&queue), [2, 2]);
    queue.limits.set(&Batching::default());
    assert_eq!((sizes(&queue), queue.limits.max_batch()), ([2, 0], 8));
}

#[test]
fn a_full_queue_refuses_at_once_and_a_closed_one_says_so() {
    let queue = queue(1, 8);
    let _reply = push(&queue, 1, Some(1), MINUTE).unwrap();
    assert!(matches!(push(&queue, 1, Some(1), MINUTE), Err(Error::Overloaded)));
    assert_eq!(queue.shed(), Shed { full: 1, ..Shed::default() });
    queue.close();
    assert!(matches!(push(&queue, 1, Some(1), MINUTE), Err(Error::Draining)));
    assert!(queue.wait().is_some(), "what was queued before is still served");
    assert_eq!(sizes(&queue), [1]);
    assert!(queue.wait().is_none());
}

#[test]
fn who_allows_fewer_to_wait_before_them_is_refused_earlier() {
    let (queue, _replies) = filled(8, &[(2, Some(1)); 3]);
    let now = Instant::now();
    let asked = |max_queue| Ask { max_queue, ..Ask::from(now + MINUTE) };
    let push = |max_queue| queue.push(inputs(2, Some(1)), Some(1), &asked(max_queue), now);
    assert!(matches!(push(3), Err(Error::Overloaded)));
    assert!(push(4).is_ok());
}

#[test]
fn who_left_or_is_too_late_is_not_computed_and_holds_no_place() {
    let queue = queue(2, 8);
    let left = push(&queue, 1, Some(1), MINUTE).unwrap();
    let _late = push(&queue, 1, Some(1), Duration::ZERO).unwrap();
    drop(left);
    let _next = push(&queue, 1, Some(1), MINUTE).unwrap();
    assert_eq!((queue.len(), sizes(&queue)), (1, [1]));
}

#[test]
fn who_would_be_late_is_given_up_before_it_is_computed() {
    let queue = queue(64, 1);
    let now = Instant::now();
    let push =
        |wait| queue.push(inputs(1, None), None, &ask(now, wait, Priority::Normal), now).unwrap();
    let (mut late, mut early) = (push(9 * MS), push(30 * MS));
    assert_eq!(queue.take(now).len(), 1);
    assert!(matches!(late.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    assert!(matches!(early.try_recv(), Err(oneshot::error::TryRecvError::Closed)), "taken");
    assert_eq!(queue.shed().late, 1);
}

#[test]
fn company_makes_nobody_late() {
    let profile = Profile { batchable: true, single: 10 * MS, max_batch: 4, per_row: 10 * MS };
    let queue = Queue::new(Limits::new(64, 1, Pace::new(&profile), 4, None));
    let now = Instant::now();
    let push = |wait| {
        let ask = ask(now, wait, Priority::Normal);
        queue.push(inputs(1, Some(1)), Some(1), &ask, now).unwrap()
    };
    let _replies = [push(25 * MS), push(MINUTE), push(MINUTE), push(MINUTE)];
    assert_eq!([0; 3].map(|_| queue.take(now).len()), [2, 2, 0]);
}

#[test]
fn the_first_priority_goes_first_and_the_last_does_not_starve() {
    let queue = queue(64, 1);
    let begin = Instant::now();
    let at = |millis: u32, priority| {
        let now = begin + MS * millis;
        queue.push(inputs(1, None), None, &ask(now, MINUTE, priority), now).unwrap()
    };
    let _replies = [
        at(0, Priority::Low),
        at(1, Priority::Normal),
        at(2, Priority::High),
        at(150, Priority::High),
        at(199, Priority::High),
        at(201, Priority::High),
    ];
    let order = [0; 6].map(|_| {
        let job = queue.take(begin + 300 * MS).pop().unwrap();
        (job.priority, job.queued_at.duration_since(begin).as_millis())
    });
    let expected = [
        (Priority::High, 2),
        (Priority::Normal, 1),
        (Priority::High, 150),
        (Priority::High, 199),
        (Priority::Low, 0),
        (Priority::High, 201),
    ];
    assert_eq!(order, expected);
}

#[test]
fn a_thread_waits_for_company_until_the_run_is_full() {
    let queue = Arc::new(queue(64, 4));
    queue.limits.set(&Batching::new(Some(3), Duration::from_secs(1)).unwrap());
    let waiting = std::thread::spawn({
        let queue = Arc::clone(&queue);
        move || {
            let collected = queue.wait();
            (collected.is_some(), queue.take(Instant::now()).len())
        }
    });
    let _replies: Vec<_> = (0..3).map(|_| push(&queue, 1, Some(1), MINUTE).unwrap()).collect();
    assert_eq!(waiting.join().unwrap(), (true, 3));
}

#[test]
fn a_thread_waits_for_company_no_longer_than_a_deadline_allows() {
    let queue = queue(64, 4);
    queue.limits.set(&Batching::new(Some(4), Duration::from_secs(1)).unwrap());
    let _reply = push(&queue, 1, Some(1), 15 * MS).unwrap();
    let collected = queue.wait().unwrap();
    assert_eq!(collected.as_millis(), 0, "a run takes 10 ms");
    queue.close();
    assert!(queue.wait().is_some(), "nor when it closes");
}

/// What became of those who came.
#[derive(Default)]
struct Load {
    answered: usize,
    refused: usize,
    /// From coming to being answered, in microseconds.
    times: Vec<u128>,
}

impl Load {
    fn p99(&mut self) -> u128 {
        self.times.sort_unstable();
        self.times[self.times.len() * 99 / 100]
    }
}

/// So many seconds of requests that come at these distances, by a clock of our own: one thread whose
/// every run takes 10 ms. Those who are refused do not come again.
fn open_load(queue: &Queue, every: Duration, seconds: u64) -> Load {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let (mut load, mut comes, mut free) = (Load::default(), begin, begin);
    let mut replies = Vec::new();
    while comes < end {
        if comes <= free || queue.len() == 0 {
            free = free.max(comes);
            let asked = ask(comes, MINUTE, Priority::Normal);
            match queue.push(inputs(1, Some(1)), Some(1), &asked, comes) {
                Ok(reply) => replies.push(reply),
                Err(error) => {
                    assert!(matches!(error, Error::Overloaded));
                    load.refused += 1;
                }
            }
            comes += every;
            continue;
        }
        let start = free;
        free = start + 10 * MS;
        for job in queue.take(start) {
            load.answered += 1;
            load.times.push(free.duration_since(job.queued_at).as_micros());
        }
    }
    load
}

#[test]
fn three_times_as_much_as_can_be_answered_is_shed_before_anybody_waits_long() {
    for max_batch in [1, 8] {
        // 100 runs a second.
        let most = 100 * max_batch as u32;
        let queue = queue(100_000, max_batch);
        let mut load = open_load(&queue, Duration::from_secs(1) / (3 * most), 60);
        let goodput = load.answered as f64 / f64::from(60 * most);
        assert!(goodput >= 0.9, "{max_batch}: {goodput}");
        assert!(load.p99() <= 50_000, "{max_batch}: {}", load.p99());
        // Who is shed is shed at once, but for those who came before it was known.
        let share = load.refused as f64 / f64::from(60 * 3 * most);
        assert!((0.6..0.7).contains(&share), "{max_batch}: {share}");
    }
}

#[test]
fn nobody_is_shed_while_all_can_be_answered() {
    let queue = queue(100_000, 1);
    let load = open_load(&queue, Duration::from_micros(10_500), 60);
    assert_eq!(load.refused, 0);
}

#[test]
fn a_burst_is_served_and_overload_ends() {
    let queue = queue(100_000, 1);
    let load = open_load(&queue, MS * 3, 5);
    assert!(load.refused > 0);
    std::iter::from_fn(|| queue.take(Instant::now()).pop()).for_each(drop);
    let later = Instant::now() + Duration::from_secs(60);
    let push =
        |at: Instant| queue.push(inputs(1, None), None, &ask(at, MINUTE, Priority::Normal), at);
    let burst: Vec<_> = (0..60).map(|_| push(later).is_ok()).collect();
    assert!(burst.iter().all(|is_taken| *is_taken), "a burst is no overload");
}

#[test]
fn callers_who_wait_for_their_answers_are_never_shed_however_many() {
    let queue = queue(100_000, 1);
    let begin = Instant::now();
    let (mut now, mut replies) = (begin, Vec::new());
    let push = |at: Instant| {
        queue.push(inputs(1, None), None, &ask(at, MINUTE, Priority::Normal), at).unwrap()
    };
    replies.extend((0..256).map(|_| push(now)));
    for _ in 0..2000 {
        let taken = queue.take(now).len();
        now += 10 * MS;
        replies.extend((0..taken).map(|_| push(now)));
    }
    assert_eq!((queue.shed(), queue.len()), (Shed::default(), 256));
}

#[test]
fn under_overload_the_highest_priority_is_shed_last() {
    let queue = queue(100_000, 1);
    let begin = Instant::now();
    let (mut high, mut low, mut replies) = (0, 0, Vec::new());
    // Every 10 ms one run, two of the lowest priority and now and then one of the highest.
    for turn in 0..2000_u32 {
        let at = begin + MS * 10 * turn;
        let mut push = |priority| {
            let pushed = queue.push(inputs(1, None), None, &ask(at, MINUTE, priority), at);
            let is_refused = pushed.is_err();
            replies.extend(pushed.ok());
            usize::from(is_refused)
        };
        low += push(Priority::Low) + push(Priority::Low);
        if turn % 4 == 0 {
            high += push(Priority::High);
        }
        queue.take(at);
    }
    assert!(low > 1000, "{low}");
    assert_eq!(high, 0);
}
