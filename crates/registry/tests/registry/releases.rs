//! `/endpoints/{endpoint}/releases`, `…/rollout`, `…/rollback`

use domain::ReleaseState;
use serde_json::{Value, json};

use crate::platform::Platform;

const ROLLBACK: &str = "/endpoints/fraud/rollback";

/// `fraud` served `versions` one after the other, by the alias `champion`.
async fn served(versions: &[i64]) -> Platform {
    let platform = Platform::start().await;
    for version in 1..=*versions.iter().max().unwrap() {
        let seed = u8::try_from(version).unwrap();
        assert_eq!(platform.servable("fraud", seed).await, version);
    }
    for (at, version) in versions.iter().enumerate() {
        platform
            .put("/models/fraud/aliases/champion", json!({"version": version}))
            .await
            .expect(200);
        match at {
            0 => platform.live("fraud", "fraud@champion").await,
            _ => platform.end_release("fraud", ReleaseState::Completed).await,
        }
    }
    platform
}

/// Releases, newest first, as `number version state`.
async fn releases(platform: &Platform) -> Vec<String> {
    let page = platform.get("/endpoints/fraud/releases").await.expect(200);
    let text = |it: &Value| {
        format!(
            "{} {} {}",
            it["release"],
            it["versions"][0]["version"],
            it["state"].as_str().unwrap()
        )
    };
    page["items"].as_array().unwrap().iter().map(text).collect()
}

#[actix_web::test]
async fn releases_say_what_was_live_when() {
    let platform = served(&[1, 2]).await;
    assert_eq!(releases(&platform).await, ["2 2 completed", "1 1 completed"]);
    let shown = platform.get("/endpoints/fraud/releases/2").await.expect(200);
    assert_eq!(shown["reason"], "`fraud@champion` points to 2");
    assert_eq!((&shown["endpoint"], &shown["created_by"]), (&json!("fraud"), &json!("user:admin")));
    assert!(shown["finished_at"].is_string());
    let first = platform.get("/endpoints/fraud/releases?limit=1").await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest =
        platform.get(&format!("/endpoints/fraud/releases?cursor={cursor}")).await.expect(200);
    assert_eq!(rest["items"][0]["release"], 1);
    let refused = platform.get("/endpoints/fraud/releases/7").await;
    assert_eq!(refused.refusal(404, Some("release")), "`fraud` has no release 7: it has 1 to 2");
    platform.get("/endpoints/fraud/releases/x").await.refusal(400, Some("release"));
}

#[actix_web::test]
async fn a_rollout_is_the_way_of_the_newest_release() {
    let platform = served(&[1]).await;
    let rollout = platform.get("/endpoints/fraud/rollout").await.expect(200);
    let expected = json!({
        "endpoint": "fraud", "release": 1, "state": "completed", "step": 1, "weights": {"fraud/1": 100},
    });
    assert_eq!(rollout, expected);
    platform.servable("fraud", 2).await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 2})).await.expect(200);
    let rollout = platform.get("/endpoints/fraud/rollout").await.expect(200);
    assert_eq!((&rollout["state"], &rollout["step"]), (&json!("progressing"), &json!(0)));
    assert_eq!(rollout["weights"], json!({"fraud/2": 100}));
}

#[actix_web::test]
async fn a_rollback_restores_the_versions_before_and_holds_the_endpoint() {
    let platform = served(&[1, 2]).await;
    let back = platform.post(ROLLBACK, json!({"reason": "alarms"})).await.expect(200);
    assert_eq!(
        (&back["release"], &back["state"], &back["weights"]),
        (&json!(3), &json!("progressing"), &json!({"fraud/1": 100}))
    );
    assert_eq!(releases(&platform).await, ["3 1 progressing", "2 2 rolled_back", "1 1 completed"]);
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!((&shown["held"], &shown["live"]["release"]), (&json!(true), &json!(2)));
    assert_eq!(shown["target"]["reason"], "back to release 1: alarms");
    assert_eq!(platform.recorded().await.last().unwrap(), "endpoint.rolled_back endpoint:fraud");
    platform.end_release("fraud", ReleaseState::Completed).await;

    // The alias still points to 2: only its next move is taken again.
    let same =
        platform.put("/models/fraud/aliases/champion", json!({"version": 2})).await.expect(200);
    assert_eq!(same["followers"], json!([]));
    platform.servable("fraud", 3).await;
    let moved =
        platform.put("/models/fraud/aliases/champion", json!({"version": 3})).await.expect(200);
    assert_eq!(moved["followers"], json!([{"endpoint": "fraud", "release": 4, "blocked": null}]));
    assert_eq!(platform.get("/endpoints/fraud").await.expect(200)["held"], false);
}

#[actix_web::test]
async fn deploying_again_ends_the_hold() {
    let platform = served(&[1, 2]).await;
    platform.post(ROLLBACK, json!({})).await.expect(200);
    platform.end_release("fraud", ReleaseState::Completed).await;
    let again =
        platform.put("/endpoints/fraud", json!({"model": "fraud@champion"})).await.expect(200);
    assert_eq!((&again["held"], &again["target"]["release"]), (&json!(false), &json!(4)));
    assert_eq!(again["target"]["versions"][0]["version"], 2);
}

#[actix_web::test]
async fn rolling_back_again_goes_further_back() {
    let platform = served(&[1, 2, 3]).await;
    platform.post(ROLLBACK, json!({})).await.expect(200);
    platform.end_release("fraud", ReleaseState::Completed).await;
    let back = platform.post(ROLLBACK, json!({})).await.expect(200);
    assert_eq!(back["weights"], json!({"fraud/1": 100}));
}

#[actix_web::test]
async fn a_rollback_on_the_way_gives_the_new_release_up_and_keeps_what_answers() {
    let platform = served(&[1, 2]).await;
    platform.servable("fraud", 3).await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 3})).await.expect(200);
    let back = platform.post(ROLLBACK, json!({})).await.expect(200);
    assert_eq!(back["weights"], json!({"fraud/2": 100}));
    let expected = ["4 2 progressing", "3 3 aborted", "2 2 completed", "1 1 completed"];
    assert_eq!(releases(&platform).await, expected);
}

#[actix_web::test]
async fn a_rollback_may_name_a_release_that_answered_once() {
    let platform = served(&[1, 2, 3]).await;
    let back = platform.post(ROLLBACK, json!({"to": 1})).await.expect(200);
    assert_eq!((&back["release"], &back["weights"]), (&json!(4), &json!({"fraud/1": 100})));
    platform.end_release("fraud", ReleaseState::Failed).await;
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!((&shown["state"], &shown["live"]["release"]), (&json!("ready"), &json!(3)));
    for (to, status, field, message) in [
        (9, 404, "release", "`fraud` has no release 9: it has 1 to 4"),
        (3, 409, "to", "release 3 of `fraud` is the one to be left"),
        (4, 409, "to", "release 4 of `fraud` never answered: it failed"),
    ] {
        let refused = platform.post(ROLLBACK, json!({"to": to})).await;
        assert_eq!(refused.refusal(status, Some(field)), message);
    }
}

#[actix_web::test]
async fn without_an_earlier_release_there_is_no_way_back() {
    let platform = served(&[1]).await;
    let refused = platform.post(ROLLBACK, json!({})).await;
    let message = "no earlier release of `fraud` served anything else";
    assert_eq!(refused.refusal(409, Some("endpoint")), message);
    platform.put("/endpoints/empty", json!({"model": "fraud/1"})).await.expect(201);
    platform.end_release("empty", ReleaseState::Failed).await;
    let refused = platform.post("/endpoints/empty/rollback", json!({})).await;
    assert_eq!(refused.refusal(409, Some("endpoint")), "`empty` serves nothing that could be left");
    platform.post("/endpoints/ghost/rollback", json!({})).await.refusal(404, Some("endpoint"));
    platform.post(ROLLBACK, json!({"release": 1})).await.refusal(400, Some("release"));
}
