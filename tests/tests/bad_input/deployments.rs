//! Endpoints that cannot be what is asked.

use bottega_tests::{Reply, model};
use serde_json::{Value, json};

use crate::{Subject, refused};

impl Subject {
    fn push(&self, name: &str, file: &str) -> Value {
        let file = model(file);
        self.server.cli(["push", file.to_str().unwrap(), "--name", name]);
        self.api
            .ask("GET", &format!("/api/v1/models/{name}/versions/1?wait=30"))
            .expect(200)
            .clone()
    }

    fn deploy(&self, body: &Value) -> Reply {
        self.api.json("PUT", "/api/v1/endpoints/new", body)
    }
}

#[test]
fn an_endpoint_takes_only_what_can_be_served_and_keeps_what_it_needs() {
    let subject = Subject::start(&[]);
    only_versions_that_are_there_and_can_be_served(&subject);
    what_is_needed_is_not_deleted(&subject);
}

fn only_versions_that_are_there_and_can_be_served(subject: &Subject) {
    assert_eq!(subject.push("cancer", "breast_cancer.onnx")["servable"], "yes");
    let odd = subject.push("odd", "unknown_operator.onnx");
    assert_eq!((&odd["status"], &odd["servable"]), (&json!("rejected"), &json!("no")));
    let reason = odd["reason"].as_str().unwrap();
    assert!(
        reason.contains("`NoSuchOp`") && reason.contains("standard ONNX operators"),
        "{reason}"
    );
    for (name, file, words) in [
        ("maps", "zipmap.onnx", &["output_probability", "zipmap=False"][..]),
        ("complex", "complex.onnx", &["`x`", "complex numbers", "FP32"]),
    ] {
        let version = subject.push(name, file);
        assert_eq!((&version["status"], &version["servable"]), (&json!("ready"), &json!("no")));
        let reason = version["reason"].as_str().unwrap();
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    }
    subject.unchanged_by(|| {
        for (wanted, status, field, words) in [
            ("odd/1", 409, "model", &["`odd/1` cannot be served", "`NoSuchOp`"][..]),
            ("maps/1", 409, "model", &["`maps/1` cannot be served", "zipmap=False"]),
            ("complex/1", 409, "model", &["complex numbers"]),
            ("cancer/99", 404, "version", &["no version 99", "`1`"]),
            ("cancer@prod", 404, "alias", &["no alias `prod`", "it has none"]),
            ("nothing/1", 404, "model", &["no model `nothing`"]),
            ("cancer", 400, "model", &["names no version", "fraud@champion"]),
            ("cancer/0", 400, "model", &["fraud/3"]),
            ("cancer@latest", 400, "model", &["reserved"]),
        ] {
            refused(&subject.deploy(&json!({"model": wanted})), status, field, words);
        }
        for strategy in ["canary", "blue-green", "shadow", "ab", "nonsense"] {
            let reply = subject.deploy(&json!({"model": "cancer/1", "strategy": strategy}));
            let words = [&format!("`{strategy}`"), "all-at-once", "come with rollouts"];
            refused(&reply, 400, "strategy", &words);
        }
        let steps = subject.deploy(&json!({"model": "cancer/1", "steps": [5, 100]}));
        refused(&steps, 400, "steps", &["unknown field `steps`"]);
        let absent = subject.deploy(&json!({}));
        refused(&absent, 400, "model", &["missing field `model`"]);
        let alias = |version: i64| {
            let path = "/api/v1/models/cancer/aliases/champion";
            subject.api.json("PUT", path, &json!({"version": version}))
        };
        refused(&alias(99), 404, "version", &["no version 99", "`1`"]);
        let back = subject.api.json("POST", "/api/v1/endpoints/new/rollback", &json!({}));
        refused(&back, 404, "endpoint", &["no endpoint `new`"]);
    });
    let cli = ["deploy", "new", "--model", "cancer/1", "--strategy", "canary"];
    assert!(matches!(subject.server.cli(cli).code, 1 | 2));
    subject.api.ask("GET", "/api/v1/endpoints/new").refusal(404);
}

fn what_is_needed_is_not_deleted(subject: &Subject) {
    subject.server.serve("cancer", &model("breast_cancer.onnx"));
    subject.unchanged_by(|| {
        for (path, words) in [
            ("/api/v1/models/cancer", &["`endpoint cancer`", "delete these endpoints first"][..]),
            ("/api/v1/models/cancer/versions/1", &["`cancer/1` is needed", "endpoint cancer"]),
            ("/api/v1/models/cancer/aliases/champion", &["cancer"]),
        ] {
            let (_, text) = subject.api.ask("DELETE", path).refusal(409);
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        let back = subject.api.json("POST", "/api/v1/endpoints/cancer/rollback", &json!({"to": 9}));
        refused(&back, 404, "release", &["no release 9", "1 to 1"]);
        let back = subject.api.json("POST", "/api/v1/endpoints/cancer/rollback", &json!({}));
        refused(&back, 409, "endpoint", &["no earlier release", "deploy the version"]);
    });
}
