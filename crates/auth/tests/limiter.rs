//! What flows: several processes that share a limit, and what they do without the database.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use auth::{Caller, Identity, Limiter, Offline, WhenOffline};
use domain::{
    Actor, ErrorCode, Problem, RequestId, SystemClock,
    quota::{Key, Tenant},
};
use store::{
    Database, quotas,
    testing::{ChaosProxy, TestDatabase},
};

/// As long as the tests measure.
const A_WHILE: Duration = Duration::from_secs(1);

async fn limited(limits: &[(&str, u64)]) -> TestDatabase {
    let test = TestDatabase::fresh().await;
    for (key, value) in limits {
        test.execute(&format!(
            "INSERT INTO quotas (subject_id, key, value, set_by, set_at)
             SELECT id, '{key}', {value}, 'user:admin', now() FROM subjects WHERE name = 'admin'"
        ))
        .await;
    }
    test
}

async fn limiter(database: Database, offline: Offline) -> Arc<Limiter> {
    let limiter = Arc::new(Limiter::new(database, offline));
    limiter.refresh().await.unwrap();
    limiter
}

fn admin() -> Actor {
    Actor::user("admin")
}

/// How many of those who ask without a pause get through in that time.
async fn pressed(limiter: &Arc<Limiter>, clients: usize, time: Duration) -> u64 {
    let began = Instant::now();
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let limiter = Arc::clone(limiter);
            tokio::spawn(async move {
                let mut through = 0;
                while began.elapsed() < time {
                    match limiter.admit(&admin()).await {
                        Ok(()) => through += 1,
                        Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
                through
            })
        })
        .collect();
    let mut through = 0;
    for client in clients {
        through += client.await.unwrap();
    }
    through
}

fn spent(refusal: &Problem) -> (u64, u64) {
    let spent = refusal.spent().unwrap();
    (spent.limit, spent.used)
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_rate_and_together_never_let_through_more() {
    let test = limited(&[("requests_per_second", 200), ("burst", 20)]).await;
    let (one, other) = (
        limiter(test.database().clone(), Offline::default()).await,
        limiter(test.database().clone(), Offline::default()).await,
    );
    let began = Instant::now();
    let (a, b) = tokio::join!(pressed(&one, 20, A_WHILE), pressed(&other, 20, A_WHILE));
    let most = 20.0 + 200.0 * began.elapsed().as_secs_f64();
    assert!((a + b) as f64 <= most, "{a} and {b} of {most}");
    assert!(a + b >= 100, "{a} and {b} of {most}");
    let refusal = loop {
        if let Err(refusal) = one.admit(&admin()).await {
            break refusal;
        }
    };
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    let pace = refusal.spent().unwrap().pace.unwrap();
    assert_eq!((pace.burst, pace.seconds()), (20, 1));
    // Others are not limited.
    one.admit(&Actor::user("ana")).await.unwrap();
    // A limit that is taken away is gone with the next look.
    test.execute("DELETE FROM quotas").await;
    one.refresh().await.unwrap();
    for _ in 0..1_000 {
        one.admit(&admin()).await.unwrap();
    }
}

#[tokio::test]
async fn a_burst_gets_through_at_once_and_nothing_at_a_rate_of_nought() {
    let test = limited(&[("requests_per_second", 1), ("burst", 50)]).await;
    let limiter = limiter(test.database().clone(), Offline::default()).await;
    let admin_calls = admin();
    let all: Vec<_> = (0..60).map(|_| limiter.admit(&admin_calls)).map(Box::pin).collect();
    let through = futures_util::future::join_all(all).await;
    let through = through.into_iter().filter(Result::is_ok).count();
    assert!((50..=52).contains(&through), "{through}");
    test.execute("UPDATE quotas SET value = 0").await;
    limiter.refresh().await.unwrap();
    assert_eq!(limiter.admit(&admin()).await.unwrap_err().code, ErrorCode::RateLimited);
}

#[tokio::test]
async fn a_months_predictions_are_shared_and_what_is_not_used_is_given_back() {
    let test = limited(&[("predictions_per_month", 1_000)]).await;
    let (one, other) = (
        limiter(test.database().clone(), Offline::default()).await,
        limiter(test.database().clone(), Offline::default()).await,
    );
    let count = async |limiter: &Limiter, amount| {
        limiter.count(Key::PredictionsPerMonth, &admin(), None, amount).await
    };
    for _ in 0..3 {
        count(&one, 1).await.unwrap();
    }
    count(&other, 990).await.unwrap();
    // Seven are left; the other process cannot have those that the first one holds.
    let refusal = count(&other, 10).await.unwrap_err();
    assert_eq!((refusal.code, spent(&refusal).0), (ErrorCode::QuotaExceeded, 1_000));
    assert!(refusal.spent().unwrap().resets_at.is_some());
    one.close().await;
    other.close().await;
    let fresh = limiter(test.database().clone(), Offline::default()).await;
    count(&fresh, 7).await.unwrap();
    let refusal = count(&fresh, 1).await.unwrap_err();
    assert_eq!(spent(&refusal), (1_000, 1_000));
    count(&fresh, 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_leases_go_on_at_their_last_rate_and_are_then_refused_or_not() {
    let test =
        limited(&[("requests_per_second", 100), ("burst", 10), ("predictions_per_month", 100)])
            .await;
    let (proxy, url) = ChaosProxy::to(test.url()).await;
    let database = async || Database::connect(&url, 3, Arc::new(SystemClock)).await.unwrap();
    let grace = Duration::from_secs(4);
    let refusing = limiter(database().await, Offline { grace, then: WhenOffline::Refuse }).await;
    let allowing = limiter(database().await, Offline { grace, then: WhenOffline::Allow }).await;
    let before = pressed(&refusing, 4, A_WHILE).await;
    assert!(before <= 10 + 110, "{before}");
    // The other one has just used up what there was.
    while let Err(refusal) = allowing.admit(&admin()).await {
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    proxy.cut();
    assert!(refusing.refresh().await.is_err());
    let lost = Instant::now();
    let alone = pressed(&refusing, 4, A_WHILE).await;
    assert!((1..=200).contains(&alone), "{alone}");
    let count =
        async |limiter: &Limiter| limiter.count(Key::PredictionsPerMonth, &admin(), None, 5).await;
    count(&refusing).await.unwrap();
    assert!(lost.elapsed() < grace, "the machine is too slow for this test");
    assert!(allowing.refresh().await.is_err());
    tokio::time::sleep(grace + Duration::from_millis(100)).await;
    assert_eq!(refusing.admit(&admin()).await.unwrap_err().code, ErrorCode::Unavailable);
    for _ in 0..1_000 {
        allowing.admit(&admin()).await.unwrap();
    }

    proxy.restore();
    while refusing.refresh().await.is_err() {}
    // What was used meanwhile is counted now.
    count(&refusing).await.unwrap();
    refusing.close().await;
    let used: i64 = quota_count(&test).await;
    assert_eq!(used, 10);
}

async fn quota_count(test: &TestDatabase) -> i64 {
    let admin: domain::access::Subject = "user:admin".parse().unwrap();
    let known = store::quotas::find(test.database(), &admin);
    let id = known.await.unwrap().unwrap().id;
    let start = domain::quota::Period::Month.start(test.database().now());
    let counted = store::quotas::counted(test.database(), id, Key::PredictionsPerMonth, start);
    i64::try_from(counted.await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_callers_share_is_what_was_set_for_it() {
    let test = limited(&[]).await;
    let limiter = limiter(test.database().clone(), Offline::default()).await;
    let admin_of = "user:admin".parse().unwrap();
    let id = quotas::find(test.database(), &admin_of).await.unwrap().unwrap().id;
    let caller = |subject| Caller::new(Identity::of(admin(), subject), None, RequestId::new());
    assert_eq!(limiter.tenant(&caller(Some(id))), Tenant::new(id));
    assert_eq!(limiter.tenant(&caller(None)), Tenant::default());
    test.execute(
        "INSERT INTO quotas (subject_id, key, value, set_by, set_at)
         SELECT id, 'weight', 3, 'user:admin', now() FROM subjects WHERE name = 'admin'",
    )
    .await;
    limiter.refresh().await.unwrap();
    assert_eq!(limiter.tenant(&caller(Some(id))), Tenant { id, weight: 3 });
}
