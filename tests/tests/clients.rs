//! Clients that others wrote, as they come from PyPI. What they do is in `tests/clients`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bottega_tests::{Server, model, tool};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs a script against the server, until it ends well.
fn run(server: &Server, script: &str, arguments: &[&str]) {
    run_by("BOTTEGA_PYTHON", server, script, arguments);
}

/// By the Python of this variable.
fn run_by(python: &str, server: &Server, script: &str, arguments: &[&str]) {
    let output = Command::new(tool(python))
        .arg("-B")
        .arg(tests().join("clients").join(script))
        .args(arguments)
        .env("BOTTEGA_URL", &server.url)
        .env("BOTTEGA_GRPC", &server.grpc)
        .env("BOTTEGA_TOKEN", server.token)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {said}");
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
    run_by("BOTTEGA_MLFLOW3", &server, "scoring.py", &[]);
}

#[test]
fn boto3_calls_the_runtime_of_sagemaker() {
    let server = serving(&["breast_cancer"]);
    run_by("BOTTEGA_MLFLOW3", &server, "sagemaker.py", &[]);
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
