//! What is told of predictions.

use actix_web::test::TestRequest;
use gateway::{Logging, Settings};
use serde_json::json;
use store::prediction_log;

use crate::{
    http::{infer, send, serving},
    seed::until,
};

fn row() -> TestRequest {
    let input = json!({"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.625, -1.5]});
    infer(json!({"inputs": [input]}).to_string())
}

#[actix_web::test]
async fn the_log_tells_failures_first_and_how_many_it_leaves_out() {
    let logging = Logging { rate: 8, ..Logging::default() };
    let (world, node) =
        serving("identity/fp32.onnx", Settings { logging, ..Settings::default() }).await;
    let wrong = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":["0.625",1]}]}"#;
    let mut requests = vec![row(), row(), row(), row(), row(), infer(wrong), infer(wrong)];
    while let Some(request) = requests.pop() {
        send(&world, &node.state, request).await;
    }
    let endpoint = world.endpoint("fraud").await.id;
    let read = async || prediction_log::last(&world.database, endpoint, 100).await.unwrap();
    let told = |entries: &[prediction_log::Written]| -> i64 {
        entries.iter().map(|entry| 1 + entry.left_out).sum()
    };
    // What is left out in a second without an entry is told with the next one.
    until("all are told", async || {
        let entries = read().await;
        if told(&entries) < 7 {
            send(&world, &node.state, infer(wrong)).await;
        }
        told(&entries) >= 7
    })
    .await;
    let entries = read().await;
    let failures: Vec<_> = entries.iter().filter(|entry| entry.code != "ok").collect();
    assert!(failures.len() >= 2, "{entries:#?}");
    assert!(failures.iter().all(|entry| entry.field.as_deref() == Some("inputs[0].data[0]")));
    let good = entries.iter().find(|entry| entry.code == "ok").unwrap();
    assert_eq!((good.version.clone(), good.rows), (Some(("fraud".to_owned(), 1)), 1));
    assert_eq!((good.node, good.caller.as_str()), (node.state.node_id(), "user:admin"));
    assert_eq!(good.protocol, "v2");
    assert!(good.inference_id.is_some());
    assert!(good.total_micros >= good.compute_micros);
    assert!(!format!("{entries:?}").contains("0.625"), "a value of an input: {entries:#?}");
    let after = entries[0].id;
    let next = prediction_log::next(&world.database, endpoint, after, None, 100).await.unwrap();
    assert_eq!(next, entries[1..]);
    let later = world.database.now() + chrono::TimeDelta::days(1);
    let none = prediction_log::next(&world.database, endpoint, 0, Some(later), 100).await.unwrap();
    assert_eq!(none, []);
    assert!(prediction_log::forget(&world.database, later).await.unwrap() >= 3);
    assert_eq!(read().await, []);
}
