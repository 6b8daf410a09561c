//! MLflow's own client, of both majors, against the real binary. What it does is in
//! `tests/clients/mlflow`; each file there has been run against a real `mlflow server` too.

use std::{path::Path, process::Command};

use bottega_tests::tool;

#[test]
fn the_page_about_mlflow_lists_the_calls_that_are_tested() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/mlflow/table.py");
    let output =
        Command::new(tool("BOTTEGA_PYTHON")).arg("-B").arg(table).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
