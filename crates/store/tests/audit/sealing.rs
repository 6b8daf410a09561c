//! Every event is sealed once, in an order that nothing comes in before.

use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{Change, audit, testing::TestDatabase};

use super::{event, record, seal, verify};

#[tokio::test]
async fn an_event_of_a_transaction_that_ends_late_is_sealed_at_its_place() {
    let test = TestDatabase::fresh().await;
    let database = test.database();
    let mut slow = Change::begin(database).await.unwrap();
    slow.record(&event(1)).await.unwrap();
    record(database, 3).await;
    // What began after it must wait, since it may still come in before them.
    assert_eq!(audit::seal(database).await.unwrap().unwrap().link.total, 0);
    assert_eq!(verify(&test, &[]).await.unsealed, 3);
    slow.commit(&event(2)).await.unwrap();
    assert_eq!(seal(database).await.total, 5);
    let found = verify(&test, &[]).await;
    assert_eq!((found.first_bad, found.checked, found.unsealed), (None, 5, 0));
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_leaves_no_gap_that_matters() {
    let test = TestDatabase::fresh().await;
    let mut dropped = Change::begin(test.database()).await.unwrap();
    dropped.record(&event(1)).await.unwrap();
    drop(dropped);
    record(test.database(), 2).await;
    assert_eq!(seal(test.database()).await.total, 2);
    assert_eq!(verify(&test, &[]).await.first_bad, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_seal_at_once_seal_each_event_once() {
    const WRITERS: usize = 3;
    const EACH: usize = 100;
    let test = TestDatabase::fresh().await;
    let writers = (0..WRITERS).map(|_| {
        let database = test.database().clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                record(&database, 1).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let (done, _) = tokio::sync::watch::channel(false);
    let sealers = (0..2).map(|_| {
        let (database, done) = (test.database().clone(), done.subscribe());
        tokio::spawn(async move {
            while !*done.borrow() {
                audit::seal(&database).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    let sealers: Vec<_> = sealers.collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.send(true).unwrap();
    for sealer in sealers {
        sealer.await.unwrap();
    }
    let link = seal(test.database()).await;
    assert_eq!(link.total, (WRITERS * EACH) as i64);
    let found = verify(&test, &[link]).await;
    assert_eq!((found.first_bad, found.checked, found.unsealed), (None, link.total, 0));
}

/// A sealer that is killed holds its lock until the server notices, and its work is undone.
#[tokio::test]
async fn a_sealer_that_died_on_the_way_changed_nothing() {
    let test = TestDatabase::fresh().await;
    record(test.database(), 4).await;
    let mut dying = PgConnection::connect(test.url()).await.unwrap();
    let half = "BEGIN; SELECT pg_advisory_xact_lock(x'0061756469740001'::bigint);
                INSERT INTO audit_seals VALUES (1, sha256('x'), '{1}', sha256('x'), '3', 1, 1, now(), sha256('x'))";
    dying.execute(half).await.unwrap();
    assert!(audit::seal(test.database()).await.unwrap().is_none());
    drop(dying);
    while audit::seal(test.database()).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    seal(test.database()).await;
    let found = verify(&test, &[]).await;
    assert_eq!((found.first_bad, found.checked), (None, 4));
}

#[tokio::test]
async fn more_than_fits_into_one_seal_is_verified_in_stretches() {
    let test = TestDatabase::fresh().await;
    test.execute(
        "INSERT INTO audit_events (at, actor, action, resource_kind, resource, change, request_id, detail)
         SELECT now(), 'user:ana', 'edit', 'model', 'm' || n, 'model.edited', n::text, jsonb_build_object('n', n)
         FROM generate_series(1, 9500) n",
    )
    .await;
    let link = seal(test.database()).await;
    assert_eq!((link.seal, link.total), (10, 9500));
    let mut heard = Vec::new();
    let found = audit::verify(test.database(), &[], |checked, of| heard.push((checked, of))).await;
    assert_eq!(found.unwrap().checked, 9500);
    assert_eq!(heard, [(4000, 9500), (8000, 9500), (9500, 9500)]);
    test.execute("DELETE FROM audit_events WHERE id = 8001").await;
    let fault = verify(&test, &[]).await.first_bad.unwrap();
    assert_eq!((fault.seal, fault.event), (9, Some(8001)));
    // Even where so many seals are gone that a look ahead sees none.
    test.execute("DELETE FROM audit_seals WHERE number BETWEEN 2 AND 9; UPDATE audit_seals SET number = 2000 WHERE number = 10")
        .await;
    let fault = verify(&test, &[]).await.first_bad.unwrap();
    assert_eq!((fault.seal, fault.event), (2, None));
}
