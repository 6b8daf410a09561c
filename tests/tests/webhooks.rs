//! Webhooks of the real binary, told to a receiver in Python that verifies what it hears.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bottega_tests::{Caller, Options, Server, model, tool, wait_until};
use serde_json::{Value, json};

const SECRET: &str = "hush-2f6c1b7e9d-nobody-may-read-this";
/// Longer than the pause after a first try that failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// `tests/clients/receiver.py`, killed when dropped.
struct Receiver {
    child: Child,
    stdin: ChildStdin,
    heard: Arc<Mutex<Vec<Value>>>,
    url: String,
}

impl Receiver {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/receiver.py");
        let mut child = Command::new(tool("BOTTEGA_PYTHON"))
            .arg("-B")
            .arg(script)
            .arg(SECRET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next().unwrap().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                to.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, stdin, heard, url }
    }

    fn answer(&mut self, status: u16) {
        writeln!(self.stdin, "{status}").unwrap();
        self.stdin.flush().unwrap();
    }

    fn heard(&self) -> Vec<Value> {
        let heard = self.heard.lock().unwrap().clone();
        for delivery in &heard {
            assert_eq!(delivery["fault"], json!(null), "{delivery}");
        }
        heard
    }

    fn count(&self, status: u16) -> usize {
        self.heard().iter().filter(|delivery| delivery["status"] == status).count()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A platform whose webhooks may reach this machine.
fn start() -> Server {
    Server::start_with(Options {
        arguments: ["--webhook-allow", "127.0.0.0/8", "--log", "debug"].map(str::to_owned).into(),
        ..Options::default()
    })
}

fn webhook(server: &Server, receiver: &Receiver, events: &[&str]) -> String {
    let new = json!({"name": "ci", "url": receiver.url, "secret": SECRET, "events": events});
    let made = Caller::of(server).json("POST", "/api/v1/webhooks", &new);
    made.expect(201)["id"].as_str().unwrap().to_owned()
}

fn mlflow(server: &Server, method: &str, path: &str, body: &Value) {
    Caller::of(server).json(method, &format!("/api/2.0/mlflow/{path}"), body).expect(200);
}

/// Points an alias of `cancer` to its first version.
fn alias(server: &Server, name: &str) {
    let body = json!({"name": "cancer", "alias": name, "version": "1"});
    mlflow(server, "POST", "registered-models/alias", &body);
}

fn push(server: &Server) {
    server.cli(["push", model("breast_cancer.onnx").to_str().unwrap(), "--name", "cancer"]).json();
}

/// The events that were told of one thing, in the order in which they came.
fn told(receiver: &Receiver, field: &str, name: &str) -> Vec<String> {
    let heard = receiver.heard();
    let of = heard.iter().map(|delivery| &delivery["body"]);
    of.filter(|body| body["data"][field] == name)
        .map(|body| {
            format!("{}.{}", body["entity"].as_str().unwrap(), body["action"].as_str().unwrap())
        })
        .collect()
}

const EVENTS: [&str; 13] = [
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_stage.moved",
    "endpoint.created",
    "endpoint.deleted",
    "endpoint.rolled_back",
    "release.created",
    "release.completed",
    "release.failed",
];

#[test]
fn what_happens_is_told_signed_and_in_order() {
    let (server, receiver) = (start(), Receiver::start());
    webhook(&server, &receiver, &EVENTS);
    server.serve("cancer", &model("breast_cancer.onnx"));
    let version = json!({"name": "cancer", "version": "1"});
    let with = |key: &str, value: &str| {
        let mut body = version.clone();
        body[key] = json!(value);
        body
    };
    let mut tag = with("key", "checked");
    tag["value"] = json!("yes");
    mlflow(&server, "POST", "model-versions/set-tag", &tag);
    mlflow(&server, "DELETE", "model-versions/delete-tag", &with("key", "checked"));
    mlflow(&server, "POST", "model-versions/transition-stage", &with("stage", "Production"));
    mlflow(&server, "POST", "model-versions/transition-stage", &with("stage", "Archived"));
    server.cli(["endpoints", "delete", "cancer"]).json();
    mlflow(
        &server,
        "DELETE",
        "registered-models/alias",
        &json!({"name": "cancer", "alias": "champion"}),
    );
    wait_until("everything is told", PATIENCE, || receiver.heard().len() >= 12);
    assert_eq!(
        told(&receiver, "name", "cancer"),
        [
            "registered_model.created",
            "model_version.created",
            "model_version_alias.created",
            "model_version_tag.set",
            "model_version_tag.deleted",
            "model_version_stage.moved",
            "model_version_stage.moved",
            "model_version_alias.deleted",
        ]
    );
    assert_eq!(
        told(&receiver, "endpoint", "cancer"),
        ["endpoint.created", "release.created", "release.completed", "endpoint.deleted"]
    );
    let heard = receiver.heard();
    let moves: Vec<_> = heard
        .iter()
        .filter(|delivery| delivery["body"]["entity"] == "model_version_stage")
        .map(|delivery| delivery["body"]["data"].clone())
        .collect();
    let moved =
        |from: &str, to: &str| json!({"name": "cancer", "version": "1", "from": from, "to": to});
    assert_eq!(moves, [moved("None", "Production"), moved("Production", "Archived")]);
}

#[test]
fn what_was_not_told_before_a_kill_is_told_after_it_in_order() {
    let (server, mut receiver) = (start(), Receiver::start());
    push(&server);
    webhook(&server, &receiver, &["model_version_alias.created"]);
    receiver.answer(500);
    alias(&server, "a");
    wait_until("the receiver fails", PATIENCE, || receiver.count(500) >= 1);
    alias(&server, "b");
    alias(&server, "c");
    // Killed at once: nobody has looked at the last of them.
    let server = server.kill_and_restart();
    receiver.answer(200);
    wait_until("all are told", PATIENCE, || receiver.count(200) >= 3);
    let heard = receiver.heard();
    let names = |status: u16| {
        let of = heard.iter().filter(move |delivery| delivery["status"] == status);
        of.map(|delivery| delivery["body"]["data"]["alias"].as_str().unwrap()).collect::<Vec<_>>()
    };
    // At least once, and each for the first time in its turn.
    let mut first = names(200);
    first.dedup();
    assert_eq!(first, ["a", "b", "c"]);
    assert!(names(500).iter().all(|name| *name == "a"), "what fails holds back what is behind it");
    assert_eq!(heard[0]["id"], heard.iter().find(|it| it["status"] == 200).unwrap()["id"]);
    drop(server);
}

#[test]
fn what_was_given_up_is_shown_and_told_again_on_demand() {
    let (server, mut receiver) = (start(), Receiver::start());
    push(&server);
    let id = webhook(&server, &receiver, &["model_version_alias.created"]);
    receiver.answer(410);
    alias(&server, "a");
    let deliveries = |state: &str| {
        server.cli(["webhooks", "deliveries", &id, "--state", state]).json()["items"].clone()
    };
    wait_until("it is given up", PATIENCE, || deliveries("dead").as_array().unwrap().len() == 1);
    let dead = deliveries("dead")[0].clone();
    assert_eq!((&dead["attempts"], &dead["last_status"]), (&json!(1), &json!(410)));
    assert_eq!(dead["last_error"], "the receiver answered 410");
    assert_eq!(dead["event"], "model_version_alias.created");
    let shown =
        Caller::of(&server).ask("GET", &format!("/api/v1/webhooks/{id}/deliveries?state=dead"));
    assert_eq!(shown.expect(200)["items"][0], dead);
    receiver.answer(200);
    let replayed = server.cli(["webhooks", "replay", &id]).json();
    assert_eq!(replayed["replayed"], 1);
    wait_until("it is told", PATIENCE, || receiver.count(200) == 1);
    assert_eq!(receiver.heard()[1]["id"], dead["id"]);
    wait_until("that is known", PATIENCE, || deliveries("dead") == json!([]));
    let (_, audit) = server.get_as_admin("/api/v1/audit/events?limit=100");
    assert!(audit.to_string().contains("webhook.replayed"), "{audit}");
}

#[test]
fn what_only_the_server_reaches_is_refused_in_every_spelling() {
    let server = Server::start();
    let caller = Caller::of(&server);
    for url in [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://10.0.0.8/",
        "http://93.184.215.14/",
    ] {
        let new = json!({"name": "ci", "url": url, "events": ["model_version.created"]});
        let (field, _) = caller.json("POST", "/api/v1/webhooks", &new).refusal(400);
        assert_eq!(field, "url", "{url}");
        let event = json!({"entity": "MODEL_VERSION", "action": "CREATED"});
        let new = json!({"name": "ci", "url": url, "events": [event]});
        let answer = caller.json("POST", "/api/2.0/mlflow/webhooks", &new);
        assert_eq!(answer.expect(400)["error_code"], "INVALID_PARAMETER_VALUE", "{url}");
    }
    assert_eq!(server.cli(["webhooks", "list"]).json()["items"], json!([]));
}

#[test]
fn a_secret_is_written_and_shown_nowhere() {
    let (server, receiver) = (start(), Receiver::start());
    let mut seen = String::new();
    let caller = Caller::of(&server);
    let event = json!({"entity": "REGISTERED_MODEL", "action": "CREATED"});
    let new =
        json!({"name": "visible-name", "url": receiver.url, "secret": SECRET, "events": [event]});
    let made = caller.json("POST", "/api/2.0/mlflow/webhooks", &new);
    let id = made.expect(200)["webhook"]["webhook_id"].as_str().unwrap().to_owned();
    let edit = json!({"secret": SECRET, "description": "kept"});
    seen += &made.body.to_string();
    seen += &caller.json("PATCH", &format!("/api/v1/webhooks/{id}"), &edit).expect(200).to_string();
    let too_long = json!({"secret": SECRET.repeat(100)});
    seen +=
        &caller.json("PATCH", &format!("/api/v1/webhooks/{id}"), &too_long).expect(400).to_string();
    mlflow(&server, "POST", "registered-models/create", &json!({"name": "fraud"}));
    wait_until("it is told", PATIENCE, || receiver.count(200) == 1);
    for path in [
        "/api/v1/webhooks",
        "/api/2.0/mlflow/webhooks",
        &format!("/api/v1/webhooks/{id}"),
        &format!("/api/2.0/mlflow/webhooks/{id}"),
        &format!("/api/v1/webhooks/{id}/deliveries"),
        "/api/v1/audit/events?limit=100",
    ] {
        seen += &caller.ask("GET", path).expect(200).to_string();
    }
    let tested = caller.json("POST", &format!("/api/v1/webhooks/{id}/test"), &json!({}));
    seen += &tested.expect(200).to_string();
    seen += &server.cli(["webhooks", "show", &id]).json().to_string();
    seen += &server.log();
    assert!(seen.contains("visible-name") && seen.contains("webhook.created"));
    assert!(!seen.contains(SECRET), "it is shown");
    // The database is among these files, with its journal.
    let written = files_with(server.data_dir(), b"visible-name");
    assert!(!written.is_empty(), "nothing is found in {}", server.data_dir().display());
    assert_eq!(files_with(server.data_dir(), SECRET.as_bytes()), Vec::<String>::new());
}

/// The files below a folder that hold these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        // What the database removes meanwhile is not there any more.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Ok(content) = std::fs::read(&path)
                && content.windows(bytes.len()).any(|window| window == bytes)
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
