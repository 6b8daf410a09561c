//! What a gateway does when something else fails.

use std::time::Duration;

use domain::ErrorCode;
use gateway::Settings;
use store::{nodes, testing::ChaosProxy};

use crate::seed::{World, until};

const MODEL: &str = "identity/fp32.onnx";

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_answers_as_before_and_is_ready_only_then() {
    let world = World::new().await;
    let deployer = world.deployer().await;
    let node = world.node("a").await;
    until("a node without endpoints is ready", async || node.state.is_ready()).await;
    let version = world.version(MODEL).await;
    world.deploy("fraud", &version).await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;
    let (id, state) = (node.state.node_id(), node.state.clone());
    node.stop().await;
    assert!(!state.is_ready());
    assert!(nodes::list(&world.database).await.unwrap().iter().all(|node| node.id != id));

    // What is live needs no deployer to be served again.
    drop(deployer);
    let node = world.node("a").await;
    until("readiness", async || node.state.is_ready()).await;
    // Ready means that the first request after it is answered.
    assert_eq!(world.ask(&node, "fraud").await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_version_that_cannot_be_fetched_is_tried_again() {
    let world = World::new().await;
    let _deployer = world.deployer().await;
    let version = world.version(MODEL).await;
    world.deploy("fraud", &version).await;
    let node = world.node("a").await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;
    node.stop().await;

    let (there, away) = (world.folder.path().join("artifacts"), world.folder.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let node = world.node("empty").await;
    until("a node that has tried is ready", async || node.state.is_ready()).await;
    let refused = world.ask(&node, "fraud").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    std::fs::rename(&away, &there).unwrap();
    until("the answer", async || world.ask(&node, "fraud").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_a_node_answers_and_then_catches_up() {
    let world = World::new().await;
    let _deployer = world.deployer().await;
    let (proxy, url) = ChaosProxy::to(world.test.url()).await;
    let node = world.node_with("a", Settings::default(), &url).await;
    let first = world.version(MODEL).await;
    world.deploy("fraud", &first).await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;

    proxy.cut();
    let second = world.version(MODEL).await;
    world.deploy("fraud", &second).await;
    for _ in 0..300 {
        assert_eq!(world.ask(&node, "fraud").await, Ok(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(node.state.is_ready());
    proxy.restore();
    until("the new release", async || world.ask(&node, "fraud").await == Ok(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_report_was_lost_reports_again() {
    let world = World::new().await;
    let _deployer = world.deployer().await;
    let node = world.node("a").await;
    let version = world.version(MODEL).await;
    world.deploy("fraud", &version).await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;
    // As after a silence of ten minutes: the node is forgotten, with all it said.
    nodes::leave(&world.database, node.state.node_id()).await.unwrap();
    until("the report", async || world.held(&node).await == [version.id]).await;
}
