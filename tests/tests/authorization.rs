//! Deny by default, over the whole route table.

use bottega_tests::{Server, model};
use serde_json::Value;

/// What answers without a token.
const OPEN: &[&str] = &[
    "/health/live",
    "/health/ready",
    "/v2/health/live",
    "/v2/health/ready",
    "/api/v1/openapi.json",
    "/.well-known/jwks.json",
    "/api/v1/auth/oidc/login",
    "/api/v1/auth/oidc/callback",
    "/api/v1/auth/oidc/token",
    "/api/v1/auth/oidc/cli",
];

/// Every operation of the document, with its parameters filled in.
fn operations(document: &Value) -> Vec<(reqwest::Method, String, String)> {
    let mut found = Vec::new();
    for (pattern, item) in document["paths"].as_object().unwrap() {
        let mut path = pattern.clone();
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            let filled = if path[from..to].contains("version") || path[from..to].contains("release")
            {
                "1"
            } else {
                "cancer"
            };
            path.replace_range(from..=to, filled);
        }
        for method in ["get", "head", "post", "put", "patch", "delete"] {
            if item.get(method).is_some() {
                found.push((method.to_uppercase().parse().unwrap(), path.clone(), pattern.clone()));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_route_but_the_open_ones_answers_401_without_a_token_that_we_know() {
    let server = Server::start();
    let http = server.plain();
    let document: Value = http
        .get(format!("{}/api/v1/openapi.json", server.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let operations = operations(&document);
    assert!(operations.len() > 30, "the document lists only {} operations", operations.len());
    for (method, path, pattern) in &operations {
        for token in [None, Some("bt_nobody")] {
            let mut request = http.request(method.clone(), format!("{}{path}", server.url));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let status = request.send().await.unwrap().status().as_u16();
            // Logging in takes no token, and says 400 to what is no attempt.
            let is_login = (method.as_str(), pattern.as_str()) == ("POST", "/api/v1/sessions");
            let is_open = is_login || OPEN.contains(&pattern.as_str());
            assert_eq!(status == 401, !is_open, "{method} {pattern} with {token:?}: {status}");
        }
    }
    for (method, path) in
        [("GET", "/nowhere"), ("POST", "/api/v1/nowhere"), ("PUT", "/docs/x"), ("GET", "/metrics")]
    {
        let answer = http
            .request(method.parse().unwrap(), format!("{}{path}", server.url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{method} {path}");
    }
}

#[tokio::test]
async fn a_401_has_the_shape_of_its_surface() {
    let server = Server::start();
    let http = server.plain();
    let answer = http.get(format!("{}/api/v1/models", server.url)).send().await.unwrap();
    assert!(answer.headers().contains_key("www-authenticate"));
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "unauthenticated");
    assert_eq!(body["error"]["request_id"], id.as_str());
    let body: Value = http
        .get(format!("{}/v2/models/cancer", server.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(body["error"].is_string(), "{body}");
}

#[tokio::test]
async fn each_change_leaves_one_event_that_names_the_actor_and_the_request() {
    let server = Server::start();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let http = server.plain();
    let answer = http
        .patch(format!("{}/api/v1/models/cancer", server.url))
        .bearer_auth(server.token)
        .header("x-request-id", "my-own-id")
        .json(&serde_json::json!({"description": "finds tumours"}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let events = server.cli(["audit", "list"]).json();
    let events = events["items"].as_array().unwrap();
    let newest = &events[0];
    assert_eq!(newest["actor"], "user:admin");
    assert_eq!(newest["request_id"], "my-own-id");
    assert_eq!(newest["resource"], "model:cancer");
    assert_ne!(newest["before"], newest["after"]);
    let changes: Vec<_> = events.iter().map(|event| event["change"].as_str().unwrap()).collect();
    for change in ["token.installed", "version.registered", "version.tried", "alias.moved"] {
        assert_eq!(changes.iter().filter(|&&c| c == change).count(), 1, "{change} in {changes:?}");
    }
    assert!(events.iter().any(|event| event["actor"] == "system:trial"), "{changes:?}");
}
