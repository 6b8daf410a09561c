//! Who may do what: two teams on one platform, through the API and the clients that they use.

use std::time::Duration;

use bottega_tests::{Caller, Database, Platform, Server, bottega, model, tool, wait_until};
use serde_json::{Value, json};

/// A service account with a token, a member of these teams.
struct Actor {
    token: String,
    url: String,
}

impl Actor {
    fn of(server: &Server, name: &str, teams: &[&str]) -> Self {
        server.cli(["services", "create", name]).json();
        for team in teams {
            server.cli(["teams", "add", team, &format!("service:{name}")]).json();
        }
        let made = server.cli(["tokens", "create", "--service", name, "--name", "test"]).json();
        let token = made["token"].as_str().unwrap().to_owned();
        Self { token, url: server.url.clone() }
    }

    /// Runs the command line; answers the exit code and what it wrote.
    fn cli(&self, arguments: &[&str]) -> (i32, Value) {
        let output = std::process::Command::new(bottega())
            .args(arguments)
            .args(["--output", "json"])
            .env("BOTTEGA_URL", &self.url)
            .env("BOTTEGA_TOKEN", &self.token)
            .output()
            .unwrap();
        let code = output.status.code().unwrap();
        let text = if code == 0 { &output.stdout } else { &output.stderr };
        (code, serde_json::from_slice(text).unwrap_or_default())
    }

    #[track_caller]
    fn does(&self, arguments: &[&str]) -> Value {
        let (code, answer) = self.cli(arguments);
        assert_eq!(code, 0, "{arguments:?}: {answer}");
        answer
    }

    /// The error's code and message.
    #[track_caller]
    fn is_refused(&self, arguments: &[&str]) -> (String, String) {
        let (code, answer) = self.cli(arguments);
        assert_ne!(code, 0, "{arguments:?}: {answer}");
        let text = |key: &str| answer["error"][key].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message") + "; " + &text("hint"))
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// Teams `risk` and `text`, each with a member and a model that it serves.
fn two_teams() -> (Server, Actor, Actor) {
    let server = Server::start();
    server.cli(["teams", "create", "risk"]).json();
    server.cli(["teams", "create", "text"]).json();
    let (ana, bob) = (Actor::of(&server, "ana", &["risk"]), Actor::of(&server, "bob", &["text"]));
    for (actor, name) in [(&ana, "fraud"), (&bob, "spam")] {
        let file = model("breast_cancer.onnx");
        let file = file.to_str().unwrap();
        let pushed = actor.does(&["push", file, "--name", name, "--alias", "champion"]);
        assert_eq!(pushed["servable"], "yes", "{pushed}");
        actor.does(&["deploy", name, "--model", &format!("{name}@champion"), "--wait"]);
    }
    (server, ana, bob)
}

#[test]
fn a_team_works_alone_and_another_does_not_even_see_it() {
    let (server, ana, bob) = two_teams();
    assert_eq!(ana.does(&["models", "show", "fraud"])["team"], "risk");
    for (actor, own) in [(&ana, "fraud"), (&bob, "spam")] {
        assert_eq!(names(&actor.does(&["models", "list"])), [own]);
        let endpoints = actor.does(&["endpoints", "list"]);
        assert_eq!(endpoints["items"].as_array().unwrap().len(), 1, "{endpoints}");
    }
    // What bob may not see answers as what is not there.
    let there = bob.is_refused(&["models", "show", "fraud"]);
    let absent = bob.is_refused(&["models", "show", "none"]);
    assert_eq!(there.0, "not_found");
    assert_eq!(there.1.replace("fraud", "none"), absent.1);
    let body = json!({"inputs": []}).to_string();
    for refused in [
        vec!["promote", "fraud/1", "--to", "challenger"],
        vec!["models", "delete", "fraud"],
        vec!["endpoints", "show", "fraud"],
        vec!["deploy", "mine", "--model", "fraud@champion"],
        vec!["predict", "fraud", "--json", &body],
    ] {
        let (code, message) = bob.is_refused(&refused);
        assert!(code == "not_found" || message.contains("fraud"), "{refused:?}: {code} {message}");
        assert!(!message.contains("risk"), "{refused:?}: {message}");
    }
    // Nor may he take the name.
    let file = model("breast_cancer.onnx");
    let (code, _) = bob.is_refused(&["push", file.to_str().unwrap(), "--name", "fraud"]);
    assert_eq!(code, "forbidden");
    assert_eq!(
        server.cli(["versions", "list", "fraud"]).json()["items"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_grant_gives_just_what_it_says_until_it_is_taken_back() {
    let (server, _ana, bob) = two_teams();
    let (code, _) = bob.is_refused(&["grants", "add", "service:bob", "view", "model:fraud"]);
    assert_eq!(code, "not_found");
    server.cli(["grants", "add", "service:bob", "view", "model:fraud"]).json();
    assert_eq!(names(&bob.does(&["models", "list"])), ["fraud", "spam"]);
    let (code, message) = bob.is_refused(&["promote", "fraud/1", "--to", "challenger"]);
    assert_eq!(code, "forbidden");
    assert!(message.contains("bottega grants add service:bob promote model:fraud"), "{message}");

    // Only this alias.
    let grant = ["grants", "add", "service:bob", "promote", "model:fraud", "--alias", "challenger"];
    let dry = server.cli(grant.into_iter().chain(["--dry-run"])).json();
    assert_eq!(dry["lost"], json!([]));
    assert_eq!(dry["gained"][0]["alias"], "challenger", "{dry}");
    let given = server.cli(grant).json();
    bob.does(&["promote", "fraud/1", "--to", "challenger"]);
    assert_eq!(bob.is_refused(&["promote", "fraud/1", "--to", "champion"]).0, "forbidden");
    let why = bob.does(&["grants", "explain", "service:bob", "promote", "model:fraud"]);
    assert_eq!(why["decision"], "refused", "{why}");
    let why = bob.does(&[
        "grants",
        "explain",
        "service:bob",
        "promote",
        "model:fraud",
        "--alias",
        "challenger",
    ]);
    assert_eq!(why["decision"], "allowed");
    let id = given["id"].as_str().unwrap();
    assert!(why["policies"].to_string().contains(id), "{why}");

    // A denial beats it, and a policy says what no grant can.
    let denied = server.cli(["grants", "add", "team:text", "view", "model:fraud", "--deny"]).json();
    assert_eq!(bob.is_refused(&["models", "show", "fraud"]).0, "not_found");
    assert_eq!(names(&bob.does(&["models", "list"])), ["spam"]);
    server.cli(["grants", "remove", denied["id"].as_str().unwrap()]).json();
    server.cli(["grants", "remove", id]).json();
    assert_eq!(bob.is_refused(&["promote", "fraud/1", "--to", "challenger"]).0, "forbidden");
}

#[test]
fn a_policy_is_held_against_its_schema_and_decides_at_once() {
    let (server, ana, _bob) = two_teams();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.cedar");
    let set = |text: &str| {
        std::fs::write(&file, text).unwrap();
        server.cli(["policies", "set", "frozen", file.to_str().unwrap()])
    };
    let error = set("forbid (principal,\n  action == Action::\"promote\" resource);").error(1);
    assert!(error["message"].as_str().unwrap().contains("line 2"), "{error}");
    let error = set("forbid (principal, action == Action::\"view\", resource);").error(1);
    assert!(error["hint"].as_str().unwrap().contains("grant"), "{error}");
    set("forbid (principal, action == Action::\"promote\", resource) when { resource is Model && resource.name == \"fraud\" };").json();
    let (code, message) = ana.is_refused(&["promote", "fraud/1", "--to", "challenger"]);
    assert_eq!(code, "forbidden");
    assert!(message.contains("policy:frozen"), "{message}");
    server.cli(["policies", "delete", "frozen"]).json();
    ana.does(&["promote", "fraud/1", "--to", "challenger"]);
}

#[test]
fn the_last_administrator_stays_and_a_token_is_no_wider_than_its_scopes() {
    let (server, ana, _bob) = two_teams();
    let grants = server.cli(["grants", "list", "--subject", "user:admin"]).json();
    let id = grants["items"][0]["id"].as_str().unwrap().to_owned();
    let error = server.cli(["grants", "remove", &id]).error(1);
    assert_eq!(error["code"], "conflict", "{error}");

    let narrow = ["tokens", "create", "--name", "narrow", "--scope", "view:model:fraud"];
    let narrow = ana.does(&narrow)["token"].as_str().unwrap().to_owned();
    let narrow = Actor { token: narrow, url: server.url.clone() };
    assert_eq!(names(&narrow.does(&["models", "list"])), ["fraud"]);
    narrow.does(&["models", "show", "fraud"]);
    assert_eq!(narrow.is_refused(&["promote", "fraud/1", "--to", "challenger"]).0, "forbidden");
    assert_eq!(narrow.does(&["endpoints", "list"])["items"], json!([]));

    let events = server.cli(["audit", "list", "--actor", "service:ana"]).json();
    wait_until("the refusal is in the trail", Duration::from_secs(20), || {
        let events = server.cli(["audit", "list", "--actor", "service:ana"]).json();
        events.to_string().contains("access.refused")
    });
    drop(events);
}

/// What a member of a team sees through MLflow's client.
const SCRIPT: &str = "
import mlflow
from mlflow.exceptions import MlflowException
client = mlflow.MlflowClient()
print(sorted(model.name for model in client.search_registered_models()))
print(sorted(version.name for version in client.search_model_versions()))
def error(call):
    try:
        call()
    except MlflowException as refused:
        return f'{refused.error_code}: {refused.message}'
    return 'done'
print(error(lambda: client.get_registered_model('fraud')))
print(error(lambda: client.get_registered_model('none')))
mine = client.create_experiment('of the team text')
run = client.create_run(mine)
client.log_metric(run.info.run_id, 'accuracy', 0.5)
print(sorted(experiment.name for experiment in client.search_experiments()))
print(error(lambda: client.create_run('0')))
";

#[test]
fn mlflow_shows_a_team_its_own_things() {
    let (server, ana, bob) = two_teams();
    let script = |actor: &Actor| {
        let output = std::process::Command::new(tool("BOTTEGA_MLFLOW3"))
            .args(["-B", "-c", SCRIPT])
            .env("MLFLOW_TRACKING_URI", &server.url)
            .env("MLFLOW_TRACKING_TOKEN", &actor.token)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let told = script(&bob);
    assert_eq!(&told[..2], ["['spam']", "['spam']"]);
    assert_eq!(told[2].replace("fraud", "none"), told[3]);
    assert!(told[3].contains("RESOURCE_DOES_NOT_EXIST"), "{}", told[3]);
    assert_eq!(told[4], "['of the team text']");
    assert!(told[5].contains("RESOURCE_DOES_NOT_EXIST"), "{}", told[5]);
    // The other team has one of that name of its own? Names are the platform's.
    assert_eq!(ana.does(&["models", "list"])["items"].as_array().unwrap().len(), 1);
    let _ = Caller::of(&server).ask("GET", "/api/v1/models").expect(200);
}

#[test]
fn a_grant_reaches_a_gateway_in_another_process_and_leaves_it_again() {
    let database = Database::empty();
    let platform = Platform::on(&database.url);
    let registry = platform.start("registry", "registry");
    let gateway = platform.start("gateway", "gateway");
    let _deployer = platform.start("deployer", "deployer");
    let app = Actor::of(&registry, "app", &[]);
    registry
        .cli(["push", model("breast_cancer.onnx").to_str().unwrap(), "--name", "cancer"])
        .json();
    registry.cli(["deploy", "cancer", "--model", "cancer/1", "--wait"]).json();
    let status = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = gateway
            .plain()
            .get(format!("{}/v2/models/cancer/ready", gateway.url))
            .bearer_auth(&app.token);
        runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    };
    wait_until("the gateway knows the token", Duration::from_secs(20), || status() != 401);
    assert_eq!(status(), 404);
    let grant = registry.cli(["grants", "add", "service:app", "view", "endpoint:cancer"]).json();
    wait_until("the grant is there", Duration::from_secs(20), || status() == 200);
    registry.cli(["grants", "remove", grant["id"].as_str().unwrap()]).json();
    wait_until("the grant is gone", Duration::from_secs(20), || status() == 404);
}
