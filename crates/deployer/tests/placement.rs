//! Releases lie where there is room, and move when their node is gone.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]

mod seed;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use deployer::reconcile::run_once;
use domain::{NodeId, ReleaseState, ReplicaState, access::Visible};
use seed::World;
use serde_json::json;
use store::{placements, serving};

/// Which endpoints a node is to hold.
async fn held(world: &World, node: NodeId) -> Vec<String> {
    let replicas = placements::replicas(&world.state.database, &Visible::everything()).await;
    let its = replicas.unwrap().into_iter().filter(|replica| replica.node.0 == node);
    its.map(|replica| replica.endpoint.to_string()).collect()
}

/// Why endpoints wait.
async fn waiting(world: &World) -> BTreeMap<String, (i32, String)> {
    let waiting = placements::waiting(&world.state.database, &Visible::everything()).await;
    let waiting = waiting.unwrap().into_iter();
    waiting.map(|it| (it.endpoint.to_string(), (it.missing, it.reason))).collect()
}

#[tokio::test]
async fn a_release_is_placed_waits_and_moves_and_completes_where_it_is() {
    let world = World::new().await;
    // Four bytes, one byte.
    let (large, small) = (world.ready_version(b"four").await, world.ready_version(b"1").await);
    let (one, other) = (NodeId::new(), NodeId::new());
    let beat = async || {
        world.beat(one, 6).await;
        world.beat(other, 5).await;
    };
    beat().await;
    world.deploy_with("large", &large, json!({"nodes": 1})).await;
    assert_eq!(waiting(&world).await["large"].1, "no deployer has placed it yet");
    run_once(&world.state).await.unwrap();
    assert_eq!(held(&world, one).await, ["large"]);
    assert!(held(&world, other).await.is_empty() && waiting(&world).await.is_empty());
    // The other node is not asked.
    world.report(one, large.id, ReplicaState::Ready).await;
    let look_at = run_once(&world.state).await.unwrap();
    assert_eq!(world.release("large", 1).await.state, ReleaseState::Completed);
    // By then somebody who holds it may be gone.
    assert_eq!(look_at, Some(world.state.database.now() + TimeDelta::seconds(10)));

    world.deploy_with("small", &small, json!({"nodes": 2})).await;
    run_once(&world.state).await.unwrap();
    assert_eq!(held(&world, one).await, ["large", "small"]);
    assert_eq!(held(&world, other).await, ["small"]);
    for node in [one, other] {
        world.report(node, small.id, ReplicaState::Ready).await;
    }
    run_once(&world.state).await.unwrap();
    let database = &world.state.database;
    let routes = serving::routes(database, other).await.unwrap();
    let route = |endpoint: &str| {
        let mut routes = routes.iter();
        routes.find(|route| route.endpoint.to_string() == endpoint).unwrap()
    };
    assert!(route("small").is_here && !route("large").is_here);
    // The first node says nothing of where it is reached.
    assert_eq!(route("large").elsewhere.as_ref().unwrap().versions, [1]);

    // It falls silent: the other one has room for the large one beside the small one.
    world.clock.advance(TimeDelta::seconds(11));
    world.beat(other, 5).await;
    run_once(&world.state).await.unwrap();
    assert_eq!(held(&world, other).await, ["large", "small"]);
    let reason = "1 node is alive, and it asks for 2";
    assert_eq!(
        waiting(&world).await,
        BTreeMap::from([("small".to_owned(), (1, reason.to_owned()))])
    );
    // What it held elsewhere it does not hold again; what waited for it, it does.
    beat().await;
    run_once(&world.state).await.unwrap();
    assert_eq!(held(&world, one).await, ["small"]);
    assert!(waiting(&world).await.is_empty());

    // A second release that fits nowhere fails at its deadline, and says why.
    let huge = world.ready_version(b"seven b").await;
    world.deploy_with("large", &huge, json!({"nodes": 1})).await;
    run_once(&world.state).await.unwrap();
    let why = "it takes 7 B, and the most that is free is 5 B of 6 B, on `host`";
    assert_eq!(waiting(&world).await["large"], (1, why.to_owned()));
    world.clock.advance(TimeDelta::seconds(120));
    beat().await;
    run_once(&world.state).await.unwrap();
    let outcome = world.release("large", 2).await.outcome.unwrap();
    assert_eq!(outcome, format!("not ready after 120 s: 1 of 1 replicas are not ready: {why}"));
    run_once(&world.state).await.unwrap();
    assert!(waiting(&world).await.is_empty());
}

#[tokio::test]
async fn deployers_at_once_place_a_release_once() {
    let world = World::new().await;
    let version = world.ready_version(b"1").await;
    let nodes = [world.node().await, world.node().await, world.node().await];
    world.deploy_with("fraud", &version, json!({"nodes": 2})).await;
    let looks = (0..4).map(|_| {
        let state = world.state.clone();
        tokio::spawn(async move { run_once(&state).await.unwrap() })
    });
    for look in looks.collect::<Vec<_>>() {
        look.await.unwrap();
    }
    let mut count = 0;
    for node in nodes {
        count += held(&world, node).await.len();
    }
    assert_eq!(count, 2);
}
