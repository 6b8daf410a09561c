//! Releases end when, and only when, they should.

mod seed;

use chrono::TimeDelta;
use deployer::reconcile::run_once;
use domain::{ReleaseState, ReplicaState};

use seed::World;
use store::nodes;

#[tokio::test]
async fn a_release_completes_once_every_live_node_is_ready() {
    let world = World::new().await;
    let version = world.ready_version(b"1").await;
    world.deploy("fraud", &version).await;
    let (one, other) = (world.node().await, world.node().await);
    world.report(one, version.id, ReplicaState::Ready).await;
    world.report(other, version.id, ReplicaState::Starting).await;

    let wake_at = run_once(&world.state).await.unwrap();
    assert_eq!(wake_at, Some(world.release("fraud", 1).await.created_at + TimeDelta::seconds(120)));
    assert_eq!(world.endpoint("fraud").await.live_release, None);

    world.report(other, version.id, ReplicaState::Ready).await;
    assert_eq!(run_once(&world.state).await.unwrap(), None);
    assert_eq!(world.endpoint("fraud").await.live_release, Some(1));
    assert_eq!(world.release("fraud", 1).await.state, ReleaseState::Completed);
}

#[tokio::test]
async fn a_node_that_died_is_not_waited_for() {
    let world = World::new().await;
    let version = world.ready_version(b"1").await;
    world.deploy("fraud", &version).await;
    let dying = world.node().await;
    world.report(dying, version.id, ReplicaState::Starting).await;
    world.clock.advance(TimeDelta::seconds(11));
    let alive = world.node().await;
    world.report(alive, version.id, ReplicaState::Ready).await;
    run_once(&world.state).await.unwrap();
    assert_eq!(world.endpoint("fraud").await.live_release, Some(1));
}

#[tokio::test]
async fn a_failed_load_leaves_the_release_before_live() {
    let world = World::new().await;
    let (good, bad) = (world.ready_version(b"1").await, world.ready_version(b"2").await);
    let node = world.node().await;
    world.deploy("fraud", &good).await;
    world.report(node, good.id, ReplicaState::Ready).await;
    run_once(&world.state).await.unwrap();

    world.deploy("fraud", &bad).await;
    world.report(node, bad.id, ReplicaState::Failed).await;
    run_once(&world.state).await.unwrap();

    let endpoint = world.endpoint("fraud").await;
    assert_eq!((endpoint.live_release, endpoint.target_release), (Some(1), Some(1)));
    let failed = world.release("fraud", 2).await;
    assert_eq!(
        (failed.state, failed.outcome.as_deref()),
        (ReleaseState::Failed, Some("no such operator"))
    );
}

#[tokio::test]
async fn a_release_that_nobody_can_serve_fails_at_its_deadline() {
    let world = World::new().await;
    let version = world.ready_version(b"1").await;
    world.deploy("fraud", &version).await;
    run_once(&world.state).await.unwrap();
    assert_eq!(world.release("fraud", 1).await.state, ReleaseState::Progressing);
    world.clock.advance(TimeDelta::seconds(120));
    run_once(&world.state).await.unwrap();
    let failed = world.release("fraud", 1).await;
    assert_eq!(failed.outcome.as_deref(), Some("not ready after 120 s: no gateway is running"));
}

#[tokio::test]
async fn many_deployers_at_once_end_a_release_once() {
    let world = World::new().await;
    let version = world.ready_version(b"1").await;
    world.deploy("fraud", &version).await;
    let node = world.node().await;
    world.report(node, version.id, ReplicaState::Ready).await;
    let looks = (0..5).map(|_| {
        let state = world.state.clone();
        tokio::spawn(async move { run_once(&state).await.unwrap() })
    });
    for look in looks.collect::<Vec<_>>() {
        look.await.unwrap();
    }
    let recorded = world.recorded("release.completed").await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].actor, "system:reconciler");
    assert_eq!(recorded[0].resource, "fraud");
}

#[tokio::test]
async fn nodes_that_were_silent_for_ten_minutes_are_forgotten() {
    let world = World::new().await;
    let (old, database) = (world.node().await, &world.state.database);
    let version = world.ready_version(b"1").await;
    world.report(old, version.id, ReplicaState::Ready).await;
    world.clock.advance(TimeDelta::minutes(10));
    run_once(&world.state).await.unwrap();
    assert_eq!(nodes::reported(database, old).await.unwrap().len(), 1);
    world.clock.advance(TimeDelta::seconds(11));
    run_once(&world.state).await.unwrap();
    assert_eq!(nodes::reported(database, old).await.unwrap().len(), 0);
}
