//! Hooks as a part of a release, and the credentials that they name.

use domain::{Limit, ReleaseState};
use serde_json::{Value, json};
use store::audit;

use crate::{onnx, platform::Platform};

const ENDPOINT: &str = "/endpoints/fraud";
/// In the one network that servers may be in besides public ones.
const SERVER: &str = "http://203.0.113.7:8080/lookup";

async fn ready() -> Platform {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.servable("fraud", 2).await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 1})).await.expect(200);
    platform
}

fn order(hooks: &Value) -> Value {
    json!({"model": "fraud@champion", "serving": {"hooks": hooks}})
}

fn lookup(more: &Value) -> Value {
    let mut hook = json!({
        "url": SERVER, "get": ["x"], "send": [{"name": "user", "datatype": "INT64", "shape": ["batch"]}],
    });
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"before": [{"http": hook}]})
}

#[actix_web::test]
async fn hooks_are_a_part_of_the_release_and_stay_until_others_are_asked_for() {
    let platform = ready().await;
    let before = json!([{"rename": {"column": "x", "as": "features"}}]);
    let hooks = json!({"before": before});
    let made = platform.put(ENDPOINT, order(&hooks)).await.expect(201);
    assert_eq!(made["target"]["serving"], json!({"hooks": hooks}));
    let contract = platform.get("/endpoints/fraud/contract").await.expect(200);
    assert_eq!(contract["signature"]["inputs"][0]["name"], "features");

    // A follower keeps them, one list is changed without the other, and nothing new makes no release.
    platform.end_release("fraud", ReleaseState::Completed).await;
    let moved =
        platform.put("/models/fraud/aliases/champion", json!({"version": 2})).await.expect(200);
    assert_eq!(moved["followers"][0]["release"], 2, "{moved}");
    let after = json!([{"mask": {"column": "y"}}]);
    let changed =
        platform.put(ENDPOINT, json!({"serving": {"hooks": {"after": after}}})).await.expect(200);
    assert_eq!(changed["target"]["serving"], json!({"hooks": {"before": before, "after": after}}));
    let again =
        platform.put(ENDPOINT, json!({"serving": {"hooks": {"after": after}}})).await.expect(200);
    assert_eq!(again["target"]["release"], changed["target"]["release"]);

    // Without them callers would see another signature: the contract is asked.
    let slip = platform.put(ENDPOINT, json!({"serving": {"hooks": null}})).await;
    assert!(slip.refusal(403, Some("model")).contains("input `features`"));
    let hint = platform
        .put(
            ENDPOINT,
            json!({"serving": {"hooks": {"before": [{"rename": {"column": "x", "as": "z"}}]}}}),
        )
        .await;
    assert_eq!(hint.status, 403);
    let hint = hint.json()["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("contract clear fraud"), "{hint}");
    let from =
        platform.put("/endpoints/fraud/contract", json!({"from": "fraud/1"})).await.expect(200);
    assert_eq!(from["signature"]["inputs"][0]["name"], "features", "as callers see it");

    let back = platform.post("/endpoints/fraud/rollback", json!({"to": 1})).await.expect(200);
    let path = format!("/endpoints/fraud/releases/{}", back["release"]);
    assert_eq!(platform.get(&path).await.expect(200)["serving"], json!({"hooks": hooks}));
}

#[actix_web::test]
async fn hooks_that_do_not_fit_a_version_are_refused_by_hook_and_field() {
    let platform = ready().await;
    for (hooks, field, told) in [
        (
            json!({"before": [{"rename": {"column": "age", "as": "x"}}]}),
            "serving.hooks.before[0].rename.as",
            "already",
        ),
        (
            json!({"before": [{"cast": {"column": "age", "as": "INT64"}}]}),
            "serving.hooks.before[0].cast.column",
            "expected `x`",
        ),
        (
            json!({"before": [{"cast": {"column": "x", "as": "FP32"}}]}),
            "serving.hooks.before[0].cast.as",
            "FP32 already",
        ),
        (
            json!({"before": [{"default": {"column": "x", "value": "many"}}]}),
            "serving.hooks.before[0].default.value",
            "no FP32",
        ),
        (
            json!({"before": [{"http": {"url": SERVER}}]}),
            "serving.hooks.before[0].http",
            "missing field `send`",
        ),
        (
            json!({"before": [{"drop": {"column": "x"}}]}),
            "serving.hooks.before[0]",
            "unknown variant",
        ),
        (
            lookup(&json!({"on_failure": "continue"})),
            "serving.hooks.before[0].http.on_failure",
            "a default",
        ),
        (
            lookup(&json!({"url": "http://127.0.0.1:1/"})),
            "serving.hooks.before[0].http.url",
            "not public",
        ),
        (
            lookup(&json!({"url": "http://8.8.8.8/"})),
            "serving.hooks.before[0].http.url",
            "expected https",
        ),
        (
            lookup(&json!({"url": "file:///etc/passwd"})),
            "serving.hooks.before[0].http.url",
            "expected https",
        ),
        (
            lookup(&json!({"headers": {"authorization": {"credential": "none"}}})),
            "serving.hooks.before[0].http.headers.authorization.credential",
            "no credential `none`",
        ),
    ] {
        let answer = platform.put(ENDPOINT, order(&hooks)).await;
        let error = answer.expect(400)["error"].clone();
        let place = error["field"].as_str().unwrap_or_default();
        assert!(place.starts_with(field), "{hooks}: {error}");
        assert!(error["message"].as_str().unwrap().contains(told), "{hooks}: {error}");
    }
    assert_eq!(platform.get(ENDPOINT).await.status, 404, "nothing was made");
    let routing = json!({"hooks": {"before": [{"default": {"column": "x", "value": 0}}]},
                         "routing": {"fallback": {"version": 3}}});
    let other = platform.register_file("fraud", &onnx::with_output("z")).await;
    assert_eq!(other, 3);
    let answer = platform.put(ENDPOINT, json!({"model": "fraud/1", "serving": routing})).await;
    assert_eq!(answer.status, 409, "it is not tried yet: {answer:?}");
}

#[actix_web::test]
async fn a_version_that_hooks_do_not_fit_blocks_its_follower() {
    let platform = ready().await;
    let hooks = json!({"after": [{"rename": {"column": "y", "as": "score"}}]});
    platform.put(ENDPOINT, order(&hooks)).await.expect(201);
    platform.end_release("fraud", ReleaseState::Completed).await;
    let number = platform.register_file("fraud", &onnx::with_output("z")).await;
    platform
        .end_trial("fraud", number, store::versions::TrialOutcome::Ready { batchable: true })
        .await;
    let moved = platform
        .put("/models/fraud/aliases/champion", json!({"version": number}))
        .await
        .expect(200);
    let why = moved["followers"][0]["blocked"].as_str().unwrap();
    assert!(why.contains("no output `y` here"), "{why}");
}

#[actix_web::test]
async fn credentials_are_for_one_server_and_shown_to_nobody() {
    let platform = ready().await;
    let secret = "Bearer hush-2f6c1b7e";
    let new = json!({"origin": SERVER, "secret": secret});
    let made = platform.put("/credentials/features", new.clone()).await.expect(201);
    assert_eq!(
        (&made["credential"], &made["origin"]),
        (&json!("features"), &json!("http://203.0.113.7:8080"))
    );
    platform.put("/credentials/features", new).await.expect(200);
    let list = platform.get("/credentials").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let names = json!({"headers": {"authorization": {"credential": "features"}}});
    platform.put(ENDPOINT, order(&lookup(&names))).await.expect(201);
    let mut elsewhere = lookup(&names);
    elsewhere["before"][0]["http"]["url"] = json!("http://203.0.113.8:8080/");
    let refused = platform.put(ENDPOINT, order(&elsewhere)).await;
    let field = "serving.hooks.before[0].http.headers.authorization.credential";
    assert!(refused.refusal(400, Some(field)).contains("is for `http://203.0.113.7:8080`"));

    for (name, body, field) in [
        ("a%20b", json!({"origin": SERVER, "secret": "x"}), "credential"),
        ("a", json!({"origin": "http://127.0.0.1", "secret": "x"}), "origin"),
        ("a", json!({"origin": "nowhere", "secret": "x"}), "origin"),
        ("a", json!({"origin": SERVER, "secret": ""}), "secret"),
        ("a", json!({"origin": SERVER, "secret": "a\nb"}), "secret"),
        ("a", json!({"origin": SERVER}), "secret"),
    ] {
        let answer = platform.put(&format!("/credentials/{name}"), body).await.expect(400);
        let named = answer["error"].to_string();
        assert!(named.contains(field), "{answer}");
    }
    platform.delete("/credentials/features").await.expect(204);
    platform.delete("/credentials/features").await.expect(404);

    let filter = audit::Filter::default();
    let all = Limit::new(Some(1000)).unwrap();
    let events = audit::list(platform.database(), &filter, None, all).await.unwrap().items;
    let mut changes: Vec<_> = events.iter().map(|event| event.change.as_str()).collect();
    changes.retain(|change| change.starts_with("credential."));
    assert_eq!(changes, ["credential.deleted", "credential.set", "credential.set"]);
    assert!(!format!("{events:?}").contains("hush-2f6c1b7e"));
}
