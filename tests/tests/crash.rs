//! `kill -9` at random moments: nothing that was answered is lost, nothing is half-ready.

use std::{
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bottega_tests::{Server, model, model_json, wait_for, wait_until};
use serde_json::Value;

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
