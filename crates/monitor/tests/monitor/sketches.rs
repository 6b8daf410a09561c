//! Sketches by the minute.

use std::sync::Arc;

use chrono::TimeDelta;
use domain::{NodeId, SystemClock, capture::Settings};
use monitor::sketch::{self, Column};
use store::{
    Database,
    capture::sketches::{self as store_sketches, Part, Sketch},
    testing::ChaosProxy,
};

use crate::world::{NEVER, SOON, World, offer, offer_at, source, text, then, until};

async fn written(world: &World) -> Vec<Sketch> {
    let (since, until) = (then() - TimeDelta::days(400), then() + TimeDelta::days(400));
    store_sketches::list(&world.database, world.endpoint(), since, until).await.unwrap()
}

fn income(sketches: &[Sketch]) -> (u64, Option<f64>, Option<(f64, f64)>) {
    let found = sketches.iter().find(|it| it.key.name == "income").unwrap();
    let Column::Numeric(column) = Column::decode(&found.bytes).unwrap() else { unreachable!() };
    (column.count, column.mean(), column.range())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_add_up_to_one_minute() {
    let world = World::new().await;
    let source = source(Settings::default());
    let (one, other) = (world.watcher(NEVER).await, world.watcher(NEVER).await);
    for at in 0..50 {
        offer(&one, &source, &format!("a{at}"), "c-1", 10.0);
        offer(&other, &source, &format!("b{at}"), "c-2", 30.0);
    }
    // One second later the next minute begins.
    offer_at(&one, &source, "late", "c-1", 99.0, then() + TimeDelta::seconds(53));
    let (first, second) = tokio::join!(one.stop(), other.stop());
    for registry in [&first, &second] {
        assert!(text(registry).contains(r#"rows_total{endpoint="fraud",outcome="sketched"} 5"#));
    }
    let sketches = written(&world).await;
    let (minute, next): (Vec<_>, Vec<_>) =
        sketches.into_iter().partition(|it| it.key.minute < then());
    assert_eq!(minute.len(), 3, "two inputs and an output: {minute:?}");
    assert!(minute.iter().all(|it| it.rows == 100));
    assert_eq!(income(&minute), (100, Some(20.0), Some((10.0, 30.0))));
    assert_eq!(income(&next), (1, Some(99.0), Some((99.0, 99.0))));
    let who = minute.iter().find(|it| it.key.name == "customer").unwrap();
    let Column::Text(who) = Column::decode(&who.bytes).unwrap() else { unreachable!() };
    assert_eq!(who.frequent(9), [("c-1".to_owned(), 50), ("c-2".to_owned(), 50)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_had_written_stays_and_counts_once() {
    let world = World::new().await;
    let source = source(Settings::default());
    let first = world.watcher(SOON).await;
    offer(&first, &source, "a", "c-1", 10.0);
    until("it is written", async || !written(&world).await.is_empty()).await;
    first.kill();
    let lost = world.watcher(NEVER).await;
    offer(&lost, &source, "b", "c-1", 77.0);
    lost.kill();
    let next = world.watcher(NEVER).await;
    offer(&next, &source, "c", "c-1", 20.0);
    next.stop().await;
    assert_eq!(income(&written(&world).await), (2, Some(15.0), Some((10.0, 20.0))));
}

#[tokio::test]
async fn a_part_that_is_sent_twice_counts_once() {
    let world = World::new().await;
    let source = source(Settings::default());
    let running = world.watcher(NEVER).await;
    offer(&running, &source, "a", "c-1", 10.0);
    running.stop().await;
    let part = Part { sketches: written(&world).await, failures: Vec::new() };
    let node = NodeId::new();
    let add = async |epoch| {
        store_sketches::add(&world.database, node, epoch, &part, sketch::merge).await.unwrap()
    };
    assert_eq!((add(1).await, add(1).await, add(2).await), (Some(0), None, Some(0)));
    assert_eq!(income(&written(&world).await).0, 3);
    // What no version of ours wrote does not break what is there.
    let odd = part.sketches.iter().map(|it| Sketch { bytes: vec![9, 9], ..it.clone() });
    let odd = Part { sketches: odd.collect(), failures: Vec::new() };
    let added = store_sketches::add(&world.database, node, 3, &odd, sketch::merge).await.unwrap();
    assert_eq!(added, Some(3));
    assert_eq!(income(&written(&world).await).0, 3);
    // An endpoint takes its sketches along, and what comes late for it is no error.
    world.test.execute("DELETE FROM endpoints").await;
    assert_eq!(add(4).await, Some(0));
    assert!(written(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_sketches_wait() {
    let world = World::new().await;
    let (proxy, url) = ChaosProxy::to(world.test.url()).await;
    let database = Database::connect(&url, 2, Arc::new(SystemClock)).await.unwrap();
    let running = world.watcher_of(database, SOON).await;
    let source = source(Settings::default());
    offer(&running, &source, "a", "c-1", 10.0);
    until("it is written", async || !written(&world).await.is_empty()).await;
    proxy.cut();
    for at in 0..5 {
        offer(&running, &source, &format!("b{at}"), "c-1", 20.0);
        tokio::time::sleep(2 * SOON).await;
    }
    assert_eq!(income(&written(&world).await).0, 1);
    proxy.restore();
    until("it has caught up", async || income(&written(&world).await).0 == 6).await;
    running.stop().await;
    assert_eq!(income(&written(&world).await).0, 6);
}

#[tokio::test]
async fn sketches_go_after_their_endpoints_retention() {
    let world = World::new().await;
    let source = source(Settings::default());
    let running = world.watcher(NEVER).await;
    let now = world.database.now();
    for (at, days) in [40, 20, 0].into_iter().enumerate() {
        let at = (format!("i{at}"), now - TimeDelta::days(days));
        offer_at(&running, &source, &at.0, "c-1", 1.0, at.1);
    }
    running.stop().await;
    assert_eq!(written(&world).await.len(), 9);
    let permit = world.permit();
    monitor::expire(&world.state(), &permit).await.unwrap();
    assert_eq!(written(&world).await.len(), 6, "unless the owner says, thirty days");
    world
        .test
        .execute(
            "INSERT INTO endpoint_capture (endpoint_id, revision, rate, sketches, masks, retention_seconds, set_by, set_at)
             SELECT id, 1, 0, true, '[]', 86400, 'user:ana', now() FROM endpoints",
        )
        .await;
    monitor::expire(&world.state(), &permit).await.unwrap();
    assert_eq!(written(&world).await.len(), 3);
}
