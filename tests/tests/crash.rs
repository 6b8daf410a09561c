//! `kill -9` at random moments: nothing that was answered is lost, nothing is half-ready.

use std::{
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bottega_tests::{Caller, Server, model, model_json, wait_for, wait_until};
use serde_json::{Value, json};

/// A moment between 0 and `most`, another one each time.
fn moment(most: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    most.mul_f64(f64::from(nanos % 1000) / 1000.0)
}

/// What was answered before the kills, and must be there ever after.
#[derive(Default)]
struct Promised {
    versions: i64,
    live_release: i64,
}

fn newest_version(server: &Server) -> i64 {
    let models = server.cli(["versions", "list", "cancer"]).json();
    models["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|v| v["version"].as_i64())
        .max()
        .unwrap_or(0)
}

#[test]
fn twenty_kills_during_push_and_deploy_lose_nothing() {
    let mut server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let mut promised = Promised { versions: 1, live_release: 1 };
    for turn in 0..20 {
        // Each turn pushes new bytes, promotes them and is killed somewhere in between.
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(model("breast_cancer.onnx"), folder.path().join("model.onnx")).unwrap();
        std::fs::write(folder.path().join("turn"), turn.to_string()).unwrap();
        let push =
            ["push", folder.path().to_str().unwrap(), "--name", "cancer", "--alias", "champion"];
        let mut pushing = server
            .cli_command()
            .args(push)
            .args(["--output", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment(Duration::from_millis(900)));
        let answered = pushing.try_wait().unwrap().is_some_and(|status| status.success());
        server = server.kill_and_restart();
        let output = pushing.wait_with_output().unwrap();
        if answered {
            let version: Value = serde_json::from_slice(&output.stdout).unwrap();
            promised.versions = version["version"].as_i64().unwrap();
        }
        check(&server, &mut promised, turn);
        // What was not answered is done again, and ends in the same place.
        let pushed = server.cli(push).json();
        assert_eq!(pushed["status"], "ready", "turn {turn}");
        promised.versions = pushed["version"].as_i64().unwrap();
    }
}

fn check(server: &Server, promised: &mut Promised, turn: usize) {
    assert!(newest_version(server) >= promised.versions, "turn {turn}: a version is lost");
    let versions = || server.cli(["versions", "list", "cancer"]).json();
    wait_for("every version is judged", Duration::from_secs(30), versions, |seen| {
        seen["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|v| v["status"] == "ready" && v["servable"] == "yes")
    });
    wait_until("the endpoint serves what its alias points to", Duration::from_secs(30), || {
        let endpoint = server.cli(["endpoints", "show", "cancer"]).json();
        let model = server.cli(["models", "show", "cancer"]).json();
        endpoint["state"] == "ready"
            && endpoint["live"]["versions"][0]["version"] == model["aliases"]["champion"]
    });
    let live =
        server.cli(["endpoints", "show", "cancer"]).json()["live"]["release"].as_i64().unwrap();
    assert!(live >= promised.live_release, "turn {turn}: a release is lost");
    promised.live_release = live;
    let body = model_json("breast_cancer.example.json").to_string();
    let answer = server.cli(["predict", "cancer", "--json", &body]).json();
    assert!(answer["outputs"].is_array(), "turn {turn}: {answer}");
}

/// How many of each a run and its model must have for ever: so many were answered.
#[derive(Clone, Copy, Default)]
struct Logged {
    batches: usize,
    files: usize,
    versions: usize,
}

const METRICS: usize = 50;

/// What a training script does, again and again until nobody answers: a batch, a file, a version.
fn train(server: &Server, run: &str, place: &str, mut logged: Logged) -> Logged {
    let (http, url, token) = (server.plain(), server.url.clone(), server.token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let says_yes = async |request: reqwest::RequestBuilder| {
        let json = ("content-type", "application/json");
        let answer = request.bearer_auth(token).header(json.0, json.1).send().await;
        answer.is_ok_and(|answer| {
            assert!(answer.status().is_success(), "{answer:?}");
            true
        })
    };
    let (api, files) = (format!("{url}/api/2.0/mlflow"), format!("{url}/api/2.0/mlflow-artifacts"));
    runtime.block_on(async {
        loop {
            let step = logged.batches;
            let metrics: Vec<_> = (0..METRICS)
                .map(|i| json!({"key": format!("m{i}"), "value": step, "timestamp": 1, "step": step}))
                .collect();
            let batch = json!({"run_id": run, "metrics": metrics}).to_string();
            if !says_yes(http.post(format!("{api}/runs/log-batch")).body(batch)).await {
                return logged;
            }
            logged.batches += 1;
            let file = format!("{files}/artifacts/{place}/file-{}", logged.files);
            if !says_yes(http.put(file).body(logged.files.to_string())).await {
                return logged;
            }
            logged.files += 1;
            let source = format!("mlflow-artifacts:/{place}");
            let version = json!({"name": "trained", "source": source, "run_id": run}).to_string();
            if !says_yes(http.post(format!("{api}/model-versions/create")).body(version)).await {
                return logged;
            }
            logged.versions += 1;
        }
    })
}

#[test]
fn ten_kills_while_a_script_logs_lose_nothing_that_was_answered() {
    let mut server = Server::start();
    let caller = Caller::of(&server);
    let made = caller.json("POST", "/api/2.0/mlflow/runs/create", &json!({"experiment_id": "0"}));
    let run = made.expect(200)["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let place = format!("0/{run}/artifacts");
    let model = json!({"name": "trained"});
    caller.json("POST", "/api/2.0/mlflow/registered-models/create", &model).expect(200);
    let mut logged = Logged::default();
    for _ in 0..10 {
        let before = logged;
        logged = std::thread::scope(|scope| {
            let script = scope.spawn(|| train(&server, &run, &place, before));
            std::thread::sleep(moment(Duration::from_millis(500)));
            nix::sys::signal::kill(server.pid(), nix::sys::signal::Signal::SIGKILL).unwrap();
            script.join().unwrap()
        });
        server = server.kill_and_restart();
        logged = recount(&Caller::of(&server), &run, &place, logged);
    }
    assert!(
        logged.batches > 10 && logged.files > 5 && logged.versions > 5,
        "hardly anything was tried"
    );
}

/// That all is there which was answered; answers what is there.
fn recount(caller: &Caller, run: &str, place: &str, logged: Logged) -> Logged {
    let points = |metric: usize| {
        let path = format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=m{metric}");
        caller.ask("GET", &path).expect(200)["metrics"].as_array().map_or(0, Vec::len)
    };
    let batches = points(0);
    assert!(batches >= logged.batches, "a batch is lost");
    assert_eq!(points(METRICS - 1), batches, "a batch is there in part");
    for file in 0..logged.files {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/{place}/file-{file}");
        assert_eq!(caller.ask("GET", &path).expect(200), &json!(file), "a file is lost");
    }
    let version = |number: usize| {
        let path = format!("/api/2.0/mlflow/model-versions/get?name=trained&version={number}");
        caller.ask("GET", &path)
    };
    for number in 1..=logged.versions {
        assert_eq!(version(number).expect(200)["model_version"]["status"], "READY");
    }
    let more = (logged.versions + 1..).take_while(|number| version(*number).status == 200).count();
    Logged { batches, files: logged.files, versions: logged.versions + more }
}
