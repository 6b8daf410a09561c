//! Which endpoints there are, what they have done, and what clients may not change.

use actix_web::{http::StatusCode, test::TestRequest};
use gateway::Settings;
use serde_json::{Value, json};

use crate::{
    http::{infer, send, send_as_is, serving},
    seed::{Node, World, until},
};

async fn get(world: &World, node: &Node, path: &str) -> Value {
    send(world, &node.state, TestRequest::get().uri(path)).await.body
}

fn rows(count: usize) -> String {
    let data = vec![1.0; count * 2];
    json!({"inputs": [{"name": "x", "shape": [count, 2], "datatype": "FP32", "data": data}]})
        .to_string()
}

#[actix_web::test]
async fn statistics_count_what_was_asked_and_run() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let version = world.version("identity/fp32.onnx").await;
    for body in [rows(1), rows(3), rows(3), rows(200), "{}".to_owned()] {
        send(&world, &node.state, infer(body)).await;
    }
    // Nobody served that version.
    let unserved =
        TestRequest::post().uri("/v2/models/fraud/versions/2/infer").set_payload(rows(1));
    send(&world, &node.state, unserved).await;
    let told = get(&world, &node, "/v2/models/fraud/stats").await;
    let stats = &told["model_stats"][0];
    assert_eq!((&stats["name"], &stats["version"]), (&json!("fraud"), &json!("1")));
    assert_eq!((&stats["inference_count"], &stats["execution_count"]), (&json!(207), &json!(4)));
    assert!(stats["last_inference"].as_u64().unwrap() > 1_700_000_000_000);
    let inference = &stats["inference_stats"];
    for (part, count) in [
        ("success", 4),
        ("fail", 1),
        ("queue", 4),
        ("compute_input", 4),
        ("compute_infer", 4),
        ("compute_output", 4),
        ("cache_hit", 0),
    ] {
        assert_eq!(inference[part]["count"], count, "{part}");
    }
    let spent = |part: &str| inference[part]["ns"].as_u64().unwrap();
    let parts = ["queue", "compute_input", "compute_infer", "compute_output"].map(spent);
    assert!(parts.iter().sum::<u64>() <= spent("success"), "{inference}");
    assert!(spent("compute_infer") > 0 && spent("fail") > 0, "{inference}");
    let batches = stats["batch_stats"].as_array().unwrap();
    let batches: Vec<_> = batches
        .iter()
        .map(|batch| (batch["batch_size"].clone(), batch["compute_infer"]["count"].clone()))
        .collect();
    assert_eq!(batches, [(json!(1), json!(1)), (json!(3), json!(2)), (json!(256), json!(1))]);

    assert_eq!(get(&world, &node, "/v2/models/stats").await, told);
    assert_eq!(get(&world, &node, "/v2/models/fraud/versions/1/stats").await, told);
    let absent = get(&world, &node, "/v2/models/fraud/versions/9/stats").await;
    assert!(absent["error"].as_str().unwrap().contains("version `9`"), "{absent}");

    // A release that keeps the version keeps its counts.
    let _deployer = world.deployer().await;
    let name = "fraud".parse().unwrap();
    let first = store::versions::get(&world.database, &name, 1).await.unwrap().unwrap();
    world.deploy_split("fraud", &[(&first, 50), (&version, 50)]).await;
    let both = async || get(&world, &node, "/v2/models/fraud/stats").await;
    let switched = async || both().await["model_stats"].as_array().unwrap().len() == 2;
    until("the next release", switched).await;
    let told = both().await;
    assert_eq!(told["model_stats"][0]["inference_count"], 207);
    assert_eq!(told["model_stats"][1]["inference_count"], 0);
}

#[actix_web::test]
async fn the_configuration_tells_the_batch_apart() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let config = get(&world, &node, "/v2/models/fraud/config").await;
    assert!(config["max_batch_size"].as_i64().unwrap() > 0, "{config}");
    assert_eq!(config["input"], json!([{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}]));
    assert_eq!(config["version_policy"], json!({"specific": {"versions": [1]}}));
    assert_eq!(config["default_model_filename"], "model.onnx");
    assert_eq!(get(&world, &node, "/v2/models/fraud/versions/1/config").await, config);
    let absent = get(&world, &node, "/v2/models/nothing/config").await;
    assert!(absent["error"].as_str().unwrap().contains("no endpoint `nothing`"));
}

#[actix_web::test]
async fn the_index_tells_what_there_is_and_how_far_it_is() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    let bad = world.version("unknown_operator.onnx").await;
    world.deploy("broken", &bad).await;
    let index = async |body: &'static str| {
        let request = TestRequest::post().uri("/v2/repository/index").set_payload(body);
        send(&world, &node.state, request).await.body
    };
    let failed = async || index("").await[0]["state"] == "UNAVAILABLE";
    until("the failure", failed).await;
    let told = index("").await;
    let reason = told[0]["reason"].as_str().unwrap();
    assert!(reason.contains("NoSuchOp"), "{reason}");
    assert_eq!(
        told,
        json!([
            {"name": "broken", "version": "", "state": "UNAVAILABLE", "reason": reason},
            {"name": "fraud", "version": "1", "state": "READY", "reason": ""},
        ])
    );
    assert_eq!(index("{\"ready\":true}").await.as_array().unwrap().len(), 1);
    assert!(index("{\"redy\":true}").await["error"].as_str().unwrap().contains("redy"));
    let request = TestRequest::post().uri("/v2/repository/index");
    assert_eq!(send_as_is(&world, &node.state, request).await.status, StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn clients_load_nothing_and_unload_nothing() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    for (path, body, status, error) in [
        ("fraud/load", "", 200, ""),
        ("fraud/load", "{}", 200, ""),
        ("fraud/load", r#"{"parameters":{"config":"{}"}}"#, 400, "parameter `config`"),
        (
            "fraud/unload",
            r#"{"parameters":{"unload_dependents":false}}"#,
            409,
            "endpoints delete fraud",
        ),
        ("fraud/unload", "", 409, "not unloaded by its clients"),
        ("fraud/unload", r#"{"parameters":{"now":true}}"#, 400, "parameter `now`"),
        ("nothing/load", "", 404, "no endpoint `nothing`"),
        ("nothing/unload", "", 404, "no endpoint `nothing`"),
    ] {
        let path = format!("/v2/repository/models/{path}");
        let request = TestRequest::post().uri(&path).set_payload(body);
        let answer = send(&world, &node.state, request).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}: {}", answer.body);
        if status != 200 {
            assert!(answer.error().contains(error), "{}", answer.error());
        }
    }
    assert_eq!(send(&world, &node.state, infer(rows(1))).await.status, StatusCode::OK);
}

#[actix_web::test]
async fn what_there_is_not_is_refused_in_words() {
    let (world, node) = serving("identity/fp32.onnx", Settings::default()).await;
    for (path, words) in [
        ("systemsharedmemory/status", "shared memory"),
        ("systemsharedmemory/region/x/register", "shared memory"),
        ("cudasharedmemory/unregister", "shared memory"),
        ("trace/setting", "trace settings"),
        ("models/fraud/trace/setting", "trace settings"),
        ("logging", "log settings"),
    ] {
        for method in [TestRequest::get(), TestRequest::post()] {
            let answer = send(&world, &node.state, method.uri(&format!("/v2/{path}"))).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(answer.error().contains(words), "{}", answer.error());
            assert!(answer.error().contains("not supported by this server"));
        }
        let request = TestRequest::get().uri(&format!("/v2/{path}"));
        let stranger = send_as_is(&world, &node.state, request).await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}
