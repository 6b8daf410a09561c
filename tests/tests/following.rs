//! An endpoint follows its alias, without a restart and without a failed request.

use std::time::Duration;

use bottega_tests::{Server, model, wait_until};
use serde_json::json;

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
