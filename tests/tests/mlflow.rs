//! MLflow's own client, of both majors, against the real binary. What it does is in
//! `tests/clients/mlflow`; each file there but `test_multipart.py`, which needs S3, has been run against a
//! real `mlflow server` too.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bottega_tests::{Options, Server, Weed, bottega, model, model_json, tool};
use serde_json::json;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/mlflow")
}

/// Runs a file of tests by the Python that a variable names, against a server of its own.
fn passes(python: &str, file: &str) {
    // Receivers of webhooks are in the tests themselves.
    let arguments = vec!["--webhook-allow".to_owned(), "127.0.0.1".to_owned()];
    let server = Server::start_with(Options { arguments, ..Options::default() });
    passes_on(&server, python, file, &[]);
}

fn passes_on(server: &Server, python: &str, file: &str, environment: &[(&str, &str)]) {
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(tool(python))
        .args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"])
        .args(["--tb=short", "--show-capture=no"])
        .arg(format!("--basetemp={}", scratch.path().join("pytest").display()))
        .arg(scripts().join(file))
        .current_dir(scratch.path())
        .env("MLFLOW_TRACKING_URI", &server.url)
        .env("MLFLOW_TRACKING_TOKEN", server.token)
        .env("BOTTEGA_BINARY", bottega())
        .env("BOTTEGA_URL", &server.url)
        .env("BOTTEGA_TOKEN", server.token)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{file}: {said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn runs_and_what_they_log() {
    passes("BOTTEGA_MLFLOW3", "test_runs.py");
}

#[test]
fn many_clients_at_once() {
    passes("BOTTEGA_MLFLOW3", "test_races.py");
}

#[test]
fn searches_and_metric_histories() {
    passes("BOTTEGA_MLFLOW3", "test_search.py");
}

#[test]
fn searches_find_what_mlflow_finds() {
    passes("BOTTEGA_MLFLOW3", "test_same_searches.py");
}

#[test]
fn arguments_on_the_wire() {
    passes("BOTTEGA_MLFLOW3", "test_wire.py");
}

#[test]
fn refusals_say_what_mlflow_says() {
    passes("BOTTEGA_MLFLOW3", "test_words.py");
}

#[test]
fn files_of_runs() {
    passes("BOTTEGA_MLFLOW3", "test_artifacts.py");
}

/// There the client goes past the server unless it is told not to.
#[test]
fn files_of_runs_on_s3() {
    let weed = Weed::start();
    let arguments = vec!["--artifacts".to_owned(), weed.location("runs")];
    let environment = weed.environment(&[]);
    let server = Server::start_with(Options { arguments, environment, ..Options::default() });
    passes_on(&server, "BOTTEGA_MLFLOW3", "test_multipart.py", &[]);
    let through = [("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")];
    passes_on(&server, "BOTTEGA_MLFLOW3", "test_artifacts.py", &through);
}

#[test]
fn logged_models() {
    passes("BOTTEGA_MLFLOW3", "test_logged_models.py");
}

#[test]
fn registered_models_and_versions() {
    passes("BOTTEGA_MLFLOW3", "test_registry.py");
}

#[test]
fn promotion_rules() {
    passes("BOTTEGA_MLFLOW3", "test_promotion.py");
}

#[test]
fn webhooks() {
    passes("BOTTEGA_MLFLOW3", "test_webhooks.py");
}

#[test]
fn the_server_itself() {
    passes("BOTTEGA_MLFLOW3", "test_server.py");
}

#[test]
fn models_of_three_kinds_are_trained_registered_and_loaded_in_every_form_of_address() {
    passes("BOTTEGA_MLFLOW3", "test_flavours.py");
}

#[test]
fn a_version_is_traced_from_its_dataset_to_its_alias() {
    passes("BOTTEGA_MLFLOW3", "test_lineage.py");
}

#[test]
fn a_folder_with_an_mlmodel_is_pushed_and_the_file_that_it_names_answers() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let put =
        |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    let copy = |from: &str, name: &str| put(name, &std::fs::read(model(from)).unwrap());
    copy("digits.onnx", "model.onnx");
    copy("breast_cancer.onnx", "net.onnx");
    let example = model_json("breast_cancer.example.json");
    let features = &example["inputs"][0];
    let rows: Vec<_> = features["data"].as_array().unwrap().chunks(30).collect();
    put("example.json", json!({"inputs": rows}).to_string().as_bytes());
    put("MLmodel", b"flavors: {onnx: {data: net.onnx}}\nsaved_input_example_info: {artifact_path: example.json, type: ndarray}\n");
    let path = folder.path().to_str().unwrap();
    let pushed = server.cli(["push", path, "--name", "cancer", "--alias", "champion"]).json();
    assert_eq!(
        (&pushed["status"], &pushed["servable"]),
        (&json!("ready"), &json!("yes")),
        "{pushed}"
    );
    let version = server.cli(["versions", "show", "cancer/1"]).json();
    assert_eq!(version["model_file"], "net.onnx");
    assert_eq!(version["input_example"]["inputs"][0]["shape"], features["shape"]);
    server.cli(["deploy", "cancer", "--model", "cancer@champion", "--wait"]).json();
    let answer = server.cli(["predict", "cancer", "--json", &example.to_string()]).json();
    let expected = model_json("breast_cancer.expected.json");
    assert_eq!(answer["outputs"][0]["data"], expected["outputs"][0]["data"]);

    put("MLmodel", b"flavors: {sklearn: {}, python_function: {loader_module: mlflow.sklearn}}\n");
    let pushed = server.cli(["push", path, "--name", "cancer"]).json();
    assert_eq!((&pushed["version"], &pushed["servable"]), (&json!(2), &json!("no")));
    put("MLmodel", b"flavors: {}\nflavors: {}\n");
    let refused = server.cli(["push", path, "--name", "cancer"]);
    assert!(refused.stderr.contains("`MLmodel`: duplicate mapping key"), "{}", refused.stderr);
}

#[test]
fn clients_of_mlflow_2() {
    passes("BOTTEGA_MLFLOW2", "test_second.py");
}

#[test]
fn users_roles_and_permissions_by_clients_of_mlflow_3() {
    passes("BOTTEGA_MLFLOW3", "test_access.py");
}

#[test]
fn users_roles_and_permissions_by_clients_of_mlflow_2() {
    passes("BOTTEGA_MLFLOW2", "test_access_second.py");
}

#[test]
fn the_page_about_mlflow_lists_the_calls_that_are_tested() {
    let output = Command::new(tool("BOTTEGA_PYTHON"))
        .arg("-B")
        .arg(scripts().join("table.py"))
        .arg("--check")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The one file that has environments built; those are hard links into a cache that all tests share.
#[test]
fn models_of_every_flavour_of_python_are_trained_deployed_and_answer() {
    let environment = vec![("BOTTEGA_UV".to_owned(), std::env::var("BOTTEGA_UV").unwrap())];
    let server = Server::start_with(Options { environment, ..Options::default() });
    passes_on(&server, "BOTTEGA_MLFLOW3", "test_python.py", &[]);
}
