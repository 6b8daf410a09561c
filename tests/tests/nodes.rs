//! Several nodes that share the models: who holds what, and who answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bottega_tests::{
    Caller, Database, Platform, Reply, Server, model, model_json, run_client, wait_for, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A lease, and what comes after its end.
const PATIENCE: Duration = Duration::from_secs(40);
const CANCER: &str = "/v2/models/breast-cancer/infer";

/// A node with so much memory for models.
fn node(platform: &Platform, role: &'static str, name: &str, bytes: &str) -> Server {
    platform.start_with(role, name, &["--model-memory-bytes", bytes])
}

fn push(server: &Server, name: &str) {
    let file = model(&format!("{name}.onnx"));
    server.cli(["push", file.to_str().unwrap(), "--name", name]).json();
}

/// The URLs of the nodes that hold an endpoint and are ready, in order.
fn holders(status: &Value, endpoint: &str) -> Vec<String> {
    let nodes = status["nodes"].as_array().unwrap();
    let url = |id: &Value| {
        let node = nodes.iter().find(|node| node["id"] == *id).unwrap();
        node["url"].as_str().unwrap().to_owned()
    };
    let replicas = status["replicas"].as_array().unwrap().iter();
    let mut holders: Vec<_> = replicas
        .filter(|it| it["endpoint"] == endpoint && it["live"] == true && it["state"] == "ready")
        .map(|it| url(&it["node"]))
        .collect();
    holders.sort_unstable();
    holders
}

/// What all nodes say alike.
fn told(reply: &Reply) -> (u16, Vec<(String, String)>, Value) {
    let of_the_request = ["date", "x-request-id", "x-bottega-inference-id"];
    let headers = reply.headers.iter().filter(|(name, _)| !of_the_request.contains(&name.as_str()));
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut headers: Vec<_> = headers.collect();
    headers.sort_unstable();
    (reply.status, headers, reply.body.clone())
}

#[test]
fn releases_lie_where_there_is_room_and_every_node_answers_for_them() {
    let database = Database::empty();
    let platform = Platform::on(&database.url);
    let small = node(&platform, "up", "small", "3000");
    let large = node(&platform, "up", "large", "300000000");
    for name in ["breast_cancer", "color_size", "slow"] {
        push(&small, name);
        let (endpoint, version) = (name.replace('_', "-"), format!("{name}/1"));
        let line = ["deploy", &endpoint, "--model", &version, "--nodes", "1", "--wait"];
        assert_eq!(small.cli(line).json()["state"], "completed");
    }
    let status = small.cli(["status"]).json();
    for endpoint in ["breast-cancer", "color-size", "slow"] {
        assert_eq!(holders(&status, endpoint), [large.url.as_str()], "{status:#}");
    }
    assert_eq!(status["waiting"], json!([]));
    let nodes = status["nodes"].as_array().unwrap();
    let used = nodes.iter().map(|node| node["used_bytes"].as_u64().unwrap() > 0);
    assert_eq!(used.collect::<Vec<_>>(), [false, true], "{status:#}");
    let table =
        String::from_utf8(small.cli_command().arg("status").output().unwrap().stdout).unwrap();
    for words in ["in-process", "breast-cancer", "MEMORY"] {
        assert!(table.contains(words), "{words}: {table}");
    }

    // What a client is told is the same, whichever node it asks.
    let example = model_json("breast_cancer.example.json");
    let asked = |server: &Server| {
        let caller = Caller::of(server);
        let mut replies = vec![
            caller.json("POST", CANCER, &example),
            caller.json("POST", CANCER, &json!({"inputs": []})),
            caller.json("POST", "/v2/models/breast-cancer/versions/2/infer", &example),
            caller.ask("POST", &format!("{CANCER}?token=x")),
        ];
        for path in [
            "/v2/models/breast-cancer",
            "/v2/models/breast-cancer/ready",
            "/v2/models/breast-cancer/config",
            "/v1/models/breast-cancer",
            "/serve/breast-cancer/ping",
            "/api/v1/endpoints/breast-cancer/schema",
        ] {
            replies.push(caller.ask("GET", path));
        }
        replies.push(caller.json("POST", "/v2/repository/index", &json!({})));
        replies.iter().map(told).collect::<Vec<_>>()
    };
    let (here, there) = (asked(&large), asked(&small));
    assert_eq!(here, there);
    let statuses: Vec<_> = there.iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [200, 400, 404, 400, 200, 200, 200, 200, 200, 200, 200]);
    assert_eq!(small.get("/v2/models/breast-cancer").0, 401);
    for script in ["plain.py", "tensorflow_serving.py"] {
        run_client("BOTTEGA_PYTHON", &small, script, &[]);
    }
    for kind in ["http", "grpc"] {
        run_client("BOTTEGA_PYTHON", &small, "triton.py", &[kind]);
    }
    run_client("BOTTEGA_PYTHON", &small, "stream.py", &[]);
    for script in ["scoring.py", "sagemaker.py"] {
        run_client("BOTTEGA_MLFLOW3", &small, script, &[]);
    }
    // Predictions were counted where they were made, once.
    let caller = Caller::of(&small);
    let count = |server: &Server| {
        let statistics = Caller::of(server).ask("GET", "/v2/models/breast-cancer/stats");
        statistics.expect(200)["model_stats"][0]["inference_count"].as_u64().unwrap()
    };
    let before = count(&large);
    caller.json("POST", CANCER, &example).expect(200);
    assert_eq!(count(&small), before + example["inputs"][0]["shape"][0].as_u64().unwrap());

    // Nobody but a node says where a request comes from.
    for claim in ["", "x", "1 http 127.0.0.1 00", "1 http 127.0.0.1"] {
        let headers = [("x-bottega-forwarded", claim), ("content-type", "application/json")];
        for server in [&small, &large] {
            let refused = Caller::of(server).send("POST", CANCER, &headers, example.to_string());
            assert!(refused.v2_refusal(400).contains("x-bottega-forwarded"), "{claim}");
        }
    }

    // What fits nowhere waits, and says so; the release before goes on.
    push(&small, "digits");
    let line = ["deploy", "everywhere", "--model", "digits/1", "--nodes", "2"];
    small.cli(line).json();
    wait_for(
        "why it waits",
        PATIENCE,
        || large.cli(["status"]).json()["waiting"].clone(),
        |waiting| {
            waiting[0]["endpoint"] == "everywhere"
                && waiting[0]["missing"] == 1
                && waiting[0]["reason"].as_str().is_some_and(|why| why.contains("of 2.9 KiB"))
        },
    );
    let rollout = small.cli(["rollout", "show", "everywhere"]).json();
    assert_eq!(rollout["state"], "progressing");
    assert!(rollout["waiting"].as_str().unwrap().contains("the most that is free"), "{rollout:#}");
    // There is room once a node comes that has some.
    let _third = node(&platform, "gateway", "third", "300000000");
    wait_until("it is released", PATIENCE, || {
        small.cli(["rollout", "show", "everywhere"]).json()["state"] == "completed"
    });
    let digits = model_json("digits.example.json");
    Caller::of(&small).json("POST", "/v2/models/everywhere/infer", &digits).expect(200);
}

#[test]
fn what_a_killed_node_held_starts_elsewhere_and_requests_are_answered_meanwhile() {
    let database = Database::empty();
    let platform = Platform::on(&database.url);
    let front = node(&platform, "up", "front", "10");
    let mut nodes: Vec<_> =
        ["a", "b", "c"].map(|name| node(&platform, "gateway", name, "300000000")).into();
    push(&front, "breast_cancer");
    let line = ["deploy", "breast-cancer", "--model", "breast_cancer/1", "--nodes", "2", "--wait"];
    assert_eq!(front.cli(line).json()["state"], "completed");
    let status = || front.cli(["status"]).json();
    let held = holders(&status(), "breast-cancer");
    assert!(held.len() == 2 && !held.contains(&front.url), "{held:?}");

    let (stop, answered, failed) = (
        Arc::new(AtomicBool::default()),
        Arc::new(AtomicUsize::default()),
        Arc::new(AtomicUsize::default()),
    );
    const CLIENTS: usize = 4;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let caller = Caller::of(&front);
            let (stop, answered, failed) =
                (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&failed));
            std::thread::spawn(move || {
                let example = model_json("breast_cancer.example.json");
                while !stop.load(Relaxed) {
                    let reply = caller.json("POST", CANCER, &example);
                    let counter = if reply.status == 200 { &answered } else { &failed };
                    counter.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    wait_until("requests are answered", PATIENCE, || answered.load(Relaxed) > 50);
    let at = nodes.iter().position(|node| node.url == held[0]).unwrap();
    let mut killed = nodes.remove(at);
    killed.signal(Signal::SIGKILL);
    wait_for("it starts elsewhere", PATIENCE, status, |status| {
        let now = holders(status, "breast-cancer");
        now.len() == 2 && now.contains(&held[1]) && !now.contains(&held[0])
    });
    assert_eq!(status()["waiting"], json!([]));
    let so_far = answered.load(Relaxed);
    wait_until("requests are answered", PATIENCE, || answered.load(Relaxed) > so_far + 50);
    stop.store(true, Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    // Only what was under way on it: each client has one request at a time.
    let failed = failed.load(Relaxed);
    assert!(failed <= CLIENTS, "{failed} of {} failed", answered.load(Relaxed));

    // All that can hold it are gone: it waits, and callers are told so, until one comes.
    for node in &mut nodes {
        node.signal(Signal::SIGKILL);
    }
    let caller = Caller::of(&front);
    let refused = caller.json("POST", CANCER, &model_json("breast_cancer.example.json"));
    assert!(refused.v2_refusal(503).contains("bottega status"), "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"));
    wait_for("both are missing", PATIENCE, status, |status| status["waiting"][0]["missing"] == 2);
    let late = node(&platform, "gateway", "late", "300000000");
    wait_for("the new node holds it", PATIENCE, status, |status| {
        holders(status, "breast-cancer") == [late.url.as_str()]
            && status["waiting"][0]["missing"] == 1
    });
    caller.json("POST", CANCER, &model_json("breast_cancer.example.json")).expect(200);
}
