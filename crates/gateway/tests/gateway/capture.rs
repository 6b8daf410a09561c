//! What a gateway hands to whoever watches its predictions.

use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use domain::{
    Tensor, TensorData,
    capture::{Protocol, Record, Sink},
};
use gateway::Settings;
use serde_json::{Value, json};

use crate::{
    http::send,
    seed::{Node, World, model, until},
};

#[derive(Default)]
struct Heard(Mutex<Vec<Record>>);

impl Sink for Heard {
    fn offer(&self, record: Record) {
        self.0.lock().unwrap().push(record);
    }
}

impl Heard {
    fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

async fn serving() -> (World, Node, Arc<Heard>) {
    let world = World::new().await;
    let deployer = world.deployer().await;
    let version = world.version("breast_cancer.onnx").await;
    world.deploy("fraud", &version).await;
    let heard = Arc::new(Heard::default());
    let capture = Arc::<Heard>::clone(&heard);
    let node = world.node_watched("a", Settings::default(), world.test.url(), capture).await;
    until("the endpoint", async || world.ask(&node, "fraud").await.is_ok()).await;
    heard.take();
    drop(deployer);
    (world, node, heard)
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    if let TensorData::F32(values) = &tensor.data {
        return values.iter().map(|value| f64::from(*value)).collect();
    }
    let TensorData::I64(values) = &tensor.data else { unreachable!("{tensor:?}") };
    values.iter().map(|value| *value as f64).collect()
}

fn numbers(tensor: &Value) -> Vec<f64> {
    tensor["data"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap() as f32 as f64).collect()
}

/// What the tables say from now on.
async fn say(world: &World, rate: f64, sketches: bool) {
    world
        .test
        .execute(&format!(
            "INSERT INTO endpoint_capture (endpoint_id, revision, rate, sketches, masks, retention_seconds, set_by, set_at)
             SELECT id, 1, {rate}, {sketches}, '[]', 3600, 'user:ana', now() FROM endpoints
             ON CONFLICT (endpoint_id) DO UPDATE SET rate = {rate}, sketches = {sketches}"
        ))
        .await;
}

#[actix_web::test]
async fn what_is_captured_is_what_was_sent_and_answered() {
    let (world, node, heard) = serving().await;
    let sent: Value = serde_json::from_slice(&model("breast_cancer.example.json")).unwrap();
    // One is asked for; both are captured.
    let mut body = sent.clone();
    body["outputs"] = json!([{"name": "label"}]);
    let request = |id: &'static str| {
        TestRequest::post()
            .uri("/v2/models/fraud/infer")
            .insert_header(("x-amzn-sagemaker-inference-id", id))
    };
    let all = send(&world, &node.state, request("i-all").set_json(&sent)).await;
    let one = send(&world, &node.state, request("i-one").set_json(&body)).await;
    assert_eq!((all.status.as_u16(), one.status.as_u16()), (200, 200));
    let records = heard.take();
    assert_eq!(records.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["i-all", "i-one"]);
    for record in &records {
        assert_eq!(
            (record.rows, record.held(), record.keep, record.shadow),
            (16, 16, false, false)
        );
        assert_eq!((record.protocol, record.source.name.as_str()), (Protocol::V2, "fraud"));
        assert_eq!((record.source.number, record.source.release), (1, 1));
        assert_eq!(record.inputs.len(), 1);
        assert_eq!(record.inputs[0].shape, [16, 30]);
        assert_eq!(floats(&record.inputs[0]), numbers(&sent["inputs"][0]));
        let outputs = all.body["outputs"].as_array().unwrap();
        assert_eq!(record.outputs.len(), outputs.len());
        for (captured, answered) in record.outputs.iter().zip(outputs) {
            assert_eq!(captured.name, answered["name"]);
            assert_eq!(floats(captured), numbers(answered));
        }
    }
    let rows = json!({"dataframe_split": {
        "columns": (0..30).map(|at| format!("f{at}")).collect::<Vec<_>>(), "data": [vec![1.0; 30]],
    }});
    let scoring = TestRequest::post().uri("/serve/fraud/invocations").set_json(&rows);
    let answer = send(&world, &node.state, scoring).await;
    let record = heard.take().pop();
    if answer.status.as_u16() == 200 {
        let record = record.unwrap();
        assert_eq!((record.protocol, record.rows), (Protocol::MlFlow, 1));
        assert_eq!(record.id, answer.header("x-bottega-inference-id"));
    } else {
        assert!(record.is_none(), "what is refused is not captured");
    }
    let refused = TestRequest::post().uri("/v2/models/fraud/infer").set_json(json!({"inputs": []}));
    assert_eq!(send(&world, &node.state, refused).await.status.as_u16(), 400);
    assert!(heard.take().is_empty());
}

#[actix_web::test]
async fn owners_say_what_is_captured_while_it_is_served() {
    let (world, node, heard) = serving().await;
    let asked = async || {
        world.ask(&node, "fraud").await.unwrap();
        heard.take().pop()
    };
    assert!(!asked().await.unwrap().keep);
    say(&world, 1.0, true).await;
    until("rows are kept", async || asked().await.is_some_and(|record| record.keep)).await;
    say(&world, 0.0, false).await;
    until("nothing is captured", async || asked().await.is_none()).await;
    for _ in 0..20 {
        assert!(asked().await.is_none());
    }
    say(&world, 0.5, false).await;
    until("some is captured", async || asked().await.is_some()).await;
    let mut kept = 0;
    for _ in 0..200 {
        kept += usize::from(asked().await.is_some());
    }
    assert!((60..140).contains(&kept), "{kept} of 200");
}

#[actix_web::test]
async fn of_a_million_rows_the_first_are_captured_and_it_is_told() {
    let (world, node, heard) = serving().await;
    let rows = 20_000;
    let data = vec![0.5; rows * 30];
    let body = json!({"inputs": [
        {"name": "features", "datatype": "FP32", "shape": [rows, 30], "data": data},
    ]});
    let request = TestRequest::post().uri("/v2/models/fraud/infer").set_json(&body);
    assert_eq!(send(&world, &node.state, request).await.status.as_u16(), 200);
    let record = heard.take().pop().unwrap();
    assert_eq!(record.rows, rows);
    let held = record.held();
    assert!((5_000..rows).contains(&held), "{held}");
    assert!(record.bytes() <= domain::capture::MOST_BYTES);
    assert_eq!(record.inputs[0].shape, [held, 30]);
    assert!(record.outputs.iter().all(|output| output.shape[0] == held));
}
