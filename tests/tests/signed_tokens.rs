//! Short-lived signed tokens: exchanged, taken, and worth nothing once their API token is gone.

use std::time::Duration;

use bottega_tests::{Database, Platform, Server, wait_until};
use serde_json::{Value, json};

/// Status and body of a request with a token.
fn ask(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}{path}", server.url);
        let request = server.plain().request(method.parse().unwrap(), url).bearer_auth(token);
        let request = if method == "GET" { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    })
}

#[test]
fn an_api_token_is_exchanged_for_one_that_ends_with_it() {
    let server = Server::start();
    let new = json!({"name": "embedded", "scopes": ["view", "invoke:endpoint:fraud"]});
    let (status, made) = ask(&server, "POST", "/api/v1/tokens", server.token, &new);
    assert_eq!(status, 201, "{made}");
    let api_token = made["token"].as_str().unwrap();
    let exchange =
        |token: &str, body: &Value| ask(&server, "POST", "/api/v1/tokens/exchange", token, body);
    let (status, signed) = exchange(api_token, &json!({"scopes": ["view"], "expires_in": 60}));
    assert_eq!(status, 200, "{signed}");
    assert_eq!((&signed["token_type"], &signed["expires_in"]), (&json!("Bearer"), &json!(60)));
    let signed = signed["access_token"].as_str().unwrap().to_owned();

    // It is taken like any other, here as whoever holds the API token.
    let me = || ask(&server, "GET", "/api/v1/me", &signed, &json!({}));
    let (status, body) = me();
    assert_eq!((status, &body["actor"]), (200, &json!("user:admin")), "{body}");
    let changed = format!("{}A", &signed[..signed.len() - 1]);
    for wrong in [&changed, &signed[1..], &signed[..signed.len() - 2]] {
        let status = ask(&server, "GET", "/api/v1/me", wrong, &json!({})).0;
        assert!(status == 401 || wrong == signed, "{wrong}");
    }

    // Others check it by what is published.
    let (status, keys) = server.get("/.well-known/jwks.json");
    assert_eq!(status, 200);
    assert_eq!(
        (&keys["keys"][0]["kty"], &keys["keys"][0]["crv"]),
        (&json!("OKP"), &json!("Ed25519"))
    );
    assert!(keys["keys"][0].get("d").is_none(), "no private part: {keys}");

    let refused = [
        (api_token, json!({"scopes": ["administer"]}), 403),
        (api_token, json!({"scopes": ["invoke"]}), 403),
        (api_token, json!({"scopes": []}), 400),
        (api_token, json!({"scopes": ["nonsense"]}), 400),
        (api_token, json!({"expires_in": 301}), 400),
        (api_token, json!({"expires_in": 0}), 400),
        (api_token, json!({"audience": ""}), 400),
        (api_token, json!({"scope": "view"}), 400),
        (signed.as_str(), json!({}), 403),
        ("bt_nobody", json!({}), 401),
    ];
    for (token, body, expected) in refused {
        let (status, answer) = exchange(token, &body);
        assert_eq!(status, expected, "{body}: {answer}");
    }
    // For somebody else: not taken here.
    let (_, other) = exchange(api_token, &json!({"audience": "billing"}));
    let other = other["access_token"].as_str().unwrap();
    assert_eq!(ask(&server, "GET", "/api/v1/me", other, &json!({})).0, 401);

    let gone = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(ask(&server, "DELETE", &gone, server.token, &json!({})).0, 204);
    wait_until("the signed token is worth nothing", Duration::from_secs(10), || me().0 == 401);
    let (_, audit) = server.get_as_admin("/api/v1/audit/events?limit=200");
    wait_until("the exchange is recorded", Duration::from_secs(10), || {
        let (_, audit) = server.get_as_admin("/api/v1/audit/events?limit=200");
        audit.to_string().contains("token.exchanged")
    });
    assert!(!audit.to_string().contains(&signed));
}

#[test]
fn a_signed_token_ends_with_its_api_token_in_another_process_too() {
    let database = Database::empty();
    let platform = Platform::on(&database.url);
    let registry = platform.start("registry", "registry");
    let gateway = platform.start("gateway", "gateway");
    let new = json!({"name": "embedded"});
    let (status, made) = ask(&registry, "POST", "/api/v1/tokens", registry.token, &new);
    assert_eq!(status, 201, "{made}");
    let api_token = made["token"].as_str().unwrap();
    let (_, signed) = ask(&registry, "POST", "/api/v1/tokens/exchange", api_token, &json!({}));
    let signed = signed["access_token"].as_str().unwrap();
    let there = || ask(&gateway, "GET", "/v2", signed, &json!({})).0;
    wait_until("the gateway knows the signed token", Duration::from_secs(20), || there() == 200);
    let gone = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(ask(&registry, "DELETE", &gone, registry.token, &json!({})).0, 204);
    wait_until("it is worth nothing there", Duration::from_secs(10), || there() == 401);
}
