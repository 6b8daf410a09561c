//! `/nodes`

use chrono::TimeDelta;
use domain::{NodeId, ReplicaState};
use serde_json::json;
use store::{
    nodes::{self, About, Report},
    versions,
};

use crate::platform::Platform;

#[actix_web::test]
async fn nodes_are_listed_with_what_they_hold_while_they_are_alive() {
    let platform = Platform::start().await;
    assert_eq!(platform.get("/nodes").await.expect(200), json!({"items": []}));
    platform.servable("fraud", 1).await;
    let database = platform.database();
    let version = versions::get(database, &"fraud".parse().unwrap(), 1).await.unwrap().unwrap().id;
    let (alive, dead) = (NodeId::new(), NodeId::new());
    let about = About { cores: 8, memory_bytes: 4 << 30, ..About::host("serving-1") };
    nodes::beat(database, alive, &about, TimeDelta::seconds(60)).await.unwrap();
    nodes::beat(database, dead, &About::host("serving-2"), TimeDelta::seconds(-1)).await.unwrap();
    for node in [alive, dead] {
        let failed = Report::of(ReplicaState::Failed, Some("no memory".to_owned()));
        nodes::report(database, node, version, &Report { bytes: 7, ..failed }).await.unwrap();
    }
    let listed = platform.get("/nodes").await.expect(200);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["id"], &items[0]["host"]),
        (1, &json!(alive), &json!("serving-1"))
    );
    let held = json!([{
        "model": "fraud", "version": 1, "runtime": "onnx", "state": "failed", "reason": "no memory",
        "memory_bytes": 7, "isolation": null,
    }]);
    assert_eq!(items[0]["replicas"], held);
    let has = [&items[0]["cores"], &items[0]["memory_bytes"], &items[0]["used_bytes"]];
    assert_eq!(has, [&json!(8), &json!(4_u64 << 30), &json!(7)]);
}

#[actix_web::test]
async fn what_nodes_are_to_hold_is_told_of_each_endpoint_and_so_is_what_waits() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.live("fraud", "fraud/1").await;
    let database = platform.database();
    let node = NodeId::new();
    nodes::beat(database, node, &About::host("serving-1"), TimeDelta::seconds(60)).await.unwrap();
    let held = platform.get("/replicas").await.expect(200);
    let expected = json!([{
        "endpoint": "fraud", "release": 1, "live": true, "model": "fraud", "version": 1, "runtime": "onnx",
        "node": node, "host": "serving-1", "state": "starting", "reason": null,
        "memory_bytes": 0, "isolation": null,
    }]);
    assert_eq!(held, json!({"items": expected, "waiting": []}));
    let some = json!({"serving": {"nodes": 2}});
    platform.put("/endpoints/fraud", some).await.expect(200);
    let held = platform.get("/replicas").await.expect(200);
    assert_eq!(held["items"], expected, "no deployer is here");
    let reason = "no deployer has placed it yet";
    let waits =
        json!([{"endpoint": "fraud", "release": 2, "missing": 2, "reason": reason, "since": null}]);
    assert_eq!(held["waiting"], waits);
    let rollout = platform.get("/endpoints/fraud/rollout").await.expect(200);
    assert_eq!((&rollout["release"], &rollout["state"]), (&json!(2), &json!("progressing")));
    let refused =
        platform.put("/endpoints/fraud", json!({"serving": {"nodes": 0}})).await.expect(400);
    assert!(refused.to_string().contains("1 to 1000"), "{refused}");
}
