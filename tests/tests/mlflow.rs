//! MLflow's own client, of both majors, against the real binary. What it does is in
//! `tests/clients/mlflow`; each file there but `test_multipart.py`, which needs S3, has been run against a
//! real `mlflow server` too.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bottega_tests::{Options, Server, Weed, bottega, tool};

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
fn arguments_on_the_wire() {
    passes("BOTTEGA_MLFLOW3", "test_wire.py");
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
fn clients_of_mlflow_2() {
    passes("BOTTEGA_MLFLOW2", "test_second.py");
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
