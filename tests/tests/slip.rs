//! The slip of the hand: a language detector where a sentiment model answers.

use std::time::Duration;

use bottega_tests::{Server, model, model_json, wait_until};
use serde_json::json;

fn answers(server: &Server) -> serde_json::Value {
    let body = model_json("sentiment.example.json").to_string();
    server.cli(["predict", "mood", "--json", &body]).json()
}

fn push(server: &Server, file: &str, name: &str) -> i64 {
    let path = model(file);
    let pushed = server.cli(["push", path.to_str().unwrap(), "--name", name, "--force"]).json();
    assert_eq!(pushed["status"], "ready", "{pushed}");
    pushed["version"].as_i64().unwrap()
}

#[test]
fn a_language_detector_does_not_slip_into_the_place_of_a_sentiment_model() {
    let server = Server::start();
    push(&server, "sentiment.onnx", "sentiment");
    push(&server, "language.onnx", "language");
    server.cli(["promote", "sentiment/1", "--to", "champion"]).json();
    let deploy = ["deploy", "mood", "--model", "sentiment@champion", "--wait"];
    assert_eq!(server.cli(deploy).json()["state"], "completed");
    let before = answers(&server);

    // By deploy: refused as a gate is, with both signatures.
    let slip = ["deploy", "mood", "--model", "language/1", "--wait"];
    let error = server.cli(slip).error(3);
    assert_eq!(error["code"], "gate_refused");
    let probabilities = |side: &str| {
        let outputs = error["contract"][side]["signature"]["outputs"].as_array().unwrap();
        outputs.iter().find(|it| it["name"] == "probabilities").unwrap()["shape"][1].clone()
    };
    assert_eq!((probabilities("expected"), probabilities("got")), (json!(2), json!(3)));
    // People see two columns.
    let shown = server.cli_command().args(slip).output().unwrap();
    let shown = String::from_utf8(shown.stderr).unwrap();
    for part in [
        "EXPECTED",
        "GOT",
        "output `probabilities`",
        "FP32 [?, 2]",
        "FP32 [?, 3]",
        "contract set mood",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }

    // By a push under the wrong name, and a promotion: the follower stays where it is.
    let wrong = push(&server, "language.onnx", "sentiment");
    let moved = server.cli(["promote", &format!("sentiment/{wrong}"), "--to", "champion"]).json();
    let blocked = moved["followers"][0]["blocked"].as_str().unwrap();
    assert!(blocked.contains("expected FP32 [?, 2], got FP32 [?, 3]"), "{blocked}");
    assert_eq!(answers(&server)["outputs"], before["outputs"]);
    server.cli(["promote", "sentiment/1", "--to", "champion"]).json();
    wait_until("it follows again", Duration::from_secs(20), || {
        let endpoint = server.cli(["endpoints", "show", "mood"]).json();
        endpoint["blocked"].is_null() && endpoint["state"] == "ready"
    });

    // The same signature under another name: only the contract's list of models tells them apart.
    push(&server, "sentiment.onnx", "other-team");
    let set =
        ["endpoints", "contract", "set", "mood", "--allow-model", "sentiment", "--reason", "ours"];
    assert_eq!(server.cli(set).json()["models"], json!(["sentiment"]));
    let error = server.cli(["deploy", "mood", "--model", "other-team/1"]).error(3);
    assert_eq!(error["contract"]["expected"]["models"], json!(["sentiment"]));
    assert_eq!(error["contract"]["got"]["model"], "other-team");

    // Meant so: the contract is changed first, and everybody can read by whom.
    let set = ["endpoints", "contract", "set", "mood", "--from", "language/1", "--any-model"];
    server.cli(set).json();
    assert_eq!(server.cli(slip).json()["state"], "completed");
    let (_, audit) = server.get_as_admin("/api/v1/audit/events?limit=200");
    let changes = audit["items"].as_array().unwrap().iter();
    let changes: Vec<_> = changes.filter(|it| it["change"] == "contract.set").collect();
    assert_eq!(changes.len(), 3);
    assert_eq!(changes[0]["detail"]["before"]["models"], json!(["sentiment"]));
    assert_eq!(changes[0]["actor"], "user:admin");
    server.cli(["endpoints", "contract", "clear", "mood", "--if-revision", "9"]).error(1);
    server.cli(["endpoints", "contract", "clear", "mood"]).json();
    let shown = server.cli(["endpoints", "contract", "show", "mood"]).json();
    assert_eq!((&shown["signature"], &shown["revision"]), (&json!(null), &json!(4)));
    server.cli(["endpoints", "contract", "set", "mood"]).error(2);
}
