//! Quotas as their users meet them: in the CLI, over HTTP and on MLflow's paths. How gateways share one
//! is in `roles`.

use std::time::Duration;

use bottega_tests::{Caller, Server, model, model_json, wait_for, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

fn infer(caller: &Caller) -> bottega_tests::Reply {
    caller.json("POST", "/v2/models/cancer/infer", &model_json("breast_cancer.example.json"))
}

fn push(server: &Server, name: &str) -> bottega_tests::Answer {
    let file = model("breast_cancer.onnx");
    server.cli(["push", file.to_str().unwrap(), "--name", name, "--no-wait"])
}

#[test]
fn what_is_over_a_limit_is_refused_everywhere_and_more_can_be_asked_for() {
    let server = Server::start();
    let caller = Caller::of(&server);
    push(&server, "one").json();
    push(&server, "two").json();

    // Below what is there: taken, shown, nothing deleted.
    let set = server.cli(["quota", "set", "user:admin", "models=1", "artifact_bytes=10MiB"]).json();
    assert_eq!((&set["limits"]["models"], &set["used"]["models"]), (&json!(1), &json!(2)));
    assert_eq!(set["limits"]["artifact_bytes"], 10 << 20);
    assert_eq!(set["limits"]["versions"], Value::Null);
    let error = push(&server, "three").error(4);
    assert_eq!(error["code"], "quota_exceeded");
    assert_eq!((&error["quota"]["name"], &error["quota"]["used"]), (&json!("models"), &json!(2)));
    assert!(error["hint"].as_str().unwrap().contains("bottega quota request"), "{error}");
    let refused = caller.json("POST", "/api/v1/models", &json!({"name": "three"}));
    assert_eq!(refused.expect(403)["error"]["quota"]["subject"], "user:admin");
    let made = json!({"name": "three"});
    let refused = caller.json("POST", "/api/2.0/mlflow/registered-models/create", &made);
    assert_eq!(refused.headers["x-bottega-quota"], "models");
    let body = refused.expect(403);
    assert_eq!(body["error_code"], "PERMISSION_DENIED");
    assert!(body["message"].as_str().unwrap().contains("quota `models`"), "{body}");
    // A new version of what is there is no new model.
    server.cli(["quota", "set", "user:admin", "versions=2"]).json();
    let another = model("digits.onnx");
    let error =
        server.cli(["push", another.to_str().unwrap(), "--name", "one", "--no-wait"]).error(4);
    assert_eq!(error["quota"]["name"], "versions");
    server.cli(["quota", "set", "user:admin", "versions=default", "artifact_bytes=1B"]).json();
    let error =
        server.cli(["push", another.to_str().unwrap(), "--name", "one", "--no-wait"]).error(4);
    assert_eq!(error["quota"]["name"], "artifact_bytes");

    // More is asked for, and granted or not.
    let ask = |value: &str| {
        server.cli(["quota", "request", &format!("models={value}"), "--reason", "a new market"])
    };
    ask("1").error(1);
    let asked = ask("3").json();
    assert_eq!(ask("4").error(1)["code"], "conflict");
    let id = asked["id"].as_str().unwrap();
    let open = server.cli(["quota", "requests", "--all", "--state", "open"]).json();
    assert_eq!(open["items"][0]["id"], id);
    let granted = server.cli(["quota", "grant", id, "--reason", "for now"]).json();
    assert_eq!((&granted["state"], &granted["decision"]), (&json!("granted"), &json!("for now")));
    assert_eq!(server.cli(["quota", "show"]).json()["limits"]["models"], 3);
    server.cli(["quota", "refuse", id, "--reason", "no"]).error(1);
    let asked = ask("9").json();
    let id = asked["id"].as_str().unwrap();
    assert_eq!(server.cli(["quota", "refuse", id, "--reason", "no"]).json()["state"], "refused");
    server.cli(["quota", "set", "user:admin", "artifact_bytes=unlimited"]).json();
    push(&server, "three").json();
    push(&server, "four").error(4);

    let events = server.cli(["audit", "list"]).json();
    let changes: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|event| event["change"].clone()).collect();
    for change in
        ["quota.changed", "quota_request.created", "quota_request.granted", "quota_request.refused"]
    {
        assert!(changes.contains(&json!(change)), "{changes:?}");
    }
}

#[test]
fn wrong_limits_are_refused_by_name() {
    let server = Server::start();
    for (limit, field) in [
        ("models=-1", "limits.models"),
        ("models=1.5", "limits.models"),
        ("models=NaN", "limits.models"),
        ("models=99999999999999999999", "limits.models"),
        ("artifact_bytes=10", "limits.artifact_bytes"),
        ("artifact_bytes=9000PiB", "limits.artifact_bytes"),
        ("memory_bytes=1GiB", "limits.memory_bytes"),
        ("cpu=2", "limits.cpu"),
        ("weight=0", "limits.weight"),
        ("weight=unlimited", "limits.weight"),
        ("modles=1", "limits.modles"),
    ] {
        let error = server.cli(["quota", "set", "user:admin", limit]).error(1);
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("invalid"), &json!(field)),
            "{error}"
        );
    }
    let error = server.cli(["quota", "set", "user:nobody", "models=1"]).error(1);
    assert_eq!(error["code"], "not_found");
    assert_eq!(server.cli(["quota", "set", "ana", "models=1"]).error(1)["field"], "subject");
    server.cli(["quota", "set", "user:admin", "models=1", "models=2"]).error(2);
    let caller = Caller::of(&server);
    for (body, field) in [
        (json!({"limits": {}}), "limits"),
        (json!({"limits": {"models": [1]}}), "limits.models"),
        (json!({"limits": {"artifact_bytes": 10}}), "limits.artifact_bytes"),
        (json!({"limits": {"models": -1}}), "limits.models"),
        (json!({"limits": {"models": 1e300}}), "limits.models"),
    ] {
        let refused = caller.json("PATCH", "/api/v1/quotas/user:admin", &body);
        assert_eq!(refused.refusal(400).0, field);
    }
    let set = server.cli(["quota", "set", "user:admin", "weight=3"]).json();
    let shown = server.cli(["quota", "show"]).json();
    assert_eq!((&set["limits"]["weight"], &shown["limits"]["weight"]), (&json!(3), &json!(3)));
    server.cli(["quota", "set", "user:admin", "weight=default"]).json();
    assert_eq!(server.cli(["quota", "show"]).json()["limits"]["weight"], 1);
    let set = server.cli(["quota", "set", "default:user", "captured_rows_per_day=10k"]).json();
    let found = set["quotas"].as_array().unwrap().iter();
    let quota = found.clone().find(|quota| quota["quota"] == "captured_rows_per_day").unwrap();
    assert_eq!((&quota["limit"], &quota["enforced"]), (&json!(10_000), &json!(true)));
}

#[test]
fn a_rate_and_a_months_predictions_are_kept_and_use_is_told() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let caller = Caller::of(&server);
    for _ in 0..5 {
        infer(&caller).expect(200);
    }
    caller.json("POST", "/v2/models/cancer/infer", &json!({"inputs": []})).expect(400);
    let body = model_json("breast_cancer.example.json").to_string();
    let prices =
        ["usage", "prices", "--set", "requests=0.5", "--set", "rows=0", "--currency", "EUR"];
    assert_eq!(server.cli(prices).json()["currency"], "EUR");
    let usage = || server.cli(["usage", "--by", "subject,endpoint,model"]).json();
    let of_endpoint = |usage: &Value| {
        let items = usage["items"].as_array().unwrap().iter();
        items.clone().find(|item| item["endpoint"] == "cancer").cloned().unwrap_or_default()
    };
    let told = |usage: &Value| of_endpoint(usage)["requests"] == 6;
    wait_for("what was used is written down", SOON, usage, told);
    let used = of_endpoint(&usage());
    assert_eq!((&used["errors"], &used["cost"]), (&json!(1), &json!("3")));
    assert_eq!((&used["subject"], &used["model"]), (&json!("user:admin"), &json!("cancer")));
    assert!(used["bytes_in"].as_u64().unwrap() >= 5 * body.len() as u64, "{used}");
    assert!(used["bytes_out"].as_u64().unwrap() > 0 && used["rows"].as_u64().unwrap() >= 5);
    assert!(used["cpu_seconds"].as_f64().unwrap() > 0.0, "{used}");
    let csv = server.cli_command().args(["usage", "--all", "--by", "endpoint", "--csv"]).output();
    let csv = String::from_utf8(csv.unwrap().stdout).unwrap();
    let mut lines = csv.lines();
    assert!(
        lines.next().unwrap().starts_with("endpoint,requests,rows,errors,cpu_seconds"),
        "{csv}"
    );
    assert!(lines.any(|line| line.starts_with("cancer,6,")), "{csv}");

    // A month's predictions.
    server.cli(["quota", "set", "user:admin", "predictions_per_month=3"]).json();
    let refused = || infer(&caller).status == 403;
    wait_until("the month is spent", SOON, refused);
    let text = infer(&caller).v2_refusal(403);
    assert!(text.contains("quota `predictions_per_month`") && text.contains("3 of 3"), "{text}");
    assert_eq!(server.cli(["quota", "show"]).json()["used"]["predictions_per_month"], 3);
    server.cli(["quota", "set", "user:admin", "predictions_per_month=unlimited"]).json();
    wait_until("there is no limit any more", SOON, || infer(&caller).status == 200);

    // A rate, for predictions and for everything else.
    server.cli(["quota", "set", "user:admin", "requests_per_second=2", "burst=3"]).json();
    let limited = || caller.ask("GET", "/api/v1/me").status == 429;
    wait_until("the rate is kept", SOON, limited);
    let reply = loop {
        let reply = infer(&caller);
        if reply.status == 429 {
            break reply;
        }
    };
    assert_eq!(reply.headers["retry-after"], "1");
    assert_eq!(reply.headers["ratelimit-limit"], "2");
    assert_eq!(reply.headers["ratelimit-remaining"], "0");
    assert_eq!(reply.headers["ratelimit-policy"], "\"requests\";q=2;w=1;burst=3");
    assert!(reply.v2_refusal(429).contains("2 requests a second"));
    let mlflow = loop {
        let reply = caller.ask("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0");
        if reply.status == 429 {
            break reply;
        }
    };
    assert_eq!(mlflow.body["error_code"], "REQUEST_LIMIT_EXCEEDED");
    assert_eq!(mlflow.headers["retry-after"], "1");
    // Probes are not limited.
    for _ in 0..20 {
        assert_eq!(caller.ask("GET", "/health/live").status, 200);
    }

    // Who was refused is told to whoever asks what the endpoint answered.
    wait_until("the refusals are told", SOON, || {
        let told = caller.ask("GET", "/api/v1/endpoints/cancer/logs?limit=1000");
        let codes = ["quota_exceeded", "rate_limited"].map(|code| json!(code));
        let entries = told.body["items"].as_array().cloned().unwrap_or_default();
        codes.iter().all(|code| entries.iter().any(|entry| entry["code"] == *code))
    });
}

#[test]
fn a_days_points_of_metrics_are_kept_on_mlflows_paths() {
    let server = Server::start();
    let caller = Caller::of(&server);
    let made = json!({"experiment_id": "0", "start_time": 1});
    let run = caller.json("POST", "/api/2.0/mlflow/runs/create", &made);
    let run = run.expect(200)["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let log = |points: usize| {
        let metrics: Vec<_> = (0..points)
            .map(|step| json!({"key": "loss", "value": 1.0, "timestamp": 1, "step": step}))
            .collect();
        let batch = json!({"run_id": run, "metrics": metrics});
        caller.json("POST", "/api/2.0/mlflow/runs/log-batch", &batch)
    };
    log(100).expect(200);
    server.cli(["quota", "set", "user:admin", "tracking_points_per_day=150"]).json();
    wait_until("the limit is known", SOON, || log(200).status == 403);
    log(100).expect(200);
    let refused = log(100);
    let body = refused.expect(403);
    assert_eq!(body["error_code"], "PERMISSION_DENIED");
    assert!(body["message"].as_str().unwrap().contains("tracking_points_per_day"), "{body}");
    log(40).expect(200);
}
