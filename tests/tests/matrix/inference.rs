//! Predictions: the Open Inference Protocol over HTTP, as rows, and over gRPC.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use bottega_tests::tool;
use serde_json::{Value, json};

use super::{
    rows::{Place, Row, ask, send},
    world::World,
};

pub fn rows() -> Vec<Row> {
    // No inputs: let in, it is a wrong request.
    const NOTHING: &str = r#"{"inputs": []}"#;
    vec![
        ask("GET /v2"),
        ask("GET /v2/health/live"),
        ask("GET /v2/health/ready"),
        ask("GET /v2/models/{endpoint}"),
        ask("GET /v2/models/{endpoint}/ready"),
        ask("GET /v2/models/{endpoint}/versions/{version}"),
        ask("GET /v2/models/{endpoint}/versions/{version}/ready"),
        ask("GET /v2/models/{endpoint}/config"),
        ask("GET /v2/models/{endpoint}/versions/{version}/config"),
        ask("GET /v2/models/{endpoint}/stats"),
        ask("GET /v2/models/{endpoint}/versions/{version}/stats"),
        ask("GET /v2/models/stats").shows("{endpoint}"),
        send("POST /v2/repository/index", "{}").shows("{endpoint}"),
        send("POST /v2/repository/models/{endpoint}/load", "{}"),
        // Clients unload nothing.
        send("POST /v2/repository/models/{endpoint}/unload", "{}"),
        send("POST /v2/models/{endpoint}/infer", NOTHING),
        send("POST /v2/models/{endpoint}/versions/{version}/infer", NOTHING),
        ask("GET /v1/models/{endpoint}"),
        ask("GET /v1/models/{endpoint}/metadata"),
        ask("GET /v1/models/{endpoint}/versions/{version}"),
        ask("GET /v1/models/{endpoint}/versions/{version}/metadata"),
        send("POST /v1/models/{endpoint}:predict", "{}"),
        send("POST /v1/models/{endpoint}/versions/{version}:predict", "{}"),
        ask("GET /v1/models/{endpoint}/labels/{label}").param("label", "champion"),
        ask("GET /v1/models/{endpoint}/labels/{label}/metadata").param("label", "champion"),
        send("POST /v1/models/{endpoint}/labels/{label}:predict", "{}").param("label", "champion"),
        send("POST /v1/models/{endpoint}:classify", "{}"),
        send("POST /v1/models/{endpoint}/versions/{version}:classify", "{}"),
        send("POST /v1/models/{endpoint}:regress", "{}"),
        send("POST /v1/models/{endpoint}/versions/{version}:regress", "{}"),
        send("POST /v1/models/{endpoint}/labels/{label}:classify", "{}").param("label", "champion"),
        send("POST /v1/models/{endpoint}/labels/{label}:regress", "{}").param("label", "champion"),
        ask("GET /serve/{endpoint}/ping"),
        ask("GET /serve/{endpoint}/health"),
        ask("GET /serve/{endpoint}/version"),
        send("POST /serve/{endpoint}/invocations", "{}"),
        send("POST /endpoints/{endpoint}/invocations", "{}"),
    ]
}

/// What is wrong with what callers hear over gRPC.
pub fn over_grpc(world: &World) -> Vec<String> {
    const ABSENT: &str = "absent-endpoint";
    let endpoint = |place: Place| format!("{}-endpoint", place.as_str());
    let endpoints: Vec<_> =
        Place::THINGS.into_iter().map(endpoint).chain([ABSENT.to_owned()]).collect();
    let callers = world.principals.iter().map(|who| (who.name.clone(), Value::from(&*who.token)));
    let callers = Value::Object(callers.collect());
    let heard = ask_over_grpc(world, &json!({"callers": callers, "endpoints": endpoints}));
    let find = |who: &str, endpoint: &str, call: &str| {
        let found = heard
            .iter()
            .find(|row| row["who"] == who && row["endpoint"] == endpoint && row["call"] == call);
        let row = found.unwrap();
        (row["code"].as_str().unwrap(), row["message"].as_str().unwrap().replace(endpoint, "IT"))
    };
    let mut wrong = Vec::new();
    for who in &world.principals {
        for place in Place::THINGS {
            for call in ["ready", "metadata", "infer"] {
                let (code, message) = find(&who.name, &endpoint(place), call);
                let action = if call == "infer" { "invoke" } else { "view" };
                let is_right = match (who.may(action, place), who.may("view", place)) {
                    (true, _) => matches!(code, "OK" | "INVALID_ARGUMENT"),
                    (false, true) => code == "PERMISSION_DENIED",
                    (false, false) => {
                        let absent = find(&who.name, ABSENT, call);
                        code == "NOT_FOUND" && absent == (code, message.clone())
                    }
                };
                if !is_right {
                    wrong.push(format!(
                        "gRPC {call} by {} of {place:?}: {code} {message}",
                        who.name
                    ));
                }
            }
        }
    }
    wrong
}

fn ask_over_grpc(world: &World, asked: &Value) -> Vec<Value> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut script = Command::new(tool("BOTTEGA_PYTHON"))
        .arg("-B")
        .arg(folder.join("permitted.py"))
        .env("BOTTEGA_URL", &world.server.url)
        .env("BOTTEGA_GRPC", &world.server.grpc)
        .env("BOTTEGA_TOKEN", world.server.token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = script.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
