//! Tenants share a version's time by their weights, by a clock of the test's own.

use domain::quota::Tenant;

use super::*;

/// Somebody whose requests come whether they are answered or not.
#[derive(Clone, Copy)]
struct Sender {
    weight: u16,
    /// Requests a second.
    rate: f64,
    rows: usize,
    priority: Priority,
    /// Between these seconds.
    from: f64,
    until: f64,
}

/// Long enough that chance evens out.
const SECONDS: f64 = 60.0;

const NORMAL: Sender =
    Sender { weight: 1, rate: 0.0, rows: 1, priority: Priority::Normal, from: 0.0, until: SECONDS };

fn tenant(at: usize, weight: u16) -> Tenant {
    Tenant { id: format!("{:032x}", at + 1).parse().unwrap(), weight }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A request that says in its values who sent it.
fn from(at: usize, rows: usize) -> Vec<Tensor> {
    vec![Tensor::new("x", vec![rows, 1], TensorData::F32(vec![at as f32; rows])).unwrap()]
}

fn sender(job: &Job) -> usize {
    let TensorData::F32(values) = &job.inputs[0].data else { panic!("not FP32") };
    values[0] as usize
}

/// What each of them got: rows and the times from coming to being answered. One thread, whose every run
/// takes 10 ms; requests come by chance, always the same.
fn share(max_batch: usize, senders: &[Sender]) -> Vec<Load> {
    let queue = queue(100_000, max_batch);
    let begin = Instant::now();
    let mut chance = 1_u64;
    let mut pause = |rate: f64| {
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let even = ((chance >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        -even.ln() / rate
    };
    let mut comes: Vec<f64> = senders.iter().map(|it| it.from + pause(it.rate)).collect();
    let mut loads: Vec<Load> = senders.iter().map(|_| Load::default()).collect();
    let (mut free, mut replies) = (0.0, Vec::new());
    loop {
        let next = comes.iter().enumerate().min_by(|one, other| one.1.total_cmp(other.1));
        let (at, now) = next.map(|(at, now)| (at, *now)).unwrap();
        if now > SECONDS {
            return loads;
        }
        if now > free && queue.len() > 0 {
            let start = begin + seconds(free);
            free += 0.01;
            for job in queue.take(start) {
                let load = &mut loads[sender(&job)];
                load.answered += job.weight;
                let took = (begin + seconds(free)).duration_since(job.queued_at);
                load.times.push(took.as_micros());
            }
            continue;
        }
        free = f64::max(free, now);
        let Sender { weight, rate, rows, priority, until, .. } = senders[at];
        let arrives = begin + seconds(now);
        let asked = Ask { tenant: tenant(at, weight), ..ask(arrives, MINUTE, priority) };
        // As a gateway does, which asks before it reads.
        let expected = if queue.refuses() { queue.expect(&asked, arrives) } else { Ok(()) };
        let taken = expected.and_then(|()| queue.push(from(at, rows), Some(rows), &asked, arrives));
        match taken {
            Ok(reply) => replies.push(reply),
            Err(_) => loads[at].refused += rows,
        }
        comes[at] = now + pause(rate);
        if comes[at] > until {
            comes[at] = f64::INFINITY;
        }
    }
}

fn answered(loads: &[Load]) -> Vec<f64> {
    loads.iter().map(|load| load.answered as f64).collect()
}

#[test]
fn twenty_times_the_load_takes_nothing_from_who_stays_within_their_share() {
    for (max_batch, part, priority) in [
        (1, 0.15, Priority::Normal),
        (1, 0.3, Priority::Normal),
        (8, 0.15, Priority::Normal),
        (8, 0.4, Priority::Normal),
        (1, 0.3, Priority::High),
    ] {
        let rate = 100.0 * max_batch as f64 * part;
        let quiet = Sender { rate, ..NORMAL };
        let loud = Sender { rate: 20.0 * rate, priority, ..NORMAL };
        let alone = answered(&share(max_batch, &[quiet]))[0];
        let mut beside = share(max_batch, &[quiet, loud]);
        let got = answered(&beside);
        assert!(got[0] >= 0.9 * alone, "{max_batch} {part}: {} of {alone}", got[0]);
        let all = got.iter().sum::<f64>() / (SECONDS * 100.0 * max_batch as f64);
        assert!(all >= 0.9, "{max_batch} {part}: {all}");
        assert!(beside[0].p99() <= 50_000, "{max_batch} {part}: {}", beside[0].p99());
    }
}

#[test]
fn who_ask_for_too_much_share_by_their_weights() {
    for max_batch in [1, 8] {
        let rate = 300.0 * max_batch as f64;
        let loads = share(
            max_batch,
            &[
                Sender { rate, ..NORMAL },
                Sender { weight: 3, rate, ..NORMAL },
                Sender { weight: 2, rate: 4.0 * rate, ..NORMAL },
            ],
        );
        let got = answered(&loads);
        let one = got.iter().sum::<f64>() / 6.0;
        for (got, weight) in got.iter().zip([1.0, 3.0, 2.0]) {
            assert!((got / one / weight - 1.0).abs() < 0.1, "{max_batch}: {got} of {one}");
        }
    }
}

#[test]
fn twenty_tenants_get_the_same_however_much_they_send() {
    for max_batch in [1, 8] {
        let most = 100.0 * max_batch as f64;
        let senders: Vec<_> = (0..20_u32)
            .map(|at| Sender { rate: most * f64::from(1 + at % 5) / 10.0, ..NORMAL })
            .collect();
        let got = answered(&share(max_batch, &senders));
        let one = SECONDS * most / 20.0;
        let shares: Vec<_> = got.iter().map(|got| got / one).collect();
        assert!(shares.iter().all(|share| (0.9..1.1).contains(share)), "{max_batch}: {shares:?}");
    }
}

#[test]
fn what_counts_are_rows() {
    let large = Sender { rows: 8, rate: 200.0, ..NORMAL };
    let got = answered(&share(8, &[large, Sender { rate: 1600.0, ..NORMAL }]));
    assert!((0.9..1.1).contains(&(got[0] / got[1])), "{got:?}");
}

#[test]
fn a_tenant_that_comes_back_has_saved_nothing_up() {
    let busy = Sender { rate: 300.0, ..NORMAL };
    let first = Sender { until: 1.0, ..busy };
    let [busy_alone] = answered(&share(1, &[Sender { until: 30.0, ..busy }]))[..] else { panic!() };
    let again = Sender { from: 50.0, ..busy };
    let got = answered(&share(1, &[busy, first, again]));
    // 50 s nearly alone, and then half of the last 10.
    assert!(got[0] > busy_alone + 0.9 * (1900.0 + 500.0), "{got:?}");
    assert!((450.0..550.0).contains(&got[2]), "{got:?}");
}

#[test]
fn nobody_starves_by_the_priorities_of_another() {
    let urgent = Sender { rate: 300.0, priority: Priority::High, ..NORMAL };
    let low = Sender { rate: 300.0, priority: Priority::Low, ..NORMAL };
    let got = answered(&share(1, &[urgent, low]));
    assert!((0.9..1.1).contains(&(got[0] / got[1])), "{got:?}");
}

#[test]
fn what_nobody_asked_for_gets_what_is_left() {
    for (rate, most) in [(300.0, 60), (50.0, 3_600)] {
        let tenants = Sender { rate, ..NORMAL };
        let copies = Sender { weight: 0, rate: 300.0, ..NORMAL };
        let loads = share(1, &[tenants, copies]);
        assert!(loads[1].answered <= most, "{rate}: {}", loads[1].answered);
        assert!(loads[0].answered as f64 >= 0.9 * SECONDS * f64::min(rate, 100.0), "{rate}");
    }
}

#[test]
fn a_full_queue_takes_in_who_has_less_and_refuses_who_has_most() {
    let queue = queue(4, 1);
    let now = Instant::now();
    let push = |at: usize| {
        let asked = Ask { tenant: tenant(at, 1), ..ask(now, MINUTE, Priority::Normal) };
        queue.push(from(at, 1), Some(1), &asked, now)
    };
    let mut loud: Vec<_> = (0..4).map(|_| push(0).unwrap()).collect();
    assert!(push(0).is_err());
    let quiet = [push(1).unwrap(), push(1).unwrap()];
    assert!(push(1).is_err(), "both have the same");
    let refused: Vec<_> = loud.iter_mut().map(|reply| reply.try_recv().is_ok()).collect();
    assert_eq!(refused, [false, false, true, true]);
    assert_eq!((queue.len(), queue.shed().full), (4, 4));
    let order = [0; 4].map(|_| sender(&queue.take(now)[0]));
    assert_eq!(order, [0, 1, 0, 1]);
    drop(quiet);
}

#[test]
fn who_would_be_refused_is_told_so_unread_and_nobody_else() {
    let queue = queue(2, 1);
    let now = Instant::now();
    let asked = |at| Ask { tenant: tenant(at, 1), ..ask(now, MINUTE, Priority::Normal) };
    let push = |at: usize| queue.push(from(at, 1), Some(1), &asked(at), now);
    let _waiting = [push(0).unwrap(), push(0).unwrap()];
    assert!(!queue.refuses());
    assert!(push(0).is_err() && queue.refuses());
    assert!(queue.expect(&asked(1), now).is_ok());
    assert!(push(0).is_err());
    assert!(matches!(queue.expect(&asked(0), now), Err(Error::Overloaded)));
    assert_eq!(queue.shed().full, 3);
    queue.take(now);
    assert!(queue.expect(&asked(0), now).is_ok() && !queue.refuses());
}
