//! Clients that others wrote, as they come from PyPI. What they do is in `tests/clients`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bottega_tests::{Caller, Server, model, run_client, tool, wait_until};
use serde_json::json;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs a script against the server, until it ends well.
fn run(server: &Server, script: &str, arguments: &[&str]) {
    run_client("BOTTEGA_PYTHON", server, script, arguments);
}

fn serving(models: &[&str]) -> Server {
    let server = Server::start();
    for name in models {
        let endpoint = name.replace('_', "-");
        let file = model(&format!("{name}.onnx"));
        server.cli(["push", file.to_str().unwrap(), "--name", name]).json();
        server.cli(["deploy", &endpoint, "--model", &format!("{name}/1"), "--wait"]).json();
    }
    server
}

#[test]
fn tritonclient_and_requests_get_the_answers_that_python_gives() {
    let server = serving(&["breast_cancer", "color_size"]);
    run(&server, "triton.py", &["http"]);
    run(&server, "triton.py", &["grpc"]);
    run(&server, "plain.py", &[]);
}

#[test]
fn tritonclient_sends_and_gets_tensors_in_binary() {
    let server = serving(&["breast_cancer", "color_size"]);
    for name in ["bool", "uint8", "int64", "fp16", "fp32", "bytes"] {
        server.serve(name, &model(&format!("identity/{name}.onnx")));
    }
    run(&server, "binary.py", &[]);
}

#[test]
fn tritonclient_asks_for_statistics_and_is_told_what_there_is_not() {
    let server = serving(&["breast_cancer", "color_size"]);
    run(&server, "extensions.py", &["http"]);
    run(&server, "extensions.py", &["grpc"]);
}

#[test]
fn tritonclient_streams_and_tools_find_their_services() {
    let server = serving(&["breast_cancer", "slow"]);
    run(&server, "stream.py", &[]);
}

#[test]
fn answers_to_many_callers_at_once_never_mix() {
    let server = serving(&["digits"]);
    run(&server, "together.py", &[]);
}

#[test]
fn a_script_for_tensorflow_serving_gets_the_answers_that_python_gives() {
    let server = serving(&["breast_cancer", "color_size"]);
    run(&server, "tensorflow_serving.py", &[]);
}

#[test]
fn what_mlflows_scoring_server_takes_is_answered_as_it_answers() {
    let server = serving(&["breast_cancer", "color_size"]);
    run_client("BOTTEGA_MLFLOW3", &server, "scoring.py", &[]);
}

#[test]
fn boto3_calls_the_runtime_of_sagemaker() {
    let server = serving(&["breast_cancer"]);
    run_client("BOTTEGA_MLFLOW3", &server, "sagemaker.py", &[]);
}

/// The tests of the package in `clients/python`, by a Python that has NumPy and pandas.
#[test]
fn the_python_package_predicts_pushes_deploys_and_promotes() {
    let server = Server::start();
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(tool("BOTTEGA_MLFLOW3"))
        .args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"])
        .arg(format!("--basetemp={}", scratch.path().join("pytest").display()))
        .arg(tests().join("clients/package"))
        .env("BOTTEGA_URL", &server.url)
        .env("BOTTEGA_TOKEN", server.token)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_python_package_is_typed() {
    let cache = tempfile::tempdir().unwrap();
    let package = tests().join("../clients/python");
    let output = Command::new(tool("BOTTEGA_MYPY"))
        .args(["-B", "-m", "mypy", "--config-file", "pyproject.toml", "src"])
        .arg(format!("--cache-dir={}", cache.path().display()))
        .current_dir(package)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// `fraud` in versions that answer the same, twice as much, and the same again.
fn in_three_versions() -> Server {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    for (file, beside) in [
        ("identity/fp32.onnx", ""),
        ("moody.onnx", ""),
        ("identity/fp32.onnx", "again"),
        ("moody.onnx", "again"),
    ] {
        std::fs::copy(model(file), folder.path().join("model.onnx")).unwrap();
        std::fs::write(folder.path().join("README.md"), beside).unwrap();
        server.cli(["push", folder.path().to_str().unwrap(), "--name", "fraud"]).json();
    }
    server
}

#[test]
fn requests_go_where_the_release_sends_them() {
    let server = in_three_versions();
    let deploy = |options: &[&str]| {
        let line = ["deploy", "fraud", "--wait"].iter().chain(options);
        server.cli(line.copied().collect::<Vec<_>>()).json()
    };
    let live = || server.cli(["endpoints", "show", "fraud"]).json()["live"].clone();
    let split = ["--split", "fraud/1=50,fraud/2=50"];
    let rule = ["--rule", "x-beta=yes:fraud/3", "--shadow", "fraud/3=100"];
    let rest = ["--sticky-header", "X-User", "--fallback", "fraud/1", "--request-timeout", "1s"];
    deploy(&[&split[..], &rule, &rest].concat());
    let serving = json!({
        "timeout": "1s",
        "routing": {
            "sticky": {"header": "x-user"},
            "rules": [{"header": "x-beta", "equals": "yes", "version": 3}],
            "shadow": {"version": 3, "percent": 100},
            "fallback": {"version": 1},
        },
    });
    assert_eq!(live()["serving"], serving);
    run(&server, "routing.py", &["header"]);

    let set = deploy(&["--sticky-input", "x", "--without", "rules,shadow"]);
    assert_eq!((&set["release"], &set["state"]), (&json!(2), &json!("completed")));
    let serving = json!({
        "timeout": "1s", "routing": {"sticky": {"input": "x"}, "fallback": {"version": 1}},
    });
    assert_eq!(live()["serving"], serving);
    assert_eq!(live()["versions"].as_array().unwrap().len(), 2, "nothing names version 3 now");
    run(&server, "routing.py", &["input"]);

    for (version, alias) in [(1, "champion"), (2, "challenger"), (4, "retired")] {
        server.cli(["promote", &format!("fraud/{version}"), "--to", alias]).json();
    }
    wait_until("the aliases on the node", std::time::Duration::from_secs(20), || {
        Caller::of(&server).ask("GET", "/v1/models/fraud/labels/challenger").status == 200
    });
    run(&server, "routing.py", &["labels"]);

    let events = server.cli(["audit", "list", "--resource", "endpoint:fraud"]).json();
    let changed = events["items"].as_array().unwrap().iter().find(|event| {
        event["detail"]["release"]["release"] == 2 && event["change"] == "endpoint.deployed"
    });
    let detail = &changed.unwrap()["detail"];
    assert_eq!(detail["release"]["serving"], serving);
    assert_eq!(detail["replaces"]["serving"]["routing"]["sticky"], json!({"header": "x-user"}));

    let back = server.cli(["rollback", "fraud", "--wait"]).json();
    assert_eq!(back["release"], 3);
    assert_eq!(live()["serving"]["routing"]["sticky"], json!({"header": "x-user"}));

    // Each version of a release is a replica.
    server.cli(["quota", "set", "user:admin", "replicas=3"]).json();
    let error = server.cli(["deploy", "fraud", "--fallback", "fraud/4"]).error(4);
    assert_eq!(error["quota"]["name"], "replicas", "{error}");
    deploy(&["--model", "fraud/1", "--without", "rules,shadow,fallback"]);

    for (line, code, field) in [
        (&["--fallback", "churn/1"][..], 2, "fallback"),
        (&["--rule", "x-beta=yes"], 2, "rule"),
        (&["--split", "fraud/1=90,fraud/2=9"], 1, "split"),
        (&["--rule", "cookie:fraud/1"], 1, "serving.routing.rules[0].header"),
        (&["--sticky-input", "age"], 1, "serving.routing.sticky.input"),
        (&["--shadow", "fraud/9"], 1, "serving"),
    ] {
        let line = ["deploy", "fraud"].iter().chain(line).copied().collect::<Vec<_>>();
        assert_eq!(server.cli(line.clone()).error(code)["field"], field, "{line:?}");
    }
}
