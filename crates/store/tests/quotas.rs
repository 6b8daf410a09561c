//! Quotas where they are kept: in the transaction that adds something, and in leases.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::{
    Action, Actor, AuditEvent, ErrorCode, NodeId, Problem, RequestId, Resource, SubjectId,
    quota::{Amount, Bucket, Holder, Key, Period, Tenant},
};
use futures_util::future::join_all;
use serde_json::json;
use store::{
    Change, Database, Error, models,
    quotas::{self, Known},
    testing::TestDatabase,
    usage,
};

const TEAM: &str = "00000000-0000-0000-0000-0000000000aa";

/// Ana, a service account, and a team.
async fn database() -> TestDatabase {
    let test = TestDatabase::fresh().await;
    test.execute(&format!(
        "INSERT INTO subjects (id, kind, name, skeleton, created_by, created_at) VALUES
           (gen_random_uuid(), 'user', 'ana', 'ana', 'user:admin', now()),
           (gen_random_uuid(), 'service', 'ci', 'ci', 'user:admin', now()),
           ('{TEAM}', 'team', 'fraud', 'fraud', 'user:admin', now())"
    ))
    .await;
    test
}

fn event(change: &'static str) -> AuditEvent {
    let resource = Resource::Platform;
    AuditEvent::new(
        Actor::user("ana"),
        Some(Action::Register),
        resource,
        change,
        RequestId::new(),
        json!({}),
    )
}

async fn limit(database: &Database, holder: &str, key: Key, amount: Option<Amount>) {
    let mut change = Change::begin(database).await.unwrap();
    let holder: Holder = holder.parse().unwrap();
    quotas::set(&mut change, &holder, key, amount, &Actor::user("admin")).await.unwrap();
    change.commit(&event("quota.changed")).await.unwrap();
}

/// Begins, however long the others keep the few connections.
async fn begin(database: &Database) -> Change {
    loop {
        match Change::begin(database).await {
            Err(error) if error.is_unreachable() => {}
            change => return change.unwrap(),
        }
    }
}

async fn make(database: &Database, name: &str, owner: &Actor) -> Result<(), Problem> {
    let mut change = begin(database).await;
    let name = name.parse().unwrap();
    let tags = BTreeMap::default();
    models::insert(&mut change, &name, "", (owner, None), &tags).await.unwrap();
    let done = change.commit(&event("model.registered")).await;
    done.map_err(|error| {
        assert!(matches!(error, Error::Refused(_)), "{error}");
        error.into()
    })
}

async fn known(database: &Database, subject: &str) -> Known {
    quotas::find(database, &subject.parse().unwrap()).await.unwrap().unwrap()
}

async fn used(database: &Database, subject: &str, key: Key) -> i64 {
    let known = known(database, subject).await;
    quotas::used(database, &known.subject, known.id, &[key]).await.unwrap()[key.as_str()]
}

fn at_most(limit: u64) -> Option<Amount> {
    Some(Amount::AtMost(limit))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_who_come_at_once_as_many_get_through_as_there_is_room_for() {
    let test = database().await;
    let database = test.database();
    make(database, "before", &Actor::user("ana")).await.unwrap();
    limit(database, "user:ana", Key::Models, at_most(10)).await;
    let tries = (0..200).map(|at| {
        let database = database.clone();
        tokio::spawn(async move { make(&database, &format!("m{at}"), &Actor::user("ana")).await })
    });
    let done: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    let (made, refused): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (9, 191));
    assert_eq!(used(database, "user:ana", Key::Models).await, 10);
    let refusal = refused.into_iter().next().unwrap().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::QuotaExceeded);
    let spent = refusal.spent().unwrap();
    assert_eq!((spent.subject.as_str(), spent.quota), ("user:ana", Key::Models));
    assert_eq!((spent.limit, spent.used, spent.resets_at), (10, 10, None));
    // Others are not meant.
    make(database, "theirs", &Actor::user("admin")).await.unwrap();
}

#[tokio::test]
async fn own_limits_come_before_those_of_the_kind_and_may_lie_below_what_is_used() {
    let test = database().await;
    let (database, ana) = (test.database(), Actor::user("ana"));
    limit(database, "default:user", Key::Models, at_most(1)).await;
    make(database, "one", &ana).await.unwrap();
    assert!(make(database, "two", &ana).await.is_err());
    limit(database, "user:ana", Key::Models, Some(Amount::Unlimited)).await;
    for name in ["two", "three"] {
        make(database, name, &ana).await.unwrap();
    }
    limit(database, "user:ana", Key::Models, at_most(2)).await;
    let refusal = make(database, "four", &ana).await.unwrap_err();
    let spent = refusal.spent().unwrap();
    assert_eq!((spent.limit, spent.used), (2, 3));
    assert_eq!(used(database, "user:ana", Key::Models).await, 3);
    // Deleted is not gone; purged is.
    test.execute("UPDATE models SET deleted_at = now() WHERE name IN ('one', 'two')").await;
    assert!(make(database, "four", &ana).await.is_err());
    test.execute("DELETE FROM models WHERE deleted_at IS NOT NULL").await;
    make(database, "four", &ana).await.unwrap();
    limit(database, "user:ana", Key::Models, None).await;
    assert_eq!(make(database, "five", &ana).await.unwrap_err().spent().unwrap().limit, 1);
    limit(database, "default:user", Key::Models, at_most(0)).await;
    limit(database, "default:service", Key::Models, at_most(5)).await;
    let ci = Actor { kind: domain::ActorKind::Service, name: "ci".into() };
    make(database, "six", &ci).await.unwrap();
}

#[tokio::test]
async fn what_is_made_in_a_team_counts_for_the_team_and_for_who_made_it() {
    let test = database().await;
    let (database, ana) = (test.database(), Actor::user("ana"));
    make(database, "theirs", &ana).await.unwrap();
    test.execute(&format!("UPDATE models SET team_id = '{TEAM}'")).await;
    assert_eq!(used(database, "team:fraud", Key::Models).await, 1);
    assert_eq!(used(database, "user:ana", Key::Models).await, 1);
    assert_eq!(used(database, "service:ci", Key::Models).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_lease_of_one_bucket_get_no_more_than_it_holds_and_what_flows_in() {
    let test = database().await;
    let (database, id) = (test.database(), known(test.database(), "user:ana").await.id);
    let bucket = Bucket::new(200, Some(50));
    let began = Instant::now();
    let workers = (0..5).map(|_| {
        let database = database.clone();
        tokio::spawn(async move {
            let mut granted = 0;
            while began.elapsed() < Duration::from_secs(1) {
                let lease = quotas::lease_tokens(&database, id, bucket, 7, 0).await.unwrap();
                granted += lease.granted;
            }
            granted
        })
    });
    let granted: u64 = join_all(workers).await.into_iter().map(Result::unwrap).sum();
    let most = 50.0 + began.elapsed().as_secs_f64() * 200.0;
    assert!(granted as f64 <= most, "{granted} of {most}");
    assert!(granted >= 200, "{granted} of {most}");
    // What is given back is there again, up to what the bucket holds.
    let all = quotas::lease_tokens(database, id, bucket, 50, 1_000).await.unwrap();
    assert_eq!(all.granted, 50);
    let none = quotas::lease_tokens(database, id, Bucket::new(1, Some(50)), 50, 0).await.unwrap();
    assert!(none.granted <= 10 && none.until_next <= Duration::from_secs(1), "{none:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_neither_fills_a_bucket_nor_holds_it_up() {
    let test = database().await;
    let (database, id) = (test.database(), known(test.database(), "user:ana").await.id);
    let bucket = Bucket::new(1, Some(10));
    assert_eq!(quotas::lease_tokens(database, id, bucket, 10, 0).await.unwrap().granted, 10);
    // The row was written by a clock that was a day ahead.
    test.execute("UPDATE quota_buckets SET at = at + interval '1 day'").await;
    assert_eq!(quotas::lease_tokens(database, id, bucket, 10, 0).await.unwrap().granted, 0);
    test.execute("UPDATE quota_buckets SET at = at - interval '3 seconds'").await;
    let granted = quotas::lease_tokens(database, id, bucket, 10, 0).await.unwrap().granted;
    assert!((3..10).contains(&granted), "{granted}");
}

#[tokio::test]
async fn a_count_begins_anew_with_its_period_and_takes_what_is_owed() {
    let test = database().await;
    let (database, id) = (test.database(), known(test.database(), "user:ana").await.id);
    let (key, start) = (Key::PredictionsPerMonth, Period::Month.start(database.now()));
    let lease = async |start, limit, want, owed| {
        let leased = quotas::lease_count(database, id, key, start, limit, want, owed);
        let leased = leased.await.unwrap();
        (leased.granted, leased.used)
    };
    assert_eq!(lease(start, 100, 60, 0).await, (60, 60));
    assert_eq!(lease(start, 100, 60, 0).await, (40, 100));
    assert_eq!(lease(start, 100, 60, 5).await, (0, 105));
    assert_eq!(lease(start, 100, 0, -15).await, (0, 90));
    assert_eq!(lease(start, 50, 10, 0).await, (0, 90));
    assert_eq!(quotas::counted(database, id, key, start).await.unwrap(), 90);
    let next = Period::Month.end(database.now());
    assert_eq!(lease(next, 100, 60, 0).await, (60, 60));
}

#[tokio::test]
async fn what_a_node_used_counts_once_however_often_it_is_told_and_has_its_price() {
    let test = database().await;
    let (database, node) = (test.database(), NodeId::new());
    let part = |requests| {
        let counts = usage::Counts { requests, rows: 2, bytes_in: 10, ..Default::default() };
        vec![usage::Used {
            subject: "user:ana".to_owned(),
            model: "m".to_owned(),
            endpoint: "e".to_owned(),
            team: Some(SubjectId(TEAM.parse().unwrap())),
            counts,
        }]
    };
    assert!(usage::flush(database, node, 1, &part(5)).await.unwrap());
    assert!(!usage::flush(database, node, 1, &part(5)).await.unwrap());
    assert!(usage::flush(database, node, 2, &part(7)).await.unwrap());
    assert!(usage::flush(database, NodeId::new(), 1, &part(1)).await.unwrap());
    let filter = usage::Filter { team: Some("fraud".to_owned()), ..Default::default() };
    let total = async |by: &[&str]| {
        let by: Vec<String> = by.iter().map(ToString::to_string).collect();
        usage::totals(database, &filter, &by, 0, 10).await.unwrap()
    };
    let found = total(&usage::COLUMNS).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].counts.requests, found[0].counts.rows), (13, 6));
    assert_eq!((found[0].cost.as_deref(), found[0].team.as_deref()), (None, Some("fraud")));

    let mut change = Change::begin(database).await.unwrap();
    let units = [("requests", "0.001"), ("bytes_in", "0.0000005")];
    let units = units.map(|(unit, price)| (unit.to_owned(), price.to_owned())).into();
    usage::set_prices(&mut change, "EUR", &units, &Actor::user("admin")).await.unwrap();
    change.commit(&event("prices.changed")).await.unwrap();
    assert_eq!(usage::prices(database).await.unwrap().unwrap().units, units);
    let found = total(&["subject"]).await;
    assert_eq!(found[0].cost.as_deref(), Some("0.013015"));
    assert_eq!((found[0].day, found[0].subject.as_deref()), (None, Some("user:ana")));
}

#[tokio::test]
async fn accounts_share_by_their_home_team_unless_a_weight_is_theirs() {
    let test = database().await;
    let database = test.database();
    let tenants = async || -> BTreeMap<SubjectId, Tenant> {
        quotas::tenants(database).await.unwrap().into_iter().collect()
    };
    let (ana, ci) = (known(database, "user:ana").await.id, known(database, "service:ci").await.id);
    let team: SubjectId = TEAM.parse().unwrap();
    test.execute("INSERT INTO accounts (id) SELECT id FROM subjects WHERE kind <> 'team' ON CONFLICT DO NOTHING")
        .await;
    assert_eq!(tenants().await, BTreeMap::new(), "all are their own, at the weight of 1");

    test.execute(&format!(
        "UPDATE accounts SET home_team = '{TEAM}' WHERE id IN ('{ana}', '{ci}')"
    ))
    .await;
    limit(database, "default:user", Key::Weight, Some(Amount::AtMost(9))).await;
    let found = tenants().await;
    assert_eq!(
        (found.get(&ana), found.get(&ci)),
        (Some(&Tenant::new(team)), Some(&Tenant::new(team)))
    );

    limit(database, "team:fraud", Key::Weight, Some(Amount::AtMost(3))).await;
    limit(database, "service:ci", Key::Weight, Some(Amount::AtMost(2))).await;
    let found = tenants().await;
    assert_eq!(found.get(&ana), Some(&Tenant { id: team, weight: 3 }));
    assert_eq!(found.get(&ci), Some(&Tenant { id: ci, weight: 2 }));

    test.execute("UPDATE accounts SET home_team = NULL").await;
    limit(database, "service:ci", Key::Weight, Some(Amount::AtMost(1))).await;
    let found = tenants().await;
    assert_eq!(found.get(&ana), Some(&Tenant { id: ana, weight: 9 }), "by its kind");
    assert_eq!(found.get(&ci), None);
}
