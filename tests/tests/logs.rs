//! `bottega logs`: what an endpoint answered lately.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Duration,
};

use bottega_tests::{Caller, Server, model, model_json, wait_until};
use serde_json::{Value, json};

fn entries(server: &Server, more: &[&str]) -> Vec<Value> {
    let answer = server.cli([&["logs", "cancer"], more].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn predictions_are_told_and_followed() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let caller = Caller::of(&server);
    let path = "/v2/models/cancer/infer";
    caller.json("POST", path, &model_json("breast_cancer.example.json")).expect(200);
    caller.json("POST", path, &json!({"inputs": []})).v2_refusal(400);
    wait_until("both are told", Duration::from_secs(20), || entries(&server, &[]).len() == 2);
    let told = entries(&server, &["--since", "10m"]);
    let codes: Vec<_> = told.iter().map(|entry| entry["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["ok", "invalid"]);
    assert_eq!((&told[0]["model"], &told[0]["version"]), (&json!("cancer"), &json!(1)));
    assert_eq!((&told[0]["caller"], &told[0]["left_out"]), (&json!("user:admin"), &json!(0)));
    assert_eq!(told[1]["field"], "inputs");
    assert_eq!(entries(&server, &["--limit", "1"]).len(), 1);
    assert!(entries(&server, &["--since", "2099-01-01T00:00:00Z"]).is_empty());
    assert_eq!(server.cli(["logs", "cancer", "--since", "soon"]).error(1)["field"], "since");
    assert_eq!(server.cli(["logs", "nothing"]).error(1)["code"], "not_found");

    let mut following = server
        .cli_command()
        .args(["logs", "cancer", "--limit", "1", "--follow", "--output", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["id"], told[1]["id"]);
    caller.json("POST", path, &model_json("breast_cancer.example.json")).expect(200);
    let followed = next();
    assert_eq!(followed["code"], "ok");
    assert!(followed["id"].as_i64() > told[1]["id"].as_i64());
    following.kill().unwrap();
    following.wait().unwrap();
}
