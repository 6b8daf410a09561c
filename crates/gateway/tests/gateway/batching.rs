//! How requests share runs, set while a version serves; and what metrics tell of it.

use std::time::Duration;

use actix_web::test::TestRequest;
use domain::Batching;
use gateway::Settings;
use serde_json::{Value, json};
use store::{Change, versions};

use crate::{
    http::{infer, send, serving},
    seed::{Node, World, until},
};

async fn config(world: &World, node: &Node) -> (i64, i64) {
    let request = TestRequest::get().uri("/v2/models/fraud/config");
    let config = send(world, &node.state, request).await.body;
    let delay = &config["dynamic_batching"]["max_queue_delay_microseconds"];
    (config["max_batch_size"].as_i64().unwrap(), delay.as_i64().unwrap())
}

async fn set(world: &World, batching: &Batching) {
    let model = "fraud".parse().unwrap();
    let version = versions::get(&world.database, &model, 1).await.unwrap().unwrap();
    let mut change = Change::begin(&world.database).await.unwrap();
    versions::set_batching(&mut change, version.id, batching).await.unwrap();
    change.emit("version.edited", "model:fraud", &json!({})).await.unwrap();
    world.commit(change).await;
}

fn rows(count: usize) -> String {
    let data = vec![0.5; count * 2];
    json!({"inputs": [{"name": "x", "shape": [count, 2], "datatype": "FP32", "data": data}]})
        .to_string()
}

#[actix_web::test]
async fn batching_is_taken_over_while_a_version_serves() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let (measured, _) = config(&world, &node).await;
    set(&world, &Batching::new(Some(3), Duration::from_micros(1500)).unwrap()).await;
    until("it is taken over", async || config(&world, &node).await == (3, 1500)).await;
    // Three callers fill a run; the fourth waits for company until its time is over.
    let answers = (0..4).map(|_| send(&world, &node.state, infer(rows(1))));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.status, 200);
    }
    set(&world, &Batching::default()).await;
    until("it is as it was", async || config(&world, &node).await == (measured, 0)).await;
}

#[actix_web::test]
async fn metrics_tell_stages_and_runs_of_each_version() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    for count in [1, 5, 5] {
        let answer = send(&world, &node.state, infer(rows(count))).await;
        assert_eq!(answer.status, 200);
    }
    let refused = json!({"inputs": Value::Null}).to_string();
    assert_eq!(send(&world, &node.state, infer(refused)).await.status, 400);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &node.registry).unwrap();
    let version = r#"model="fraud",version="1""#;
    let endpoint = format!(r#"endpoint="fraud",{version}"#);
    for stage in ["decode", "queue", "batch_wait", "compute", "serialise"] {
        let labels = format!(r#"{endpoint},stage="{stage}""#);
        let line = format!("bottega_inference_stage_seconds_count{{{labels}}} 3");
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for line in [
        format!("bottega_inference_batch_rows_sum{{{endpoint}}} 11.0"),
        format!("bottega_inference_batch_rows_count{{{endpoint}}} 3"),
        format!(r#"bottega_inference_batch_rows_bucket{{le="1.0",{endpoint}}} 1"#),
        format!(r#"bottega_inference_batch_rows_bucket{{le="8.0",{endpoint}}} 3"#),
        format!(r#"bottega_inference_batch_rows_bucket{{le="+Inf",{endpoint}}} 3"#),
        format!("bottega_inference_queue_depth{{{version}}} 0"),
        format!(r#"bottega_inference_shed_total{{{version},reason="full"}} 0"#),
        format!(r#"bottega_inference_shed_total{{{version},reason="slow"}} 0"#),
        format!(r#"bottega_inference_shed_total{{{version},reason="late"}} 0"#),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[actix_web::test]
async fn a_model_of_four_rows_answers_any_number() {
    let (world, node) = serving("fixed_batch.onnx", Settings::default()).await;
    for path in ["/v2/models/fraud", "/v2/models/fraud/versions/1"] {
        let shown = send(&world, &node.state, TestRequest::get().uri(path)).await.body;
        assert_eq!(shown["inputs"][0]["shape"], json!([-1, 3]));
        assert_eq!(shown["outputs"][0]["shape"], json!([-1, 3]));
    }
    assert_eq!(config(&world, &node).await.0, 4);
    let answers = [1, 2, 3, 4, 5, 9].map(|count: usize| {
        let data: Vec<_> = (0..count * 3).map(|at| at as f64).collect();
        let twice: Vec<_> = data.iter().map(|it| it * 2.0).collect();
        let input = json!({"name": "x", "shape": [count, 3], "datatype": "FP32", "data": data});
        let body = json!({"inputs": [input]}).to_string();
        let (world, node) = (&world, &node);
        async move {
            let answer = send(world, &node.state, infer(body)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let output = &answer.body["outputs"][0];
            assert_eq!((&output["shape"], &output["data"]), (&json!([count, 3]), &json!(twice)));
        }
    });
    futures_util::future::join_all(answers).await;
}
