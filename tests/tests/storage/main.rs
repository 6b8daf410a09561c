//! Where bytes lie: on S3, on a disk that rots, on a disk that is full.

mod collection;
mod damage;
mod full;
mod s3;

use bottega_tests::{Answer, Server, model};
use serde_json::Value;

fn push(server: &Server, name: &str, file: &std::path::Path) -> Answer {
    server.cli(["push", file.to_str().unwrap(), "--name", name])
}

fn predict(server: &Server, endpoint: &str) -> Answer {
    let example = model("breast_cancer.example.json");
    server.cli(["predict", endpoint, "--file", example.to_str().unwrap()])
}

/// What a check of `/health/ready` says.
fn check(server: &Server, name: &str) -> Value {
    let (_, health) = server.get("/health/ready");
    let mut checks = health["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name).unwrap().clone()
}
