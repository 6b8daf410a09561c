//! Artifacts on S3.

use std::{process::Command, time::Duration};

use bottega_tests::{Options, Server, Weed, bottega, model, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{check, predict, push};

fn options(weed: &Weed, prefix: &str, changes: &[(&str, &str)]) -> Options {
    let arguments = vec!["--artifacts".to_owned(), weed.location(prefix)];
    Options { arguments, environment: weed.environment(changes), ..Options::default() }
}

#[test]
fn a_platform_on_s3_survives_a_kill_and_serves_on_while_s3_is_away() {
    let weed = Weed::start();
    let mut server = Server::start_with(options(&weed, "platform", &[]));
    server.serve("cancer", &model("breast_cancer.onnx"));
    let before = predict(&server, "cancer").json();
    let blobs = server.data_dir().join("artifacts");
    assert!(!blobs.join("blobs").exists(), "bytes are on the disk");

    server.signal(Signal::SIGKILL);
    // Whatever answers now comes from S3.
    std::fs::remove_dir_all(server.data_dir().join("cache")).unwrap();
    let server = server.restart();
    assert_eq!(predict(&server, "cancer").json(), before);
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("there");
    server.cli(["pull", "cancer/1", "--to", to.to_str().unwrap()]).json();
    let pulled = std::fs::read(to.join("breast_cancer.onnx")).unwrap();
    assert_eq!(pulled, std::fs::read(model("breast_cancer.onnx")).unwrap());

    // More than one part.
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> =
        (0..20 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(folder.path().join("large.bin"), &large).unwrap();
    push(&server, "large", &folder.path().join("large.bin")).json();
    let to = folder.path().join("there");
    server.cli(["pull", "large/1", "--to", to.to_str().unwrap()]).json();
    assert_eq!(std::fs::read(to.join("large.bin")).unwrap(), large);

    drop(weed);
    wait_until("the artifacts are said to be away", Duration::from_secs(10), || {
        check(&server, "artifacts")["ok"] == false
    });
    assert_eq!(predict(&server, "cancer").json(), before);
}

#[tokio::test]
async fn an_upload_past_the_server_survives_a_kill() {
    let weed = Weed::start();
    let mut server = Server::start_with(options(&weed, "parts", &[]));
    let http = server.plain();
    let post = async |server: &Server, step: &str, body: &Value| {
        let url = format!("{}/api/2.0/mlflow-artifacts/mpu/{step}/0/large", server.url);
        let answer = http.post(url).bearer_auth(server.token).json(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.json::<Value>().await.unwrap()
    };
    let made = post(&server, "create", &json!({"path": "f.bin", "num_parts": 2})).await;
    let contents = [vec![b'x'; 5 << 20], b"the end".to_vec()];
    let mut parts = Vec::new();
    for (part, content) in made["credentials"].as_array().unwrap().iter().zip(&contents) {
        if parts.len() == 1 {
            server.signal(Signal::SIGKILL);
            server = server.restart();
        }
        let put = http.put(part["url"].as_str().unwrap()).body(content.clone());
        let answer = put.send().await.unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap();
        parts.push(json!({"part_number": part["part_number"], "etag": etag}));
    }
    let body = json!({"path": "f.bin", "upload_id": made["upload_id"], "parts": parts});
    post(&server, "complete", &body).await;
    let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/0/large/f.bin", server.url);
    let read = http.get(url).bearer_auth(server.token).send().await.unwrap();
    assert!(read.bytes().await.unwrap() == contents.concat());
}

/// A location, the variables that are changed, and what must be said.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn what_is_wrong_with_s3_is_said_at_the_start_and_by_doctor() {
    let weed = Weed::start();
    let secret = [("AWS_SECRET_ACCESS_KEY", "hush-hush")];
    let key = [("AWS_ACCESS_KEY_ID", "nobody")];
    let nowhere = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    let no_url = [("AWS_ENDPOINT_URL", "nowhere")];
    let cases: &[Case] = &[
        ("s3://bottega/x", &secret, &["credentials were refused", "SignatureDoesNotMatch"]),
        ("s3://bottega/x", &key, &["credentials were refused", "InvalidAccessKeyId"]),
        ("s3://absent/x", &[], &["the bucket `absent` does not exist"]),
        ("s3://bottega/x", &nowhere, &["127.0.0.1:1", "cannot be reached", "refused"]),
        ("s3://bottega/x", &no_url, &["AWS_ENDPOINT_URL", "`nowhere`", "http(s)://HOST:PORT"]),
        ("s3://b/x", &[], &["`s3://b/x` names no bucket", "s3://BUCKET/PREFIX"]),
    ];
    // Each waits for its own answer: at the same time they wait once.
    std::thread::scope(|scope| {
        for &(location, changes, words) in cases {
            let environment = weed.environment(changes);
            scope.spawn(move || {
                let doctor = Command::new(bottega())
                    .args(["doctor", "--output", "json", "--artifacts", location])
                    .envs(environment)
                    .output()
                    .unwrap();
                assert_eq!(doctor.status.code(), Some(1), "{location}");
                let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
                let mut checks = report["checks"].as_array().unwrap().iter();
                let check = checks.find(|check| check["name"] == "artifacts").unwrap();
                assert_eq!(check["ok"], false);
                says(&check.to_string(), words);
            });
        }
        for &(location, changes, words) in cases {
            let mut options = options(&weed, "", changes);
            options.arguments[1] = location.to_owned();
            scope.spawn(move || {
                let refused = Server::try_start(options).err().expect("it started");
                assert_eq!(refused.code, 1);
                says(&refused.stderr, words);
            });
        }
    });
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    assert!(!text.contains("hush-hush") && !text.contains("bottega-secret"), "{text}");
}
