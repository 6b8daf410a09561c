//! A source that is not to be trusted: a server that only looks like MLflow's.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use bottega_tests::Server;
use serde_json::{Value, json};

use super::{import, left, moved};

const RUN: &str = "0123456789abcdef0123456789abcdef";

/// Answers `(status, headers, body)` for each request line, one connection each, for ever.
fn serve(answer: impl Fn(&str) -> (u16, String, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let line = read(&stream);
            let (status, headers, body) = answer(&line);
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                body.len()
            );
            // Whoever asked may have gone.
            let _gone = (&stream).write_all(head.as_bytes());
            let _gone = (&stream).write_all(body.as_bytes());
        }
    });
    url
}

/// Reads a whole request; answers its first line.
fn read(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap_or_default();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap_or_default();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap_or_default();
    first
}

fn run(id: &str) -> Value {
    let info = json!({
        "run_id": id, "run_name": "r", "experiment_id": "7", "user_id": "u", "status": "FINISHED",
        "start_time": "1600000000000", "artifact_uri": format!("mlflow-artifacts:/7/{id}/artifacts"),
        "lifecycle_stage": "active", "of tomorrow": {"a": 1},
    });
    json!({"info": info, "data": {"metrics": [{"key": "m", "value": "NaN", "timestamp": "5"}]}})
}

fn answer(line: &str) -> (u16, String, String) {
    let json = |body: Value| (200, String::new(), body.to_string());
    let path = line.split_whitespace().nth(1).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    match path.rsplit("mlflow").next().unwrap_or_default() {
        "/experiments/search" => json(json!({"experiments": [
            {"experiment_id": "7", "name": "seven"}, {"experiment_id": "../8", "name": "eight"},
        ]})),
        "/runs/search" => {
            json(json!({"runs": [run(RUN), run("../../etc")], "next_page_token": ""}))
        }
        "/metrics/get-history" => {
            json(json!({"metrics": [{"key": "m", "value": "NaN", "timestamp": "5", "step": 0}]}))
        }
        "-artifacts/artifacts" if query.ends_with(&format!("{RUN}%2Fartifacts")) => {
            json(json!({"files": [
                {"path": "..", "is_dir": true}, {"path": "a\\b", "file_size": 3}, {"path": "../../fine", "file_size": 3},
                {"path": "longer", "file_size": 3}, {"path": "moved", "file_size": 3},
            ]}))
        }
        path if path.ends_with("/fine") => (200, String::new(), "abc".to_owned()),
        path if path.ends_with("/moved") => {
            (302, "location: http://192.0.2.1/secret\r\n".to_owned(), String::new())
        }
        path if path.ends_with("/longer") => (500, String::new(), "<html>".to_owned()),
        "/registered-models/search" | "/logged-models/search" => json(json!({})),
        "-artifacts/artifacts" => json(json!({})),
        _ => (404, String::new(), "<html>".to_owned()),
    }
}

#[test]
fn a_source_that_lies_harms_nobody_and_is_told_about() {
    let server = Server::start();
    let url = serve(answer);
    let (code, report) = import(&server, &url, &[]);
    assert_eq!((code, moved(&report)), (1, (2, 0)), "{report:#}");
    let kinds: Vec<_> = left(&report).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "experiment").count(), 1, "{report:#}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "run").count(), 1, "{report:#}");
    // `..`, the backslash, what fails, what is elsewhere.
    assert_eq!(kinds.iter().filter(|kind| **kind == "files of run").count(), 4, "{report:#}");
    assert_eq!(
        (&report["points"], &report["files"]["carried"]),
        (&json!(1), &json!(1)),
        "{report:#}"
    );

    let away = "location: http://192.0.2.1/secret\r\n";
    let url = serve(move |_| (302, away.to_owned(), String::new()));
    let refused = server.cli(["import", "mlflow", "--from", &url]).error(1);
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("redirects to http://192.0.2.1/secret"), "{refused:#}");
    let url = serve(|_| (200, String::new(), "<html>a page</html>".to_owned()));
    let refused = server.cli(["import", "mlflow", "--from", &url]).error(1);
    assert!(refused["message"].as_str().unwrap().contains("is this an MLflow server?"));
}
