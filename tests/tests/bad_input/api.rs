//! Requests to our own API that are no requests.

use bottega_tests::Reply;
use serde_json::{Value, json};

use crate::{Subject, refused};

const JSON: (&str, &str) = ("content-type", "application/json");

impl Subject {
    fn post(&self, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Reply {
        self.api.send("POST", "/api/v1/models", headers, body)
    }
}

#[test]
fn bodies_queries_paths_and_methods_that_are_not_ours_are_refused() {
    let subject = Subject::start(&[]);
    bodies_that_are_no_json_of_ours(&subject);
    bodies_in_another_form(&subject);
    queries(&subject);
    paths_and_methods_in_their_surfaces_shape(&subject);
    what_is_not_there_is_named(&subject);
}

fn bodies_that_are_no_json_of_ours(subject: &Subject) {
    let (lists, objects) = ("[".repeat(10_000), r#"{"a":"#.repeat(10_000));
    let cases: &[(&[u8], &str, &[&str])] = &[
        (b"", "", &["empty", "expected JSON"]),
        (b"no json", "", &["not JSON", "line 1 column"]),
        (b"\xff\xfe", "", &["not JSON"]),
        (b"{\"name\":\"\xff\"}", "", &["not JSON", "unicode"]),
        (br#"{"name":"m"} x"#, "", &["trailing characters"]),
        (br#"["m","",{}]"#, "", &["is a list", "expected an object"]),
        (br#""m""#, "", &["expected an object"]),
        (lists.as_bytes(), "", &["is a list", "expected an object"]),
        (objects.as_bytes(), "a", &["unknown field `a`"]),
        (br#"{"name":"m","nmae":"n"}"#, "nmae", &["unknown field `nmae`", "`description`"]),
        (br#"{"name":"m","name":"n"}"#, "name", &["duplicate field `name`"]),
        (br#"{"name":7}"#, "name", &["integer `7`", "expected a string"]),
        (br#"{"name":"m","tags":{"a":1}}"#, "tags.a", &["integer `1`", "expected a string"]),
        (br#"{"description":"d"}"#, "name", &["missing field `name`"]),
    ];
    subject.unchanged_by(|| {
        for (body, field, words) in cases {
            refused(&subject.post(&[JSON], body.to_vec()), 400, field, words);
        }
        let tags = format!(r#"{{"name":"m","tags":{{"a":{lists}"#);
        refused(&subject.post(&[JSON], tags), 400, "tags.a", &["expected a string"]);
        // The only place that takes JSON of any shape.
        let example = format!(r#"{{"files":[],"input_example":{{"inputs":{lists}"#);
        let deep = subject.api.send("POST", "/api/v1/models/m/versions", &[JSON], example);
        refused(&deep, 400, "", &["nested more than 127 levels deep"]);
        for body in [json!({"files": ["m.onnx"]}), json!({"files": [], "lineage": {"commit": "x"}})]
        {
            let (field, text) =
                subject.api.json("POST", "/api/v1/models/m/versions", &body).refusal(400);
            assert!(["files[0]", "lineage.commit"].contains(&&*field), "{field}");
            assert!(text.contains("expected") && !text.contains("struct"), "{text}");
        }
    });
}

fn bodies_in_another_form(subject: &Subject) {
    let body = r#"{"name":"m"}"#;
    subject.unchanged_by(|| {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let reply = subject.post(&[("content-type", kind)], body);
            refused(&reply, 400, "", &[kind, "expected `application/json`", "send the header"]);
        }
        refused(&subject.post(&[], body), 400, "", &["`none`", "send the header"]);
        let packed = subject.post(&[JSON, ("content-encoding", "gzip")], &b"\x1f\x8b\x08\x00"[..]);
        refused(&packed, 400, "content-encoding", &["compressed", "send the body as it is"]);
        let large = format!("{body}{}", " ".repeat(64 << 20));
        refused(&subject.post(&[JSON], large), 413, "", &["larger than"]);
    });
}

fn queries(subject: &Subject) {
    subject.unchanged_by(|| {
        for (query, field, words) in [
            ("serch=a", "serch", &["unknown field `serch`", "`search`"][..]),
            ("limit=0", "limit", &["limit is 0", "expected 1 to 1000"]),
            ("limit=1001", "limit", &["limit is 1001", "expected 1 to 1000"]),
            ("limit=many", "limit", &["`many`", "whole number"]),
            ("limit=-1", "limit", &["`-1`", "whole number"]),
            ("limit=1&limit=2", "limit", &["duplicate field `limit`"]),
            ("cursor=zzz", "cursor", &["not one that we gave", "`next_cursor`"]),
        ] {
            refused(&subject.api.ask("GET", &format!("/api/v1/models?{query}")), 400, field, words);
        }
        let archive = subject.api.send("POST", "/api/v1/archives", &[], "x");
        refused(&archive, 400, "format", &["missing field `format`"]);
    });
}

fn paths_and_methods_in_their_surfaces_shape(subject: &Subject) {
    subject.unchanged_by(|| {
        for path in ["/api/v1/nothing", "/api/v1/models/", "/nothing", "/api/v2/models"] {
            let reply = subject.api.ask("GET", path);
            refused(&reply, 404, "", &[&format!("`{path}`"), "/docs"]);
        }
        for (method, path, allowed) in [
            ("DELETE", "/api/v1/models", "GET, POST"),
            ("POST", "/api/v1/models/m", "GET, PATCH, DELETE"),
            ("POST", "/health/ready", "GET"),
            ("PATCH", "/api/v1/endpoints/e", "GET, PUT, DELETE"),
        ] {
            let reply = subject.api.ask(method, path);
            let hint = format!("use {}", allowed.replace(", ", " or "));
            refused(&reply, 405, "", &[&format!("no method {method}"), &hint]);
            assert_eq!(reply.headers["allow"], allowed.replace("GET", "GET, HEAD"));
        }
        for path in ["/v2/nothing", "/v2/models/m/nothing"] {
            let text = subject.api.ask("GET", path).v2_refusal(404);
            assert!(text.contains(path) && text.contains("/docs"), "{text}");
        }
        let reply = subject.api.ask("GET", "/v2/models/m/infer");
        assert!(reply.v2_refusal(405).contains("use POST"));
        assert_eq!(reply.headers["allow"], "POST");
    });
}

fn what_is_not_there_is_named(subject: &Subject) {
    for (path, field, words) in [
        ("/api/v1/models/m", "model", &["no model `m`"][..]),
        ("/api/v1/models/m/versions/1", "model", &["no model `m`"]),
        ("/api/v1/endpoints/e", "endpoint", &["no endpoint `e`"]),
        ("/api/v1/endpoints/e/releases/1", "endpoint", &["no endpoint `e`"]),
        ("/api/v1/resolve?model=m@champion", "model", &["no model `m`"]),
    ] {
        refused(&subject.api.ask("GET", path), 404, field, words);
    }
    for (path, field) in [
        ("/api/v1/models/m/versions/first", "version"),
        ("/api/v1/models/m/versions/99999999999", "version"),
        ("/api/v1/models/m/versions/1?wait=61", "wait"),
        ("/api/v1/resolve?model=m", "model"),
        ("/api/v1/audit/events?resource=m", "resource"),
        ("/api/v1/audit/events?since=yesterday", "since"),
    ] {
        refused(&subject.api.ask("GET", path), 400, field, &[]);
    }
    let absent = subject.api.json("POST", "/v2/models/e/infer", &Value::Null).v2_refusal(404);
    assert!(
        absent.contains("no endpoint `e`") && absent.contains("bottega endpoints list"),
        "{absent}"
    );
}
