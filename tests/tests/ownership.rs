//! What belongs to one team is given to another: who may, what goes on, and whose room it takes.

use std::time::Duration;

use bottega_tests::{Answer, Server, bottega, model, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A service account of a team.
struct Member {
    token: String,
    url: String,
}

impl Member {
    fn of(server: &Server, name: &str, team: &str) -> Self {
        server.cli(["services", "create", name]).json();
        server.cli(["teams", "add", team, &format!("service:{name}")]).json();
        let made = server.cli(["tokens", "create", "--service", name, "--name", "test"]).json();
        let token = made["token"].as_str().unwrap().to_owned();
        Self { token, url: server.url.clone() }
    }

    fn cli(&self, arguments: &[&str]) -> Answer {
        let mut command = std::process::Command::new(bottega());
        command.args(arguments).args(["--output", "json"]);
        command.env("BOTTEGA_URL", &self.url).env("BOTTEGA_TOKEN", &self.token);
        Answer::of(command.output().unwrap())
    }
}

/// Teams `text` and `risk`, each with a member; the member of `text` serves a model.
fn two_teams() -> (Server, Member, Member) {
    let server = Server::start();
    for team in ["text", "risk"] {
        server.cli(["teams", "create", team]).json();
    }
    let (bob, ana) = (Member::of(&server, "bob", "text"), Member::of(&server, "ana", "risk"));
    let file = model("breast_cancer.onnx");
    bob.cli(&["push", file.to_str().unwrap(), "--name", "fraud", "--alias", "champion"]).json();
    bob.cli(&["deploy", "fraud", "--model", "fraud@champion", "--wait"]).json();
    (server, bob, ana)
}

fn used(server: &Server, team: &str, quota: &str) -> Value {
    let (_, sheet) = server.get_as_admin(&format!("/api/v1/quotas/team:{team}"));
    sheet["used"][quota].clone()
}

#[test]
fn a_model_is_given_to_another_team_and_the_endpoints_that_follow_it_go_on() {
    let (server, bob, ana) = two_teams();
    let to_risk = ["models", "move", "fraud", "--team", "risk"];
    // Members are data scientists: what their team owns they may not give away.
    let error = bob.cli(&to_risk).error(1);
    assert_eq!(error["code"], "forbidden", "{error}");
    assert!(error["message"].as_str().unwrap().contains("administer"), "{error}");
    let error = ana.cli(&to_risk).error(1);
    assert_eq!(error["code"], "not_found", "{error}");
    // Nor is it given to a team where one may register nothing, whatever one may on the model.
    server.cli(["grants", "add", "service:bob", "administer", "model:fraud"]).json();
    let error = bob.cli(&to_risk).error(1);
    assert_eq!(error["message"], "there is no team `risk`", "{error}");
    server.cli(["grants", "add", "service:bob", "register", "team:risk"]).json();

    let error = bob.cli(&["models", "move", "fraud", "--team", "risk", "--if-team", "x"]).error(1);
    assert_eq!((&error["code"], &error["field"]), (&json!("conflict"), &json!("if_team")));
    let moved = bob.cli(&[&to_risk[..], &["--reason", "risk maintains it"]].concat()).json();
    assert_eq!(moved["team"], "risk", "{moved}");
    assert_eq!(ana.cli(&["models", "show", "fraud"]).json()["team"], "risk");
    assert_eq!(bob.cli(&["models", "show", "fraud"]).error(1)["code"], "not_found");

    // The endpoint is still of the team `text`, and follows as before.
    let file = model("breast_cancer.onnx");
    let push = ["push", file.to_str().unwrap(), "--name", "fraud", "--force"];
    assert_eq!(ana.cli(&push).json()["version"], 2);
    ana.cli(&["promote", "fraud/2", "--to", "champion"]).json();
    wait_until("the endpoint serves what ana promoted", Duration::from_secs(60), || {
        let endpoint = bob.cli(&["endpoints", "show", "fraud"]).json();
        assert_eq!(
            (&endpoint["team"], &endpoint["follows"]),
            (&json!("text"), &json!("fraud@champion"))
        );
        endpoint["live"]["versions"][0]["version"] == 2
    });
    // But bob makes no other of it: he does not see the model any more.
    let other = bob.cli(&["deploy", "other", "--model", "fraud@champion"]).error(1);
    assert_eq!(other["code"], "not_found", "{other}");

    let events = server.cli(["audit", "list", "--resource", "model:fraud"]).json();
    let events = events["items"].as_array().unwrap();
    let event = events.iter().find(|event| event["change"] == "model.transferred").unwrap();
    assert_eq!(event["actor"], "service:bob");
    let detail = &event["detail"];
    assert_eq!(
        (&detail["before"]["team"], &detail["after"]["team"]),
        (&json!("text"), &json!("risk"))
    );
    assert_eq!(detail["reason"], "risk maintains it");
}

#[test]
fn the_team_that_takes_a_thing_must_have_room_and_the_other_has_room_again() {
    let (mut server, _bob, _ana) = two_teams();
    server.cli(["quota", "set", "team:risk", "versions=0", "endpoints=0"]).json();
    let error = server.cli(["models", "move", "fraud", "--team", "risk"]).error(4);
    assert_eq!(
        (&error["code"], &error["quota"]["name"]),
        (&json!("quota_exceeded"), &json!("versions"))
    );
    let error = server.cli(["endpoints", "move", "fraud", "--team", "risk"]).error(4);
    assert_eq!(error["quota"]["name"], "endpoints", "{error}");
    assert_eq!(server.cli(["models", "show", "fraud"]).json()["team"], "text");

    server.cli(["quota", "set", "team:risk", "versions=1", "endpoints=1"]).json();
    for noun in ["models", "endpoints"] {
        let moved = server.cli([noun, "move", "fraud", "--team", "risk"]).json();
        assert_eq!(moved["team"], "risk", "{moved}");
        // Again: nothing is to be done.
        server.cli([noun, "move", "fraud", "--team", "risk"]).json();
    }
    for quota in ["models", "versions", "endpoints"] {
        assert_eq!(
            (used(&server, "text", quota), used(&server, "risk", quota)),
            (json!(0), json!(1))
        );
    }
    let gone = server.cli(["models", "move", "fraud", "--no-team"]).json();
    assert_eq!(gone["team"], Value::Null);
    // What quotas refused is in the trail, once for each; it is written at the latest at the end.
    server.signal(Signal::SIGTERM);
    let server = server.restart();
    let (_, events) = server.get_as_admin("/api/v1/audit/events?change=quota.refused");
    let events = events["items"].as_array().unwrap();
    let mut quotas: Vec<_> =
        events.iter().map(|event| event["detail"]["quota"].as_str().unwrap()).collect();
    quotas.sort_unstable();
    assert_eq!(quotas, ["endpoints", "versions"], "{events:?}");
    assert!(events.iter().all(|event| event["actor"] == "user:admin"), "{events:?}");
}

#[test]
fn an_experiment_is_given_to_another_team() {
    let (server, _bob, ana) = two_teams();
    let moved = server.cli(["experiments", "move", "0", "--team", "risk"]).json();
    assert_eq!((&moved["experiment_id"], &moved["team"]), (&json!("0"), &json!("risk")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let url = format!("{}/api/2.0/mlflow/experiments/get?experiment_id=0", server.url);
        let request = server.plain().get(url).bearer_auth(&ana.token);
        request.send().await.unwrap().status().as_u16()
    });
    assert_eq!(status, 200);
    // Nothing becomes nobody's because the name was forgotten.
    let (status, body) = put(&server, "/api/v1/models/fraud/team", &json!({"reason": "x"}));
    assert_eq!((status, &body["error"]["field"]), (400, &json!("team")), "{body}");
}

fn put(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = server.plain().put(format!("{}{path}", server.url)).bearer_auth(server.token);
        let answer = request.json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    })
}
