//! Versions that are loaded when they are asked for.

use std::time::Duration;

use actix_web::{http::StatusCode, test::TestRequest};
use gateway::Settings;
use serde_json::{Value, json};
use store::{nodes::About, prediction_log};

use crate::{
    http::{Answer, send},
    seed::{Node, World, until},
};

const MODEL: &str = "identity/fp32.onnx";

/// Endpoints of these names that are loaded on demand, on a node of so much memory. The deployer ends
/// with it: nothing is released after.
async fn cold(endpoints: &[&str], serving: Value, memory: u64) -> (World, Node) {
    let world = World::new().await;
    let deployer = world.deployer().await;
    let node = About { memory_bytes: memory, ..About::host("a") };
    let settings = Settings { node, ..Settings::default() };
    let node = world.node_with("a", settings, world.test.url()).await;
    for endpoint in endpoints {
        let version = world.version(MODEL).await;
        world.deploy_with(endpoint, &[(&version, 100)], serving.clone()).await;
        until("the release", async || state(&world, &node, endpoint).await == "READY").await;
    }
    drop(deployer);
    (world, node)
}

async fn ask(world: &World, node: &Node, endpoint: &str) -> Answer {
    let body =
        json!({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]});
    let request = TestRequest::post().uri(&format!("/v2/models/{endpoint}/infer")).set_json(body);
    send(world, &node.state, request).await
}

async fn post(world: &World, node: &Node, path: &str) -> StatusCode {
    send(world, &node.state, TestRequest::post().uri(path)).await.status
}

/// How the index calls an endpoint, if it knows it.
async fn state(world: &World, node: &Node, endpoint: &str) -> String {
    let index = TestRequest::post().uri("/v2/repository/index");
    let index = send(world, &node.state, index).await.body;
    let found = index.as_array().unwrap().iter().find(|entry| entry["name"] == endpoint);
    found.map_or("", |entry| entry["state"].as_str().unwrap()).to_owned()
}

async fn unload(world: &World, node: &Node, endpoint: &str) {
    let path = format!("/v2/repository/models/{endpoint}/unload");
    assert_eq!(post(world, node, &path).await, StatusCode::OK);
    until("it is let go", async || {
        state(world, node, endpoint).await == "UNAVAILABLE" && world.held(node).await.is_empty()
    })
    .await;
}

#[actix_web::test]
async fn requests_wait_until_what_they_ask_for_is_loaded_once_for_all() {
    let (world, node) = cold(&["fraud"], json!({"on_demand": {}}), u64::MAX).await;
    assert_eq!(ask(&world, &node, "fraud").await.status, StatusCode::OK);
    unload(&world, &node, "fraud").await;
    // It answers whoever comes, so it is ready.
    let ready = TestRequest::get().uri("/v2/models/fraud/ready");
    assert_eq!(send(&world, &node.state, ready).await.status, StatusCode::OK);
    assert_eq!(state(&world, &node, "fraud").await, "UNAVAILABLE");
    let asked = (0..8).map(|_| ask(&world, &node, "fraud"));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    assert_eq!(world.held(&node).await.len(), 1);
    unload(&world, &node, "fraud").await;
    // Who asks what it takes is told as well, and so is a client that loads it.
    let metadata = TestRequest::get().uri("/v2/models/fraud");
    assert_eq!(send(&world, &node.state, metadata).await.status, StatusCode::OK);
    unload(&world, &node, "fraud").await;
    let status = send(&world, &node.state, TestRequest::get().uri("/v1/models/fraud")).await.body;
    assert_eq!(status["model_version_status"][0]["state"], "AVAILABLE", "{status}");
    unload(&world, &node, "fraud").await;
    let path = "/v2/repository/models/fraud/load";
    assert_eq!(post(&world, &node, path).await, StatusCode::OK);
    assert_eq!(state(&world, &node, "fraud").await, "READY");
}

#[actix_web::test]
async fn requests_are_refused_until_it_is_loaded_where_the_release_says_so() {
    let serving = json!({"on_demand": {"cold": "refuse"}});
    let (world, node) = cold(&["fraud"], serving, u64::MAX).await;
    unload(&world, &node, "fraud").await;
    let ready = || TestRequest::get().uri("/v2/models/fraud/ready");
    assert_ne!(send(&world, &node.state, ready()).await.status, StatusCode::OK);
    let refused = ask(&world, &node, "fraud").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.body["error"].as_str().unwrap().contains("on its way"), "{}", refused.body);
    until("it is loaded", async || ask(&world, &node, "fraud").await.status == StatusCode::OK)
        .await;
    let endpoint = world.endpoint("fraud").await.id;
    until("the refusal is told", async || {
        let told = prediction_log::last(&world.database, endpoint, 100).await.unwrap();
        told.iter().any(|entry| entry.code == "unavailable" && entry.version.is_none())
    })
    .await;
}

#[actix_web::test]
async fn what_was_asked_for_longest_ago_makes_room_and_comes_back() {
    let (world, node) = cold(&["fraud", "churn"], json!({"on_demand": {}}), 1).await;
    for (asked, other) in [("fraud", "churn"), ("churn", "fraud"), ("fraud", "churn")] {
        assert_eq!(ask(&world, &node, asked).await.status, StatusCode::OK);
        until("the other one is let go", async || {
            // As long as requests come, it stays.
            let answered = ask(&world, &node, asked).await.status;
            assert_eq!(answered, StatusCode::OK);
            state(&world, &node, other).await == "UNAVAILABLE"
        })
        .await;
    }
}

#[actix_web::test]
async fn what_nobody_asks_for_is_let_go() {
    let (world, node) = cold(&["fraud"], json!({"on_demand": {"idle": "1s"}}), u64::MAX).await;
    assert_eq!(ask(&world, &node, "fraud").await.status, StatusCode::OK);
    until("it is let go", async || world.held(&node).await.is_empty()).await;
    assert_eq!(ask(&world, &node, "fraud").await.status, StatusCode::OK);
}

#[actix_web::test]
async fn a_node_that_starts_is_ready_without_what_is_not_asked_for() {
    let (world, _node) = cold(&["fraud"], json!({"on_demand": {}}), u64::MAX).await;
    let late = world.node("b").await;
    until("the node", async || late.state.is_ready()).await;
    assert_eq!(state(&world, &late, "fraud").await, "UNAVAILABLE");
    assert!(world.held(&late).await.is_empty());
    assert_eq!(ask(&world, &late, "fraud").await.status, StatusCode::OK);
}

#[actix_web::test]
async fn what_is_always_loaded_is_not_its_clients_to_unload() {
    let (world, node) = cold(&["fraud"], json!({}), 1).await;
    let path = "/v2/repository/models/fraud/unload";
    assert_eq!(post(&world, &node, path).await, StatusCode::CONFLICT);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(state(&world, &node, "fraud").await, "READY");
}
