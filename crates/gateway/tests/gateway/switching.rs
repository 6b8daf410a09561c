//! Traffic moves when a release completes, and no request notices.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use chrono::TimeDelta;
use domain::{ErrorCode, NodeId, ReleaseState, ReplicaState};
use store::nodes;

use crate::seed::{World, until};

const MODEL: &str = "identity/fp32.onnx";

#[tokio::test(flavor = "multi_thread")]
async fn traffic_moves_from_version_to_version_without_a_failed_request() {
    let (world, stop) = (Arc::new(World::new().await), Arc::new(AtomicBool::new(false)));
    let (_deployer, node) = (world.deployer().await, Arc::new(world.node("a").await));
    let first = world.version(MODEL).await;
    world.deploy("fraud", &first).await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;

    let (newest, answers) = (Arc::new(AtomicU64::new(1)), Arc::<AtomicU64>::default());
    let hammers: Vec<_> = (0..8)
        .map(|_| {
            let (world, node, stop, newest) =
                (Arc::clone(&world), Arc::clone(&node), Arc::clone(&stop), Arc::clone(&newest));
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    let number = world.ask(&node, "fraud").await.unwrap();
                    newest.fetch_max(number as u64, Relaxed);
                    answers.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let mut last = first;
    for number in 2..=4 {
        last = world.version(MODEL).await;
        assert_eq!(last.number, number);
        world.deploy("fraud", &last).await;
        until("the switch", async || newest.load(Relaxed) == number as u64).await;
        // A version is asked for a while before the next one comes.
        let before = answers.load(Relaxed);
        until("answers", async || answers.load(Relaxed) > before + 300).await;
    }
    until("the old versions' end", async || world.held(&node).await == [last.id]).await;
    stop.store(true, Relaxed);
    for hammer in hammers {
        hammer.await.unwrap();
    }
    assert_eq!(world.ask(&node, "fraud").await, Ok(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_be_loaded_leaves_the_one_before_answering() {
    let world = World::new().await;
    let (_deployer, node) = (world.deployer().await, world.node("a").await);
    let good = world.version(MODEL).await;
    world.deploy("fraud", &good).await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;

    let bad = world.version("unknown_operator.onnx").await;
    world.deploy("fraud", &bad).await;
    let state = async || world.release("fraud", 2).await.state;
    until("the release's failure", async || state().await == ReleaseState::Failed).await;
    let outcome = world.release("fraud", 2).await.outcome.unwrap();
    assert!(outcome.contains("NoSuchOp"), "{outcome}");
    assert_eq!(world.ask(&node, "fraud").await, Ok(1));
    until("nothing but the good one", async || world.held(&node).await == [good.id]).await;

    // The next release is not held back by what failed before.
    let better = world.version(MODEL).await;
    world.deploy("fraud", &better).await;
    until("the next one", async || world.ask(&node, "fraud").await == Ok(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_every_node_and_not_for_those_that_left() {
    let world = World::new().await;
    let (_deployer, one, other) =
        (world.deployer().await, world.node("a").await, world.node("b").await);
    let third = NodeId::new();
    let slow = nodes::About::host("slow");
    nodes::beat(&world.database, third, &slow, TimeDelta::minutes(10)).await.unwrap();
    let version = world.version(MODEL).await;
    world.deploy("fraud", &version).await;
    for node in [&one, &other] {
        let ready = async || {
            let reported = nodes::reported(&world.database, node.state.node_id()).await.unwrap();
            reported.get(&version.id).is_some_and(|replica| replica.state == ReplicaState::Ready)
        };
        until("the node's replica", ready).await;
        let refused = world.ask(node, "fraud").await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unavailable, "traffic waits for the third");
    }
    assert_eq!(world.endpoint("fraud").await.live_release, None);

    nodes::leave(&world.database, third).await.unwrap();
    until("both nodes' answers", async || {
        world.ask(&one, "fraud").await.is_ok() && world.ask(&other, "fraud").await.is_ok()
    })
    .await;
    assert_eq!(world.endpoint("fraud").await.live_release, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_release_answers_by_its_weights() {
    let world = World::new().await;
    let (_deployer, node) = (world.deployer().await, world.node("a").await);
    let (one, two) = (world.version(MODEL).await, world.version(MODEL).await);
    world.deploy_split("fraud", &[(&one, 80), (&two, 20)]).await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;
    let mut counts = [0; 3];
    for _ in 0..200 {
        counts[world.ask(&node, "fraud").await.unwrap() as usize] += 1;
    }
    assert_eq!(counts, [0, 160, 40]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_deleted_ends_and_another_of_its_name_is_another() {
    let world = World::new().await;
    let (_deployer, node) = (world.deployer().await, world.node("a").await);
    let version = world.version(MODEL).await;
    world.deploy("fraud", &version).await;
    until("the first answer", async || world.ask(&node, "fraud").await.is_ok()).await;
    assert_eq!(
        world.ask(&node, "fraud.dev").await.unwrap_err().message,
        "there is no endpoint `fraud.dev`"
    );

    world.delete("fraud").await;
    let bad = world.version("unknown_operator.onnx").await;
    world.deploy("fraud", &bad).await;
    until("the old one's end", async || world.ask(&node, "fraud").await.is_err()).await;
    let state = async || world.release("fraud", 1).await.state;
    until("the release's failure", async || state().await == ReleaseState::Failed).await;
    let refused = world.ask(&node, "fraud").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);

    world.delete("fraud").await;
    let gone = async || {
        world.ask(&node, "fraud").await.is_err_and(|refused| refused.code == ErrorCode::NotFound)
    };
    until("its end", gone).await;
    until("an empty node", async || world.held(&node).await.is_empty()).await;
}
