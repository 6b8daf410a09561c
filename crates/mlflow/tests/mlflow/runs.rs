//! `/runs`

use serde_json::json;

use crate::server::Server;

#[actix_web::test]
async fn a_run_starts_with_a_name_that_its_tag_repeats() {
    let server = Server::start().await;
    let body = json!({"experiment_id": "0", "user_id": "ana", "start_time": "1700000000000",
                      "tags": [{"key": "mlflow.parentRunId", "value": "abc"}]});
    let made = Server::well(server.post("runs/create", body).await)["run"].clone();
    let (info, id) = (&made["info"], made["info"]["run_id"].as_str().unwrap());
    assert_eq!(info["run_uuid"], id);
    assert_eq!(info["status"], "RUNNING");
    assert_eq!(info["start_time"], 1_700_000_000_000_i64);
    assert_eq!(info["artifact_uri"], format!("mlflow-artifacts:/0/{id}/artifacts"));
    assert!(info.get("end_time").is_none());
    let name = info["run_name"].as_str().unwrap();
    assert_eq!(name.split('-').count(), 3, "{name}");
    assert_eq!(server.shown(id).await, made);
    let tag = json!({"key": "mlflow.runName", "value": name});
    assert!(made["data"]["tags"].as_array().unwrap().contains(&tag), "{made}");
}

#[actix_web::test]
async fn a_runs_name_and_its_tag_stay_the_same() {
    let server = Server::start().await;
    let tag = json!([{"key": "mlflow.runName", "value": "b"}]);
    let two = json!({"experiment_id": "0", "run_name": "a", "tags": tag});
    Server::refused(&server.post("runs/create", two).await, 400, "INVALID_PARAMETER_VALUE");
    let run = server.run("0").await;
    let named = async || {
        let shown = server.shown(&run).await;
        assert_eq!(shown["data"]["tags"][0]["value"], shown["info"]["run_name"]);
        shown["info"]["run_name"].as_str().unwrap().to_owned()
    };
    Server::well(server.post("runs/update", json!({"run_id": run, "run_name": "one"})).await);
    assert_eq!(named().await, "one");
    let tag = json!({"run_id": run, "key": "mlflow.runName", "value": "two"});
    Server::well(server.post("runs/set-tag", tag).await);
    assert_eq!(named().await, "two");
    let tags = json!([{"key": "mlflow.runName", "value": "three"}]);
    Server::well(server.post("runs/log-batch", json!({"run_id": run, "tags": tags})).await);
    assert_eq!(named().await, "three");
    let empty = json!({"run_id": run, "key": "mlflow.runName", "value": ""});
    Server::well(server.post("runs/set-tag", empty).await);
    assert_eq!(named().await, "three");
}

#[actix_web::test]
async fn a_run_ends_and_is_deleted_and_restored() {
    let server = Server::start().await;
    let run = server.run("0").await;
    let end = json!({"run_id": run, "status": "FINISHED", "end_time": 9});
    let info = Server::well(server.post("runs/update", end).await)["run_info"].clone();
    assert_eq!((&info["status"], &info["end_time"]), (&json!("FINISHED"), &json!(9)));
    let wrong = json!({"run_id": run, "status": "DONE"});
    Server::refused(&server.post("runs/update", wrong).await, 400, "INVALID_PARAMETER_VALUE");
    let which = json!({"run_id": run});
    for _ in 0..2 {
        Server::well(server.post("runs/delete", which.clone()).await);
    }
    assert_eq!(server.shown(&run).await["info"]["lifecycle_stage"], "deleted");
    Server::well(server.post("runs/restore", which).await);
    assert_eq!(server.shown(&run).await["info"]["lifecycle_stage"], "active");
}

#[actix_web::test]
async fn what_is_no_run_is_absent() {
    let server = Server::start().await;
    for id in ["0123456789abcdef0123456789abcdef", "abc", "a-b_c"] {
        let answer = server.get(&format!("runs/get?run_id={id}")).await;
        let message = Server::refused(&answer, 404, "RESOURCE_DOES_NOT_EXIST");
        assert_eq!(message, format!("Run with id={id} not found"));
        let answer = server.post("runs/delete", json!({"run_id": id})).await;
        Server::refused(&answer, 404, "RESOURCE_DOES_NOT_EXIST");
    }
    let answer = server.get("runs/get").await;
    let message = Server::refused(&answer, 400, "INVALID_PARAMETER_VALUE");
    assert!(message.starts_with("Missing value for required parameter 'run_id'"), "{message}");
    let answer = server.post("runs/create", json!({"experiment_id": "77"})).await;
    Server::refused(&answer, 404, "RESOURCE_DOES_NOT_EXIST");
}
