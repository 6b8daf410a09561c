//! How releases serve: splits, and settings that stay until something else is asked for.

use domain::ReleaseState;
use serde_json::{Value, json};

use crate::platform::Platform;

const ENDPOINT: &str = "/endpoints/fraud";

/// The model `fraud` with that many versions that can be served.
async fn versions(count: u8) -> Platform {
    let platform = Platform::start().await;
    for seed in 1..=count {
        platform.servable("fraud", seed).await;
    }
    platform
}

async fn champion(platform: &Platform, version: i64) -> Value {
    platform.put("/models/fraud/aliases/champion", json!({"version": version})).await.expect(200)
}

/// The release on its way, as its versions with their weights.
fn shares(endpoint: &Value) -> Vec<(i64, i64)> {
    let share = |it: &Value| (it["version"].as_i64().unwrap(), it["weight"].as_i64().unwrap());
    let mut shares: Vec<_> =
        endpoint["target"]["versions"].as_array().unwrap().iter().map(share).collect();
    shares.sort_unstable();
    shares
}

fn split(parts: &[(i64, i64)]) -> Value {
    parts.iter().map(|(version, weight)| json!({"version": version, "weight": weight})).collect()
}

#[actix_web::test]
async fn a_split_stays_with_its_versions() {
    let platform = versions(3).await;
    let order = json!({"model": "fraud/1", "split": split(&[(2, 10), (1, 90)])});
    let made = platform.put(ENDPOINT, order.clone()).await.expect(201);
    assert_eq!((shares(&made), &made["follows"]), (vec![(1, 90), (2, 10)], &json!("fraud/1")));
    let again = platform.put(ENDPOINT, order).await.expect(200);
    assert_eq!(again["target"]["release"], 1);
    let other = json!({"model": "fraud/1", "split": split(&[(1, 80), (2, 20)])});
    let changed = platform.put(ENDPOINT, other).await.expect(200);
    assert_eq!(
        (shares(&changed), &changed["target"]["release"]),
        (vec![(1, 80), (2, 20)], &json!(2))
    );
    let whole = platform.put(ENDPOINT, json!({"model": "fraud/1"})).await.expect(200);
    assert_eq!(shares(&whole), [(1, 100)]);
    champion(&platform, 1).await;
    for (order, status, field, words) in [
        (
            json!({"model": "fraud/1", "split": split(&[(1, 90)])}),
            400,
            "split",
            "sum to 100, not 90",
        ),
        (
            json!({"model": "fraud/1", "split": split(&[(2, 100)])}),
            400,
            "split",
            "`fraud/1` has no share",
        ),
        (
            json!({"model": "fraud/1", "split": split(&[(1, 90), (9, 10)])}),
            404,
            "version",
            "no version 9",
        ),
        (
            json!({"model": "fraud@champion", "split": split(&[(1, 100)])}),
            400,
            "model",
            "`fraud@champion` moves",
        ),
        (json!({"split": split(&[(1, 100)])}), 400, "model", "missing field `model`"),
        (
            json!({"model": "fraud/1", "split": [{"version": 1, "weight": 101}]}),
            400,
            "split[0].weight",
            "0 to 100",
        ),
        (json!({}), 400, "model", "missing field `model`"),
    ] {
        let refused = platform.put(ENDPOINT, order).await.refusal(status, Some(field));
        assert!(refused.contains(words), "{refused}");
    }
}

#[actix_web::test]
async fn settings_alone_make_a_release_and_stay_until_they_change() {
    let platform = versions(3).await;
    champion(&platform, 1).await;
    platform.live("fraud", "fraud@champion").await;
    let sticky = json!({"header": "x-user"});
    let order = json!({"serving": {"timeout": "2s", "routing": {"sticky": sticky}}});
    let set = platform.put(ENDPOINT, order.clone()).await.expect(200);
    assert_eq!((shares(&set), &set["target"]["release"]), (vec![(1, 100)], &json!(2)));
    assert_eq!(set["target"]["serving"], order["serving"]);
    assert_eq!(set["live"]["serving"], json!({}));
    let recorded = platform.recorded().await;
    assert_eq!(recorded.last().unwrap(), "endpoint.deployed endpoint:fraud");
    platform.end_release("fraud", ReleaseState::Completed).await;
    let same = platform.put(ENDPOINT, order).await.expect(200);
    assert_eq!(same["target"], json!(null));
    assert_eq!(platform.recorded().await.len(), recorded.len() + 1, "only the release's end");

    // What is left out stays, what is null goes; in a group alike.
    let order = json!({"serving": {"timeout": null, "routing": {"fallback": {"version": 3}}}});
    let set = platform.put(ENDPOINT, order).await.expect(200);
    let expected = json!({"routing": {"sticky": sticky, "fallback": {"version": 3}}});
    assert_eq!(set["target"]["serving"], expected);
    assert_eq!(shares(&set), [(1, 100), (3, 0)], "what settings name is a part of the release");
    platform.end_release("fraud", ReleaseState::Completed).await;

    // A follower keeps them, with the versions that they name.
    champion(&platform, 2).await;
    let moved = platform.get(ENDPOINT).await.expect(200);
    assert_eq!((shares(&moved), &moved["target"]["serving"]), (vec![(2, 100), (3, 0)], &expected));
    platform.end_release("fraud", ReleaseState::Completed).await;
    champion(&platform, 3).await;
    let moved = platform.get(ENDPOINT).await.expect(200);
    assert_eq!((shares(&moved), &moved["target"]["serving"]), (vec![(3, 100)], &expected));
    platform.end_release("fraud", ReleaseState::Completed).await;

    // So does a deployment that says nothing of them, and what they name goes with them.
    let order = json!({"model": "fraud/1"});
    let set = platform.put(ENDPOINT, order).await.expect(200);
    assert_eq!((shares(&set), &set["target"]["serving"]), (vec![(1, 100), (3, 0)], &expected));
    let set = platform.put(ENDPOINT, json!({"serving": {"routing": null}})).await.expect(200);
    assert_eq!((shares(&set), &set["target"]["serving"]), (vec![(1, 100)], &json!({})));
}

#[actix_web::test]
async fn a_rollback_brings_the_settings_of_the_release_back() {
    let platform = versions(1).await;
    platform.live("fraud", "fraud/1").await;
    for timeout in ["1s", "2s"] {
        platform.put(ENDPOINT, json!({"serving": {"timeout": timeout}})).await.expect(200);
        platform.end_release("fraud", ReleaseState::Completed).await;
    }
    // The versions are the same: other settings are something else to go back to.
    platform.post("/endpoints/fraud/rollback", json!({})).await.expect(200);
    let back = platform.get(ENDPOINT).await.expect(200);
    assert_eq!(back["target"]["serving"], json!({"timeout": "1s"}));
    // Settings change and what holds the endpoint does not.
    let set = platform.put(ENDPOINT, json!({"serving": {"timeout": "3s"}})).await.expect(200);
    assert_eq!((&set["held"], &set["target"]["release"]), (&json!(true), &json!(5)));
}

#[actix_web::test]
async fn settings_that_do_not_fit_are_refused_by_their_place() {
    let platform = versions(2).await;
    platform.live("fraud", "fraud/1").await;
    for (serving, status, field, words) in [
        (json!({"timeout": "0s"}), 400, "serving.timeout", "1ms to 10m"),
        (json!({"timeout": 5}), 400, "serving.timeout", "a length of time"),
        (json!({"body_limit": "1MB/s"}), 400, "serving.body_limit", "with its unit"),
        (json!({"body_limit": "17MiB"}), 400, "serving.body_limit", "at most 16777216 bytes"),
        (json!({"max_queue": 2000}), 400, "serving.max_queue", "1 to 1024"),
        (json!({"timeot": "5s"}), 400, "serving.timeot", "unknown field `timeot`"),
        (json!({"timeot": null}), 400, "serving.timeot", "unknown field `timeot`"),
        (
            json!({"routing": {"sticky": {"input": "user"}}}),
            400,
            "serving.routing.sticky.input",
            "no input `user`",
        ),
        (
            json!({"routing": {"shadow": {"version": 9}}}),
            400,
            "serving",
            "version 9, which the model `fraud` has not",
        ),
        (
            json!({"routing": {"rules": [{"header": "x", "present": true, "version": 2}, {"header": "x", "version": 1}]}}),
            400,
            "serving.routing.rules[1]",
            "one of `equals`, `prefix` and `present`",
        ),
        (
            json!({"routing": {"rules": [{"header": "cookie", "present": true, "version": 2}]}}),
            400,
            "serving.routing.rules[0].header",
            "carries a secret",
        ),
    ] {
        let refused = platform.put(ENDPOINT, json!({"serving": serving})).await;
        let refused = refused.refusal(status, Some(field));
        assert!(refused.contains(words), "{refused}");
    }
    let shown = platform.get(ENDPOINT).await.expect(200);
    assert_eq!((&shown["live"]["release"], &shown["target"]), (&json!(1), &json!(null)));
    let absent = platform.put("/endpoints/new", json!({"serving": {"timeout": "1s"}})).await;
    absent.refusal(400, Some("model"));
}

#[actix_web::test]
async fn settings_that_name_versions_do_not_go_along_to_another_model() {
    let platform = versions(2).await;
    platform.servable("churn", 9).await;
    platform.live("fraud", "fraud/1").await;
    let fallback = json!({"serving": {"timeout": "2s", "routing": {"fallback": {"version": 2}}}});
    platform.put(ENDPOINT, fallback).await.expect(200);
    let refused = platform.put(ENDPOINT, json!({"model": "churn/1"})).await;
    let refused = refused.refusal(409, Some("serving"));
    assert!(refused.contains("versions of `fraud`"), "{refused}");
    let order = json!({"model": "churn/1", "serving": {"routing": {}}});
    let moved = platform.put(ENDPOINT, order).await.expect(200);
    assert_eq!(
        (shares(&moved), &moved["target"]["serving"]),
        (vec![(1, 100)], &json!({"timeout": "2s"}))
    );
}
