//! Where versions run: in the node's process, or in one of their own.

use std::{fs, time::Duration};

use bottega_tests::{Caller, Options, Server, model, model_json, wait_for, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const INFER: &str = "/v2/models/cancer/infer";

/// The processes of versions that a server started: those of its keepers' keepers.
fn engines(server: &Server) -> Vec<i32> {
    let processes = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
    };
    let parent = |id: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let node = server.pid();
    let is_engine = |id: &i32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("\0worker\0--engine\0")
            && parent(*id).and_then(parent) == Some(node.as_raw())
    };
    processes().filter(is_engine).collect()
}

#[test]
fn a_version_moves_to_a_process_of_its_own_and_back() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let caller = Caller::of(&server);
    let example = model_json("breast_cancer.example.json");
    let outputs =
        || -> Value { caller.json("POST", INFER, &example).expect(200)["outputs"].clone() };
    let expected = outputs();
    assert!(engines(&server).is_empty());

    let set = |isolation: &str| {
        server.cli(["versions", "set", "cancer/1", "--isolation", isolation]).json()
    };
    assert_eq!(set("process")["isolation"], "process");
    wait_until("it is in its own", PATIENCE, || !engines(&server).is_empty());
    assert_eq!(server.cli(["versions", "show", "cancer/1"]).json()["isolation"], "process");
    assert_eq!(outputs(), expected);

    // What one ends of them is started again.
    for engine in engines(&server) {
        kill(Pid::from_raw(engine), Signal::SIGKILL).unwrap();
    }
    wait_until("it answers again", PATIENCE, || caller.json("POST", INFER, &example).status == 200);
    assert_eq!(outputs(), expected);

    // The release has the last word.
    let deploy = |isolation: &str| {
        server.cli([
            "deploy",
            "cancer",
            "--model",
            "cancer@champion",
            "--isolation",
            isolation,
            "--wait",
        ])
    };
    assert_eq!(deploy("in-process").json()["state"], "completed");
    wait_until("it is back", PATIENCE, || engines(&server).is_empty());
    assert_eq!(outputs(), expected);
    assert_eq!(deploy("process").json()["state"], "completed");
    wait_until("it is out again", PATIENCE, || !engines(&server).is_empty());
    let shown = server.cli(["endpoints", "show", "cancer"]).json();
    assert_eq!(shown["live"]["serving"]["isolation"], "process", "{shown:#}");

    // A team says it for all its versions that say nothing.
    server.cli(["teams", "create", "risk"]).json();
    let team =
        |isolation: &str| server.cli(["teams", "set", "risk", "--isolation", isolation]).json();
    assert_eq!(team("process")["isolation"], "process");
    let refused = caller.json("PATCH", "/api/v1/teams/risk", &json!({"isolation": "container"}));
    assert!(refused.refusal(400).1.contains("expected `in-process` or `process`"), "{refused:?}");
    caller.json("PATCH", "/api/v1/teams/other", &json!({"isolation": null})).refusal(404);
    let file = model("breast_cancer.onnx");
    let push = |more: &[&str]| {
        let fixed = ["push", file.to_str().unwrap(), "--name", "owned", "--team", "risk"];
        server.cli(fixed.iter().chain(more))
    };
    push(&[]).json();
    let before = engines(&server).len();
    server.cli(["deploy", "owned", "--model", "owned/1", "--team", "risk", "--wait"]).json();
    assert!(engines(&server).len() > before);
    assert_eq!(team("default").get("isolation"), None);
    wait_until("what the team said is over", PATIENCE, || engines(&server).len() == before);
    let told = push(&["--isolation", "process"]).error(1);
    assert_eq!(told["field"], "isolation", "{told}");
    assert_eq!(push(&["--isolation", "process", "--force"]).json()["version"], 2);
    assert_eq!(server.cli(["versions", "show", "owned/2"]).json()["isolation"], "process");

    // And so has nobody who says nothing.
    assert_eq!(set("default").get("isolation"), None);
    let without =
        ["deploy", "cancer", "--model", "cancer@champion", "--without", "isolation", "--wait"];
    assert_eq!(server.cli(without).json()["state"], "completed");
    wait_until("it is back again", PATIENCE, || engines(&server).is_empty());
    assert_eq!(server.cli(["versions", "set", "cancer/1", "--isolation", "container"]).code, 2);
    let body = json!({"isolation": "container"});
    let refused = caller.json("PATCH", "/api/v1/models/cancer/versions/1", &body);
    assert!(refused.refusal(400).1.contains("expected `in-process` or `process`"), "{refused:?}");
}

#[test]
fn a_node_runs_versions_as_it_is_told() {
    let options =
        Options { arguments: vec!["--isolation".into(), "process".into()], ..Options::default() };
    let server = Server::start_with(options);
    server.serve("cancer", &model("breast_cancer.onnx"));
    assert!(!engines(&server).is_empty());
    let answer = Caller::of(&server).json("POST", INFER, &model_json("breast_cancer.example.json"));
    let expected = model_json("breast_cancer.expected.json");
    assert_eq!(answer.expect(200)["outputs"][0]["data"], expected["outputs"][0]["data"]);
    let engines = engines(&server);
    drop(server);
    wait_until("they went with it", PATIENCE, || {
        engines.iter().all(|engine| !fs::exists(format!("/proc/{engine}")).unwrap())
    });
}

#[test]
fn a_model_that_was_running_at_two_deaths_is_isolated_by_itself() {
    let mut server = Server::start();
    server.serve("moody", &model("moody.onnx"));
    server.serve("cancer", &model("breast_cancer.onnx"));
    for _ in 0..2 {
        assert!(engines(&server).is_empty());
        let caller = Caller::of(&server);
        // Its answer never comes.
        let slow = std::thread::spawn(move || {
            let input =
                json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1e12, 0.0]});
            caller.json("POST", "/v2/models/moody/infer", &json!({"inputs": [input]}))
        });
        let running = server.data_dir().join("running");
        wait_until("it runs", PATIENCE, || {
            let files = fs::read_dir(&running).unwrap().flatten();
            files.filter(|file| fs::read(file.path()).is_ok_and(|byte| byte == [1])).count() == 1
        });
        server = server.kill_and_restart();
        assert!(slow.join().is_err());
    }
    wait_until("it is isolated", PATIENCE, || engines(&server).len() == 1);
    let nodes = || server.cli(["status"]).json();
    wait_for("its replica says why", PATIENCE, nodes, |nodes| {
        nodes.to_string().contains("twice it was running")
    });
    let audit = server.cli(["audit", "list", "--resource", "model:moody"]).json();
    assert!(audit.to_string().contains("version.isolated"), "{audit:#}");
    let answer = Caller::of(&server).json("POST", INFER, &model_json("breast_cancer.example.json"));
    answer.expect(200);
}
