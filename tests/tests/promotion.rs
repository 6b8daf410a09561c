//! Promotion by the command line: stages, rules, history, and one call back.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use bottega_tests::{Options, Server, model, wait_for, wait_until};
use serde_json::{Value, json};

/// Pushes the model again, as another version.
fn push(server: &Server, name: &str) {
    let file = model("breast_cancer.onnx");
    server.cli(["push", file.to_str().unwrap(), "--name", name, "--force"]).json();
}

fn serves(server: &Server, endpoint: &str, version: i32) {
    wait_for(
        "the endpoint serves the version",
        Duration::from_secs(20),
        || server.cli(["endpoints", "show", endpoint]).json(),
        |shown| shown["live"]["versions"][0]["version"] == version && shown["state"] == "ready",
    );
}

#[test]
fn an_endpoint_follows_a_stage_that_mlflow_moves() {
    let server = Server::start();
    push(&server, "cancer");
    push(&server, "cancer");
    server.cli(["promote", "cancer/1", "--stage", "Production"]).json();
    let deployed =
        server.cli(["deploy", "cancer", "--model", "cancer/production", "--wait"]).json();
    assert_eq!(
        (&deployed["state"], &deployed["follows"]),
        (&json!("completed"), &json!("cancer/Production"))
    );
    let body = json!({
        "name": "cancer", "version": "2", "stage": "Production", "archive_existing_versions": true,
    });
    let url = format!("{}/api/2.0/mlflow/model-versions/transition-stage", server.url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let request = server.plain().post(url).bearer_auth(server.token).json(&body);
    let answer = runtime.block_on(request.send()).unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    serves(&server, "cancer", 2);
    let (_, releases) = server.get_as_admin("/api/v1/endpoints/cancer/releases");
    assert_eq!(releases["items"].as_array().unwrap().len(), 2);

    let back = server
        .cli(["promote", "cancer", "--stage", "Production", "--back", "--reason", "odd"])
        .json();
    let moved = json!([
        {"version": 1, "from": "Archived", "to": "Production"},
        {"version": 2, "from": "Production", "to": "None"},
    ]);
    assert_eq!((&back["moved"], &back["followers"][0]["release"]), (&moved, &json!(3)));
    serves(&server, "cancer", 1);
}

#[test]
fn a_gate_that_refuses_exits_with_3_and_shows_each_rule() {
    let server = Server::start();
    push(&server, "cancer");
    let rules = ["accuracy >= 0.9", "has signature"];
    for rule in rules {
        server.cli(["models", "rules", "cancer", "add", rule]).json();
    }
    for to in [["--to", "champion"], ["--stage", "Production"]] {
        let promote = ["promote", "cancer/1", to[0], to[1]];
        let error = server.cli(promote).error(3);
        assert_eq!(error["code"], "gate_refused");
        let told: Vec<_> =
            error["rules"].as_array().unwrap().iter().map(|rule| &rule["ok"]).collect();
        assert_eq!(told, [&json!(false), &json!(true)]);
        let output = server.cli_command().args(promote).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        let table = String::from_utf8(output.stderr).unwrap();
        let row =
            |rule: &str| table.lines().find(|line| line.contains(rule) && !line.contains("error"));
        let failed = row("accuracy >= 0.9").unwrap();
        assert!(failed.contains('✗') && failed.contains("no value"), "{table}");
        assert!(row("has signature").unwrap().contains('✓'), "{table}");
        assert!(table.contains("REQUIRED"), "{table}");
        // Passed over only with a reason.
        assert_eq!(
            server.cli_command().args(promote).arg("--override").output().unwrap().status.code(),
            Some(2)
        );
        let over = ["--override", "--reason", "it burns"];
        let output = server.cli_command().args(promote).args(over).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let (_, events) = server.get_as_admin("/api/v1/audit/events?limit=1");
    let detail = &events["items"][0]["detail"];
    assert_eq!(
        (&detail["reason"], &detail["overridden"][0]["ok"]),
        (&json!("it burns"), &json!(false))
    );
}

#[test]
fn history_is_read_and_undone_by_the_command_line() {
    let server = Server::start();
    push(&server, "cancer");
    push(&server, "cancer");
    server.cli(["promote", "cancer/1", "--to", "champion"]).json();
    server.cli(["promote", "cancer/2", "--to", "champion", "--reason", "recall"]).json();
    server.cli(["promote", "cancer/2", "--stage", "Staging"]).json();
    let back = server
        .cli([
            "promote",
            "cancer",
            "--to",
            "champion",
            "--back",
            "--if-revision",
            "2",
            "--reason",
            "odd",
        ])
        .json();
    assert_eq!(
        (&back["version"], &back["alias"], &back["revision"]),
        (&json!(1), &json!("champion"), &json!(3))
    );
    let late =
        server.cli(["promote", "cancer", "--to", "champion", "--back", "--if-revision", "2"]);
    assert_eq!(late.error(1)["field"], "if_revision");

    let history = server.cli(["models", "history", "cancer"]).json();
    let kinds: Vec<_> = history["items"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["alias", "stage", "alias", "alias"]);
    let only = server.cli(["models", "history", "cancer", "--alias", "champion"]).json();
    assert_eq!(only["items"].as_array().unwrap().len(), 3);
    let at = history["items"][2]["at"].as_str().unwrap();
    let then = server.cli(["models", "history", "cancer", "--as-of", at]).json();
    assert_eq!(
        (&then["aliases"][0]["version"], &then["aliases"][0]["reason"], &then["stages"]),
        (&json!(2), &json!("recall"), &json!([]))
    );
    let shown = server.cli(["models", "show", "cancer", "--as-of", at]).json();
    assert_eq!(shown["aliases"], json!({"champion": 2}));
    let shown = server.cli(["versions", "show", "cancer/2", "--as-of", at]).json();
    assert_eq!((&shown["stage"], &shown["aliases"]), (&json!("None"), &json!(["champion"])));

    let text = |arguments: &[&str]| {
        let output = server.cli_command().args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = text(&["models", "history", "cancer"]);
    for part in ["cancer@champion", "cancer/2", "nowhere", "Staging", "user:admin", "odd"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let table = text(&["models", "history", "cancer", "--as-of", at]);
    assert!(table.contains("cancer@champion") && table.contains("recall"), "{table}");
    let said = text(&["promote", "cancer", "--to", "champion", "--back"]);
    assert!(said.contains("cancer@champion is cancer/2 (revision 4)"), "{said}");

    server.cli(["models", "delete", "cancer"]).json();
    let deleted = server.cli(["models", "deleted"]).json();
    assert_eq!(deleted["items"][0]["name"], "cancer");
    let restored = server.cli(["models", "restore", "cancer"]).json();
    assert_eq!(restored["aliases"], json!({"champion": 2}));
    server.cli(["versions", "delete", "cancer/1"]).json();
    server.cli(["versions", "restore", "cancer/1"]).json();
    assert_eq!(server.cli(["versions", "show", "cancer/1"]).json()["version"], 1);
    for wrong in [
        &["promote", "cancer/1"][..],
        &["promote", "cancer/1", "--to", "a", "--stage", "Staging"],
        &["promote", "cancer/1", "--to", "a", "--archive"],
        &["promote", "cancer", "--stage", "Staging", "--back", "--if-revision", "1"],
        &["promote", "cancer/1", "--to", "champion", "--back"],
        &["promote", "cancer", "--to", "champion"],
    ] {
        assert_ne!(
            server.cli_command().args(wrong).output().unwrap().status.code(),
            Some(0),
            "{wrong:?}"
        );
    }
}

/// Takes one delivery after the other, and says yes.
fn receiver() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            let body = loop {
                let read = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                if let Some(body) = body.and_then(|body| serde_json::from_str(&body).ok()) {
                    break body;
                }
            };
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
            if sender.send(body).is_err() {
                break;
            }
        }
    });
    (url, heard)
}

#[test]
fn webhooks_hear_of_blocked_endpoints_and_of_tags_that_our_own_api_changes() {
    let arguments = vec!["--webhook-allow".to_owned(), "127.0.0.0/8".to_owned()];
    let server = Server::start_with(Options { arguments, ..Options::default() });
    let (url, heard) = receiver();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let events = ["--event", "endpoint.blocked", "--event", "model_version_tag.set"];
    server.cli(["webhooks", "create", "ci", "--to", &url].into_iter().chain(events)).json();
    let file = model("unknown_operator.onnx");
    server.cli(["push", file.to_str().unwrap(), "--name", "cancer", "--tag", "a=b"]).error(1);
    let moved = server.cli(["promote", "cancer/2", "--to", "champion"]).json();
    let blocked = heard.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((&blocked["entity"], &blocked["action"]), (&json!("endpoint"), &json!("blocked")));
    assert_eq!(blocked["data"]["reason"], moved["followers"][0]["blocked"]);
    let body = json!({"tags": {"ticket": "R-12"}});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let path = "/models/cancer/versions/2";
    runtime.block_on(server.http().patch::<Value>(path, &body)).unwrap();
    let tag = heard.recv_timeout(Duration::from_secs(20)).unwrap();
    let data = json!({"name": "cancer", "version": "2", "key": "ticket", "value": "R-12"});
    assert_eq!((&tag["entity"], &tag["data"]), (&json!("model_version_tag"), &data));
    wait_until("the endpoint stays where it is", Duration::from_secs(20), || {
        server.cli(["endpoints", "show", "cancer"]).json()["live"]["versions"][0]["version"] == 1
    });
}
