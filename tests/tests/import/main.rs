//! `bottega import mlflow` from real MLflow servers of both majors, compared by MLflow's own client.

mod hostile;

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::Stdio,
};

use bottega_tests::{Caller, Files, MlflowServer, Server, Weed};
use serde_json::{Value, json};

/// Runs the command with JSON output; answers its exit code and the report.
fn import(server: &Server, source: &str, more: &[&str]) -> (i32, Value) {
    let arguments = [&["import", "mlflow", "--from", source], more].concat();
    let answer = server.cli(arguments);
    let report = serde_json::from_str(&answer.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", answer.stdout, answer.stderr));
    (answer.code, report)
}

/// How many things a report says are new, and how many are changed.
fn moved(report: &Value) -> (u64, u64) {
    let kinds = ["experiments", "runs", "logged_models", "models", "versions"];
    let sum = |what: &str| kinds.iter().map(|kind| report[kind][what].as_u64().unwrap()).sum();
    (sum("carried"), sum("changed"))
}

/// The kinds and names of what was left behind.
fn left(report: &Value) -> Vec<(&str, &str)> {
    let left = report["not_carried"].as_array().unwrap().iter();
    left.map(|left| (left["kind"].as_str().unwrap(), left["name"].as_str().unwrap())).collect()
}

fn same(source: &MlflowServer, server: &Server) {
    source.script("imports/compare.py", &[&source.url, &server.url], server.token);
}

#[test]
fn a_server_of_mlflow_3_comes_over_whole_and_again_only_what_is_new() {
    let source = MlflowServer::start("BOTTEGA_MLFLOW3");
    source.script("imports/fill.py", &["first"], "");
    let server = Server::start();

    let (code, told) = import(&server, &source.url, &["--dry-run"]);
    assert_eq!((code, moved(&told)), (0, (37, 0)), "{told:#}");
    let (code, report) = import(&server, &source.url, &["--verify"]);
    assert_eq!(left(&report), [("files of version", "foreign/1")], "{report:#}");
    assert_eq!(code, 1, "what was left behind is a failure");
    // The experiment 0 was here before.
    assert_eq!(moved(&report), (36, 1), "{report:#}");
    assert_eq!(report["verified"]["differences"], json!([]), "{report:#}");
    assert!(report["points"].as_u64().unwrap() >= 25_017, "{report:#}");
    same(&source, &server);

    let (code, again) = import(&server, &source.url, &[]);
    assert_eq!((code, moved(&again)), (0, (0, 0)), "{again:#}");
    assert_eq!((&again["points"], &again["files"]["carried"]), (&json!(0), &json!(0)), "{again:#}");

    source.script("imports/fill.py", &["more"], "");
    let (code, later) = import(&server, &source.url, &["--verify"]);
    assert_eq!(code, 0, "{later:#}");
    // New: an experiment with a run, a version. Changed: two runs; one experiment's name; two models
    // and a version.
    assert_eq!(moved(&later), (3, 6), "{later:#}");
    assert_eq!((&later["points"], &later["files"]["carried"]), (&json!(2), &json!(1)), "{later:#}");
    assert_eq!(later["verified"]["differences"], json!([]), "{later:#}");
    same(&source, &server);

    an_imported_model_answers(&server);
    what_was_moved_here_stays(&source, &server);
    only_what_is_named(&source);
}

#[test]
fn what_lies_in_a_bucket_comes_over_through_the_server_that_reads_it() {
    comes_over_whole(Files::Bucket(&Weed::start()));
}

#[test]
fn what_lies_in_a_folder_comes_over_through_the_server_that_reads_it() {
    comes_over_whole(Files::Folder);
}

/// Every field and every byte, from a server without a proxy.
fn comes_over_whole(files: Files<'_>) {
    let source = MlflowServer::start_with("BOTTEGA_MLFLOW3", files);
    source.script("imports/fill.py", &["first"], "");
    let server = Server::start();
    let (_, report) = import(&server, &source.url, &["--verify"]);
    assert_eq!(left(&report), [("files of version", "foreign/1")], "{report:#}");
    assert_eq!(moved(&report), (36, 1), "{report:#}");
    assert_eq!(report["verified"]["differences"], json!([]), "{report:#}");
    same(&source, &server);
    an_imported_model_answers(&server);
}

/// The ONNX model that came over is deployed, and answers.
fn an_imported_model_answers(server: &Server) {
    let deployed = server.cli(["deploy", "iris", "--model", "iris-onnx@champion", "--wait"]).json();
    assert_eq!(deployed["state"], "completed", "{deployed:#}");
    let tensor =
        json!({"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]});
    let body = json!({"inputs": [tensor]}).to_string();
    let caller = Caller::of(server);
    let headers = [("content-type", "application/json")];
    let reply = caller.send("POST", "/v2/models/iris/infer", &headers, body);
    assert_eq!(reply.status, 200, "{:#}", reply.body);
    let outputs = reply.body["outputs"].as_array().unwrap();
    let label = outputs.iter().find(|output| output["name"] == "label").unwrap();
    assert_eq!(label["data"], json!([0]), "{:#}", reply.body);
}

/// An alias that somebody moved here since is not moved back.
fn what_was_moved_here_stays(source: &MlflowServer, server: &Server) {
    let promoted = server.cli(["promote", "Ähren iris/3", "--to", "champion"]).json();
    assert_eq!(promoted["version"], 3);
    source.script("imports/fill.py", &["move-back"], "");
    let (code, report) = import(server, &source.url, &[]);
    assert_eq!(code, 1);
    assert_eq!(left(&report), [("alias", "Ähren iris@champion")], "{report:#}");
}

/// One experiment, or one model with what its versions come from.
fn only_what_is_named(source: &MlflowServer) {
    let server = Server::start();
    let (code, report) = import(&server, &source.url, &["--model", "it's a folder"]);
    assert_eq!((code, left(&report)), (0, vec![]), "{report:#}");
    let counts = ["experiments", "runs", "logged_models", "models", "versions"]
        .map(|kind| report[kind]["carried"].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0, 1, 2], "{report:#}");
    let (code, report) = import(&server, &source.url, &["--experiment", "gelöscht"]);
    assert_eq!(code, 0);
    assert_eq!(moved(&report), (2, 0), "{report:#}");
    let nobody = server.cli(["import", "mlflow", "--from", &source.url, "--experiment", "nobody"]);
    assert_eq!(nobody.error(1)["field"], "experiment");

    // A name that is somebody else's here is refused by name, with what hangs on it; the rest comes.
    let caller = Caller::of(&server);
    let headers = [("content-type", "application/json")];
    let path = "/api/2.0/mlflow/experiments/create";
    let body = json!({"name": "later"}).to_string();
    assert_eq!(caller.send("POST", path, &headers, body).status, 200);
    let path = "/api/v1/models";
    let body = json!({"name": "empty"}).to_string();
    assert_eq!(caller.send("POST", path, &headers, body).status, 201);
    let (code, report) = import(&server, &source.url, &[]);
    assert_eq!(code, 1);
    let mut found = left(&report);
    found.sort_unstable();
    assert_eq!(found.len(), 3, "{report:#}");
    assert!(found[0].0 == "experiment" && found[0].1.starts_with("later ("), "{found:?}");
    assert_eq!(found[2].0, "model", "{found:?}");
}

#[test]
fn a_server_of_mlflow_2_comes_over_whole_and_again_only_what_is_new() {
    let source = MlflowServer::start("BOTTEGA_MLFLOW2");
    source.script("imports/fill.py", &["first"], "");
    let server = Server::start();
    let (code, report) = import(&server, &source.url, &["--verify"]);
    // One file has a name that this server cannot send.
    let found = left(&report);
    let [("files of run", file), ("files of version", "foreign/1")] = found[..] else {
        panic!("{report:#}")
    };
    assert!(file.ends_with(": 学.txt"), "{report:#}");
    assert_eq!((code, &report["version"]), (1, &json!("2.22.2")), "{report:#}");
    let differences = report["verified"]["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{report:#}");
    same(&source, &server);
    source.script("imports/fill.py", &["more"], "");
    let (code, report) = import(&server, &source.url, &[]);
    assert_eq!((code, moved(&report)), (1, (3, 6)), "{report:#}");
    assert_eq!(left(&report), [("files of run", file)], "{report:#}");
    same(&source, &server);
}

#[test]
fn whatever_is_killed_in_the_middle_goes_on_where_it_was() {
    let source = MlflowServer::start("BOTTEGA_MLFLOW3");
    source.script("imports/fill.py", &["first"], "");
    let mut server = Server::start();
    // At the first lines of several parts, once the command and once the server.
    for (part, kill_server) in [
        ("runs of `Erste", false),
        ("runs of `models", true),
        ("logged models", false),
        ("registered", true),
    ] {
        let mut command = server.cli_command();
        let mut child = command
            .args(["import", "mlflow", "--from", &source.url])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reached = lines.map_while(Result::ok).any(|line| line.starts_with(part));
        assert!(reached, "it never came to `{part}`");
        if kill_server {
            server = server.kill_and_restart();
            assert!(!child.wait().unwrap().success(), "it ended well without a server");
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let (_, report) = import(&server, &source.url, &["--verify"]);
    assert_eq!(report["verified"]["differences"], json!([]), "{report:#}");
    same(&source, &server);
    let (code, again) = import(&server, &source.url, &[]);
    assert_eq!((code, moved(&again), &again["points"]), (0, (0, 0), &json!(0)), "{again:#}");
}

#[test]
fn what_is_no_mlflow_server_is_told_in_words() {
    let server = Server::start();
    let error = |more: &[&str], code: i32| -> Value {
        server.cli([&["import", "mlflow"], more].concat()).error(code)
    };
    let message = |error: &Value| error["message"].as_str().unwrap().to_owned();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = error(&["--from", "ftp://x"], 1);
    assert!(message(&away).contains("expected http://HOST:PORT"), "{away:#}");
    let itself = error(&["--from", &server.url], 2);
    assert!(message(&itself).contains("this Bottega itself"), "{itself:#}");
    // Another Bottega speaks MLflow, and wants a token.
    let other = Server::start();
    let refused = error(&["--from", &other.url, "--token", "wrong"], 1);
    assert!(message(&refused).contains("refuses the credentials"), "{refused:#}");
    assert!(refused["hint"].as_str().unwrap().contains("--token"), "{refused:#}");
    let fine = server.cli(["import", "mlflow", "--from", &other.url, "--token", other.token]);
    assert_eq!(fine.json()["experiments"]["changed"], 1);
    let page = error(&["--from", &format!("{}/docs", other.url), "--token", other.token], 1);
    assert!(message(&page).contains("is this an MLflow server?"), "{page:#}");
    let nobody = error(&["--from", &format!("http://127.0.0.1:{port}")], 1);
    assert!(message(&nobody).contains("cannot be reached"), "{nobody:#}");
}
