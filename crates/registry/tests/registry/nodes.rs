//! `/nodes`

use chrono::TimeDelta;
use domain::{NodeId, ReplicaState};
use serde_json::json;
use store::{nodes, versions};

use crate::platform::Platform;

#[actix_web::test]
async fn nodes_are_listed_with_what_they_hold_while_they_are_alive() {
    let platform = Platform::start().await;
    assert_eq!(platform.get("/nodes").await.expect(200), json!({"items": []}));
    platform.servable("fraud", 1).await;
    let database = platform.database();
    let version = versions::get(database, &"fraud".parse().unwrap(), 1).await.unwrap().unwrap().id;
    let (alive, dead) = (NodeId::new(), NodeId::new());
    nodes::beat(database, alive, "serving-1", TimeDelta::seconds(60)).await.unwrap();
    nodes::beat(database, dead, "serving-2", TimeDelta::seconds(-1)).await.unwrap();
    for node in [alive, dead] {
        nodes::report(database, node, version, ReplicaState::Failed, Some("no memory"))
            .await
            .unwrap();
    }
    let listed = platform.get("/nodes").await.expect(200);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["id"], &items[0]["host"]),
        (1, &json!(alive), &json!("serving-1"))
    );
    let held = json!([{"model": "fraud", "version": 1, "state": "failed", "reason": "no memory"}]);
    assert_eq!(items[0]["replicas"], held);
}
