//! What a gateway hands to whoever watches its predictions.

use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use domain::{
    ErrorCode, Tensor, TensorData,
    capture::{Protocol, Record, Sink},
};
use gateway::Settings;
use serde_json::{Value, json};

use crate::{
    http::{infer, send},
    routing::{IDENTITY, MOODY},
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
pub(crate) async fn say(world: &World, rate: f64, sketches: bool) {
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
    assert_eq!(records.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["i-all", "i-one"]);
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
        assert_eq!(*record.id, *answer.header("x-bottega-inference-id"));
    } else {
        assert_eq!(record.unwrap().code, Some(ErrorCode::Invalid));
    }
}

fn row(x: f64) -> Value {
    json!({"id": "mine", "inputs": [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [x, 0.0]},
    ]})
}

/// A node that serves these files, the first to everybody.
async fn serving_split(files: &[&str], serving: Value) -> (World, Node, Arc<Heard>) {
    let world = World::new().await;
    let _deployer = world.deployer().await;
    let heard = Arc::new(Heard::default());
    let capture = Arc::<Heard>::clone(&heard);
    let node = world.node_watched("a", Settings::default(), world.test.url(), capture).await;
    let mut versions = Vec::new();
    for file in files {
        versions.push(world.version(file).await);
    }
    let weights = std::iter::once(100).chain(std::iter::repeat(0));
    let split: Vec<_> = versions.iter().zip(weights).collect();
    world.deploy_with("fraud", &split, serving).await;
    let kept = async || {
        world.ask(&node, "fraud").await.is_ok() && heard.take().iter().any(|record| record.keep)
    };
    until("the endpoint", async || world.ask(&node, "fraud").await.is_ok()).await;
    say(&world, 1.0, true).await;
    until("rows are kept", kept).await;
    (world, node, heard)
}

#[actix_web::test]
async fn what_fails_is_captured_with_its_code_and_without_an_answer() {
    let (world, node, heard) = serving_split(&[MOODY], json!({})).await;
    heard.take();
    let ask = async |body: String| send(&world, &node.state, infer(body)).await.status.as_u16();
    // The model fails on it; it cannot be decoded; it is answered.
    assert_eq!(ask(row(-3.0).to_string()).await, 400);
    assert_eq!(ask(r#"{"inputs":[]}"#.to_owned()).await, 400);
    assert_eq!(ask(row(1.0).to_string()).await, 200);
    let records = heard.take();
    let told: Vec<_> = records
        .iter()
        .map(|it| (it.code, it.rows, it.inputs.len(), it.outputs.len(), it.keep, it.shadow))
        .collect();
    let invalid = Some(ErrorCode::Invalid);
    assert_eq!(
        told,
        [
            (invalid, 1, 1, 0, true, false),
            (invalid, 1, 0, 0, true, false),
            (None, 1, 1, 1, true, false)
        ]
    );
    assert_eq!((&*records[0].id, floats(&records[0].inputs[0])), ("mine", vec![-3.0, 0.0]));
    // What is refused for other reasons says nothing of the endpoint's requests.
    let absent = infer(row(1.0).to_string()).uri("/v2/models/fraud/versions/9/infer");
    assert_eq!(send(&world, &node.state, absent).await.status.as_u16(), 404);
    assert!(heard.take().is_empty());
    // Where no rows are kept, that it failed is told and no more.
    say(&world, 0.0, true).await;
    until("no rows are kept", async || {
        ask(row(-3.0).to_string()).await;
        heard.take().iter().all(|record| !record.keep)
    })
    .await;
    assert_eq!(ask(row(-3.0).to_string()).await, 400);
    let [record] = &heard.take()[..] else { unreachable!() };
    assert_eq!((record.code, record.inputs.len(), record.keep), (invalid, 0, false));
}

#[actix_web::test]
async fn a_shadows_answer_is_captured_under_the_name_of_the_callers() {
    let routing = json!({"routing": {"shadow": {"version": 2}}});
    let (world, node, heard) = serving_split(&[IDENTITY, MOODY], routing).await;
    let settled = async || {
        world.ask(&node, "fraud").await.is_ok() && heard.take().iter().any(|record| record.shadow)
    };
    until("the first copy", settled).await;
    // Those of before may come late.
    let mine = async || {
        let mut records = Vec::new();
        until("both", async || {
            heard.0.lock().unwrap().iter().filter(|record| &*record.id == "mine").count() == 2
        })
        .await;
        records.extend(heard.take().into_iter().filter(|record| &*record.id == "mine"));
        records.sort_by_key(|record| record.shadow);
        records
    };
    let answer = send(&world, &node.state, infer(row(1.0).to_string())).await;
    assert_eq!(answer.status.as_u16(), 200);
    let told: Vec<_> = mine()
        .await
        .iter()
        .map(|it| (it.source.number, it.shadow, it.code, it.keep, floats(&it.outputs[0])))
        .collect();
    assert_eq!(
        told,
        [(1, false, None, true, vec![1.0, 0.0]), (2, true, None, true, vec![2.0, 0.0])]
    );
    // The shadow fails where the version that answers does not.
    assert_eq!(send(&world, &node.state, infer(row(-3.0).to_string())).await.status.as_u16(), 200);
    let told: Vec<_> = mine().await.iter().map(|it| (it.shadow, it.code)).collect();
    assert_eq!(told, [(false, None), (true, Some(ErrorCode::Invalid))]);
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
