//! An endpoint follows its alias, without a restart and without a failed request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bottega_tests::{Server, model, model_json, wait_until};
use serde_json::{Value, json};

/// Asks as fast as it can until told to stop; answers which versions answered, in order.
async fn hammer(server: &Server, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Vec<String> {
    let http = server.plain();
    let url = format!("{}/v2/models/cancer/infer", server.url);
    let body = model_json("breast_cancer.example.json").to_string();
    let mut versions = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = http
            .post(&url)
            .bearer_auth(server.token)
            .body(body.clone())
            .header("content-type", "application/json");
        let answer = answer.send().await.unwrap();
        let status = answer.status().as_u16();
        let version =
            answer.headers().get("x-bottega-model-version").map(|v| v.to_str().unwrap().to_owned());
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "a request failed: {body}");
        assert_eq!(body["model_version"].as_str(), version.as_deref());
        if versions.last() != version.as_ref() {
            versions.extend(version);
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    versions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_the_alias_under_load_fails_no_request() {
    let server = Arc::new(Server::start());
    server.serve("cancer", &model("breast_cancer.onnx"));
    // Other bytes, same answers: the same file beside one more.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(model("breast_cancer.onnx"), folder.path().join("model.onnx")).unwrap();
    std::fs::write(folder.path().join("README.md"), "the second one").unwrap();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (server, stop, answered) =
                (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move { hammer(&server, stop, answered).await })
        })
        .collect();
    let mover = Arc::clone(&server);
    tokio::task::spawn_blocking(move || {
        let pushed =
            mover.cli(["push", folder.path().to_str().unwrap(), "--name", "cancer"]).json();
        assert_eq!(pushed["version"], 2);
        for turn in 0..6 {
            let version = if turn % 2 == 0 { 2 } else { 1 };
            let moved = mover
                .cli([
                    "promote",
                    &format!("cancer/{version}"),
                    "--to",
                    "champion",
                    "--reason",
                    "test",
                ])
                .json();
            assert_eq!(moved["followers"][0]["endpoint"], "cancer");
            wait_until("the release is live", Duration::from_secs(20), || {
                let endpoint = mover.cli(["endpoints", "show", "cancer"]).json();
                endpoint["live"]["versions"][0]["version"] == version
                    && endpoint["state"] == "ready"
            });
            std::thread::sleep(Duration::from_millis(100));
        }
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        let versions = caller.await.unwrap();
        assert!(versions.len() >= 3, "a caller saw only {versions:?}");
    }
    assert!(answered.load(Ordering::Relaxed) > 100);
}

#[test]
fn the_history_of_an_alias_says_who_when_from_and_to() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    server
        .cli(["push", model("breast_cancer.onnx").to_str().unwrap(), "--name", "cancer", "--force"])
        .json();
    let moved =
        server.cli(["promote", "cancer/2", "--to", "champion", "--reason", "recall 0.97"]).json();
    assert_eq!(
        (&moved["version"], &moved["alias"], &moved["revision"]),
        (&json!(2), &json!("champion"), &json!(2))
    );
    let again = server.cli(["promote", "cancer/2", "--to", "champion"]).json();
    assert_eq!(again["revision"], 2, "the same version again is no move");
    let (_, history) = server.get_as_admin("/api/v1/models/cancer/aliases/champion/history");
    let newest = &history["items"][0];
    assert_eq!((&newest["from_version"], &newest["to_version"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&newest["actor"], &newest["reason"]),
        (&json!("user:admin"), &json!("recall 0.97"))
    );
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_rollback_brings_the_release_before_back_and_holds_it() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    server
        .cli(["push", model("breast_cancer.onnx").to_str().unwrap(), "--name", "cancer", "--force"])
        .json();
    server.cli(["promote", "cancer/2", "--to", "champion"]).json();
    wait_until("version 2 answers", Duration::from_secs(20), || {
        server.cli(["endpoints", "show", "cancer"]).json()["live"]["versions"][0]["version"] == 2
    });
    let back = server.cli(["rollback", "cancer", "--reason", "odd answers", "--wait"]).json();
    assert_eq!((&back["release"], &back["state"]), (&json!(3), &json!("completed")));
    let endpoint = server.cli(["endpoints", "show", "cancer"]).json();
    assert_eq!(
        (&endpoint["live"]["versions"][0]["version"], &endpoint["held"]),
        (&json!(1), &json!(true))
    );
    let releases = server.cli(["endpoints", "releases", "cancer"]).json();
    assert_eq!(releases["items"][1]["state"], "rolled_back");
}

#[test]
fn a_follower_that_cannot_take_the_version_stays_and_says_why() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    server
        .cli(["push", model("unknown_operator.onnx").to_str().unwrap(), "--name", "cancer"])
        .error(1);
    let moved = server.cli(["promote", "cancer/2", "--to", "champion"]).json();
    let blocked = moved["followers"][0]["blocked"].as_str().unwrap();
    assert!(blocked.contains("NoSuchOp"), "{blocked}");
    let endpoint = server.cli(["endpoints", "show", "cancer"]).json();
    assert_eq!(endpoint["live"]["versions"][0]["version"], 1);
    assert_eq!(endpoint["blocked"].as_str(), Some(blocked));
}
