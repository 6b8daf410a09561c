//! Users, teams, service accounts and tokens, as their people and programs use them.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
    time::Duration,
};

use bottega_tests::{Database, Platform, Server, bottega, model, tool, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";

/// Somebody at a machine of their own.
struct Person {
    home: TempDir,
    url: String,
}

impl Person {
    fn at(server: &Server) -> Self {
        Self { home: tempfile::tempdir().unwrap(), url: server.url.clone() }
    }

    fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(bottega())
            .args(arguments)
            .args(["--output", "json"])
            .env("XDG_CONFIG_HOME", self.home.path())
            .env_remove("BOTTEGA_TOKEN")
            .env_remove("BOTTEGA_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn log_in(&self, user: &str, stdin: &str) -> Output {
        self.run(&["login", "--user", user, "--password-stdin", "--url", &self.url], stdin)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments, "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat())
        .into_owned()
}

/// Makes a user, and changes their first password.
fn user(server: &Server, name: &str) -> Person {
    let made = server.cli(["users", "create", name]).json();
    let first = made["password"].as_str().unwrap();
    let person = Person::at(server);
    let early = person.log_in(name, first);
    assert_eq!(early.status.code(), Some(2), "{}", text(&early));
    let done = person.log_in(name, &format!("{first}\n{PASSWORD}\n"));
    assert!(done.status.success(), "{}", text(&done));
    person
}

#[test]
fn a_person_logs_in_by_password_and_works_with_a_token_from_then_on() {
    let server = Server::start();
    let ana = user(&server, "ana");
    server.cli(["teams", "create", "risk"]).json();
    server.cli(["teams", "add", "risk", "ana"]).json();
    let me = ana.json(&["whoami"]);
    assert_eq!((&me["actor"], &me["teams"]), (&json!("user:ana"), &json!(["risk"])));
    assert_eq!(server.cli(["teams", "show", "risk"]).json()["members"], json!(["user:ana"]));

    let token = ana.json(&[
        "tokens",
        "create",
        "--name",
        "narrow",
        "--scope",
        "view",
        "--expires-in",
        "1d",
    ]);
    assert_eq!(token["scopes"], json!(["view"]));
    let listed = server.cli(["tokens", "list", "--holder", "user:ana"]).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");
    ana.json(&["tokens", "revoke", token["id"].as_str().unwrap()]);
    assert_eq!(
        ana.json(&["tokens", "list", "--holder", "user:ana"])["items"].as_array().unwrap().len(),
        1
    );

    let wrong = Person::at(&server).log_in("ana", "a wrong password");
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong));
    let changed = format!("{PASSWORD}\nanother good password\n");
    let output = ana.run(&["users", "password", "--password-stdin"], &changed);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!Person::at(&server).log_in("ana", PASSWORD).status.success());
    assert!(Person::at(&server).log_in("ana", "another good password").status.success());
    let events = server.cli(["audit", "list"]).json().to_string();
    assert!(!events.contains(PASSWORD) && events.contains("password.changed"), "{events}");
}

/// A script that logs a run as whom its environment says.
const SCRIPT: &str = "
import mlflow
mlflow.set_experiment('of a person')
with mlflow.start_run() as run:
    mlflow.log_metric('accuracy', 0.9)
print(mlflow.get_run(run.info.run_id).data.metrics['accuracy'])
";

#[test]
fn mlflow_takes_user_and_password() {
    let server = Server::start();
    let _ana = user(&server, "ana");
    server.cli(["teams", "create", "risk"]).json();
    server.cli(["teams", "add", "risk", "ana"]).json();
    let run = |password: &str| {
        Command::new(tool("BOTTEGA_MLFLOW3"))
            .args(["-B", "-c", SCRIPT])
            .env("MLFLOW_TRACKING_URI", &server.url)
            .env("MLFLOW_TRACKING_USERNAME", "ana")
            .env("MLFLOW_TRACKING_PASSWORD", password)
            .env_remove("MLFLOW_TRACKING_TOKEN")
            .output()
            .unwrap()
    };
    let done = run(PASSWORD);
    assert!(done.status.success(), "{}", text(&done));
    assert!(text(&done).contains("0.9"));
    let refused = run("a wrong password");
    assert!(
        !refused.status.success() && text(&refused).contains("password is wrong"),
        "{}",
        text(&refused)
    );
    let events = server.cli(["audit", "list", "--actor", "user:ana"]).json();
    let changes: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|e| e["change"].clone()).collect();
    assert!(changes.contains(&json!("run.created")), "{changes:?}");
}

#[test]
fn who_is_disabled_in_one_process_is_refused_in_the_others() {
    let database = Database::empty();
    let platform = Platform::on(&database.url);
    let registry = platform.start("registry", "registry");
    let gateway = platform.start("gateway", "gateway");
    registry.cli(["services", "create", "app"]).json();
    let token = |name: &str| {
        let made = registry.cli(["tokens", "create", "--service", "app", "--name", name]).json();
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    };
    let ((first, one), (_, other)) = (token("one"), token("other"));
    let status = |token: &str| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = gateway.plain().get(format!("{}/v2", gateway.url)).bearer_auth(token);
        runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    };
    let soon = |what: &str, token: &str, expected: u16| {
        wait_until(what, Duration::from_secs(20), || status(token) == expected);
    };
    soon("the gateway knows both tokens", &one, 200);
    soon("the gateway knows both tokens", &other, 200);
    registry.cli(["tokens", "revoke", &first]).json();
    soon("the revoked one is refused", &one, 401);
    assert_eq!(status(&other), 200);
    registry.cli(["services", "disable", "app"]).json();
    soon("the other is refused with its holder", &other, 401);
    registry.cli(["services", "enable", "app"]).json();
    soon("it is back with its holder", &other, 200);
    assert_eq!(status(&one), 401);
    registry.cli(["services", "delete", "app"]).json();
    soon("it is gone with its holder", &other, 401);
    registry.cli(["services", "create", "app"]).json();
    let (_, new) = token("new");
    soon("the next of that name has tokens of its own", &new, 200);
    assert_eq!((status(&one), status(&other)), (401, 401));
}

#[test]
fn who_is_deleted_leaves_what_they_made_and_nothing_to_the_next_of_that_name() {
    let server = Server::start();
    let ana = user(&server, "ana");
    server.cli(["teams", "create", "risk"]).json();
    server.cli(["teams", "add", "risk", "ana"]).json();
    let file = model("breast_cancer.onnx");
    ana.json(&["push", file.to_str().unwrap(), "--name", "cancer"]);
    server.cli(["grants", "add", "user:ana", "role:administrator", "*"]).json();
    let error = server.cli(["teams", "delete", "risk"]).error(1);
    assert_eq!((&error["code"], &error["field"]), (&json!("conflict"), &json!("team")));
    assert!(error["message"].as_str().unwrap().contains("model:cancer"), "{error}");

    let gone = server.cli(["users", "delete", "ana"]).json();
    assert_eq!((&gone["name"], &gone["deleted"]), (&json!("ana"), &json!(true)));
    assert!(!ana.run(&["whoami"], "").status.success());
    assert_eq!(server.cli(["users", "delete", "ana"]).error(1)["code"], "not_found");
    let shown = server.cli(["models", "show", "cancer"]).json();
    assert_eq!((&shown["name"], &shown["team"]), (&json!("cancer"), &json!("risk")));
    let next = user(&server, "ana");
    let hidden = next.run(&["models", "show", "cancer"], "");
    assert!(text(&hidden).contains("not_found"), "{}", text(&hidden));
    let events = server.cli(["audit", "list", "--actor", "user:ana"]).json().to_string();
    assert!(events.contains("version.registered"), "{events}");
    let events = server.cli(["audit", "list", "--actor", "user:admin"]).json().to_string();
    assert!(events.contains("user.deleted"), "{events}");
    assert_eq!(server.cli(["users", "delete", "admin"]).error(1)["code"], "conflict");
}

#[test]
fn grpc_knows_the_same_people() {
    // Asked over HTTP by Basic and over gRPC by the same header.
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let _ana = user(&server, "ana");
    server.cli(["grants", "add", "user:ana", "role:viewer", "endpoint:cancer"]).json();
    let script = "
import sys, base64, tritonclient.grpc as grpc
client = grpc.InferenceServerClient(sys.argv[1])
pair = base64.b64encode(f'ana:{sys.argv[2]}'.encode()).decode()
print(client.is_model_ready('cancer', headers={'authorization': 'Basic ' + pair}))
";
    let run = |password: &str| {
        Command::new(tool("BOTTEGA_PYTHON"))
            .args(["-B", "-c", script, &server.grpc, password])
            .output()
            .unwrap()
    };
    let done = run(PASSWORD);
    assert!(text(&done).contains("True"), "{}", text(&done));
    let refused = run("a wrong password");
    assert!(text(&refused).contains("wrong"), "{}", text(&refused));
}
