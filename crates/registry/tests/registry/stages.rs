//! `/models/{name}/stages`, and the endpoints that follow one.

use actix_web::http::StatusCode;
use domain::ReleaseState;
use futures_util::future::join;
use serde_json::{Value, json};
use store::versions::TrialOutcome;

use crate::platform::{Answer, Platform};

const PRODUCTION: &str = "/models/fraud/stages/Production/revert";

async fn to(platform: &Platform, version: i64, stage: &str) -> Answer {
    let url = format!("/models/fraud/versions/{version}/stage");
    platform.put(&url, json!({"stage": stage})).await
}

async fn instead(platform: &Platform, version: i64, stage: &str) -> Answer {
    let url = format!("/models/fraud/versions/{version}/stage");
    platform.put(&url, json!({"stage": stage, "archive_existing_versions": true})).await
}

/// So many servable versions, the first in `Production`, and an endpoint that follows it.
async fn following(versions: u8) -> Platform {
    let platform = Platform::start().await;
    for seed in 1..=versions {
        platform.servable("fraud", seed).await;
    }
    to(&platform, 1, "Production").await.expect(200);
    platform.live("fraud", "fraud/Production").await;
    platform
}

fn release(number: i32) -> Value {
    json!([{"endpoint": "fraud", "release": number, "blocked": null}])
}

fn blocked(why: &str) -> Value {
    json!([{"endpoint": "fraud", "release": null, "blocked": why}])
}

/// The version that the endpoint serves, or is about to.
async fn served(platform: &Platform) -> Value {
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    let release = if shown["target"].is_null() { &shown["live"] } else { &shown["target"] };
    release["versions"][0]["version"].clone()
}

async fn stages(platform: &Platform, versions: &[i64]) -> Vec<String> {
    let mut found = Vec::new();
    for version in versions {
        let shown = platform.get(&format!("/models/fraud/versions/{version}")).await.expect(200);
        found.push(shown["stage"].as_str().unwrap().to_owned());
    }
    found
}

#[actix_web::test]
async fn an_endpoint_follows_the_newest_version_in_a_stage() {
    let platform = following(3).await;
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!(shown["follows"], "fraud/Production");
    let moved = to(&platform, 3, "production").await.expect(200);
    assert_eq!((&moved["stage"], &moved["followers"]), (&json!("Production"), &release(2)));
    // 2 is older than 3, which stays the newest.
    assert_eq!(to(&platform, 2, "Production").await.expect(200)["followers"], json!([]));
    // With 3 gone it is the newest; from one that is not, nobody has anything to do.
    assert_eq!(to(&platform, 3, "Staging").await.expect(200)["followers"], release(3));
    assert_eq!(served(&platform).await, 2);
    assert_eq!(to(&platform, 1, "None").await.expect(200)["followers"], json!([]));
    let same = to(&platform, 2, "Production").await.expect(200);
    assert_eq!((&same["moved"], &same["followers"]), (&json!(false), &json!([])));
    let recorded = platform.recorded().await;
    let releases = recorded.iter().filter(|it| *it == "release.created endpoint:fraud").count();
    assert_eq!(releases, 2, "{recorded:?}");
}

#[actix_web::test]
async fn what_is_archived_for_a_newcomer_moves_with_it_in_one_transition() {
    let platform = following(3).await;
    to(&platform, 2, "Production").await.expect(200);
    let moved = instead(&platform, 3, "Production").await.expect(200);
    assert_eq!((&moved["archived"], &moved["followers"]), (&json!([1, 2]), &release(3)));
    assert_eq!(stages(&platform, &[1, 2, 3]).await, ["Archived", "Archived", "Production"]);
    let history = platform.get("/models/fraud/history?limit=3").await.expect(200);
    let transitions: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|it| &it["transition"]).collect();
    assert!(transitions[0] == transitions[1] && transitions[1] == transitions[2], "{history}");
    // An older one instead of a newer one, too.
    let moved = instead(&platform, 1, "Production").await.expect(200);
    assert_eq!((&moved["archived"], &moved["followers"]), (&json!([3]), &release(4)));
    assert_eq!(served(&platform).await, 1);
}

#[actix_web::test]
async fn a_follower_that_cannot_take_the_newest_stays_with_the_reason_until_it_can() {
    let platform = following(1).await;
    platform.register("fraud", 2).await;
    let moved = to(&platform, 2, "Production").await.expect(200);
    assert_eq!(moved["followers"], blocked("the trial of `fraud/2` is not over"));
    assert_eq!(served(&platform).await, 1);
    platform.end_trial("fraud", 2, TrialOutcome::Ready { batchable: true }).await;
    assert_eq!(served(&platform).await, 2);
    assert_eq!(platform.get("/endpoints/fraud").await.expect(200)["blocked"], json!(null));

    // A trial that ends when another is the newest changes nothing.
    platform.register("fraud", 3).await;
    to(&platform, 3, "Production").await.expect(200);
    platform.servable("fraud", 4).await;
    assert_eq!(to(&platform, 4, "Production").await.expect(200)["followers"], release(3));
    platform.end_trial("fraud", 3, TrialOutcome::Ready { batchable: true }).await;
    assert_eq!(served(&platform).await, 4);
}

#[actix_web::test]
async fn a_follower_of_a_stage_that_is_empty_stays_and_says_so() {
    let platform = following(2).await;
    let moved = to(&platform, 1, "Archived").await.expect(200);
    let why = "no version is in the stage `Production` any more";
    assert_eq!(moved["followers"], blocked(why));
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!(
        (&shown["blocked"], &shown["live"]["versions"][0]["version"]),
        (&json!(why), &json!(1))
    );
    assert_eq!(to(&platform, 2, "Production").await.expect(200)["followers"], release(2));
    assert_eq!(platform.get("/endpoints/fraud").await.expect(200)["blocked"], json!(null));
    let refused = platform.put("/endpoints/other", json!({"model": "fraud/Staging"})).await;
    refused.refusal(404, Some("stage"));
    platform
        .put("/endpoints/other", json!({"model": "fraud/None"}))
        .await
        .refusal(400, Some("model"));
    platform
        .put("/endpoints/other", json!({"model": "fraud/Nowhere"}))
        .await
        .refusal(400, Some("stage"));
}

#[actix_web::test]
async fn a_rollback_holds_a_follower_of_a_stage_until_the_next_move() {
    let platform = following(3).await;
    to(&platform, 2, "Production").await.expect(200);
    platform.end_release("fraud", ReleaseState::Completed).await;
    platform.post("/endpoints/fraud/rollback", json!({})).await.expect(200);
    platform.end_release("fraud", ReleaseState::Completed).await;
    assert_eq!(platform.get("/endpoints/fraud").await.expect(200)["held"], true);
    assert_eq!(to(&platform, 1, "Archived").await.expect(200)["followers"], json!([]));
    assert_eq!(platform.get("/endpoints/fraud").await.expect(200)["held"], true);
    assert_eq!(to(&platform, 3, "Production").await.expect(200)["followers"], release(4));
    assert_eq!(platform.get("/endpoints/fraud").await.expect(200)["held"], false);
}

#[actix_web::test]
async fn two_pointers_that_move_at_once_bring_each_its_own_followers() {
    let platform = following(3).await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 1})).await.expect(200);
    platform.live("scoring", "fraud@champion").await;
    let champion = platform.put("/models/fraud/aliases/champion", json!({"version": 3}));
    let (by_stage, by_alias) = join(to(&platform, 2, "Production"), champion).await;
    assert_eq!(by_stage.expect(200)["followers"], release(2));
    let expected = json!([{"endpoint": "scoring", "release": 2, "blocked": null}]);
    assert_eq!(by_alias.expect(200)["followers"], expected);
    assert_eq!(served(&platform).await, 2);
    let scoring = platform.get("/endpoints/scoring").await.expect(200);
    assert_eq!(scoring["target"]["versions"][0]["version"], 3);
}

#[actix_web::test]
async fn a_version_that_a_follower_serves_is_not_deleted_and_one_that_is_deleted_leads_nobody() {
    let platform = following(2).await;
    platform.delete("/models/fraud/versions/1").await.refusal(409, None);
    platform.register("fraud", 3).await;
    to(&platform, 3, "Production").await.expect(200);
    assert!(platform.get("/endpoints/fraud").await.expect(200)["blocked"].is_string());
    // It is the newest, but nobody serves it: whoever waited for it goes back.
    platform.delete("/models/fraud/versions/3").await.expect(204);
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!((&shown["blocked"], served(&platform).await), (&json!(null), json!(1)));
    let restored = platform.post("/models/fraud/versions/3/restore", json!({})).await.expect(200);
    assert_eq!(restored["stage"], "Production");
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!(shown["blocked"], "the trial of `fraud/3` is not over");
    platform.end_trial("fraud", 3, TrialOutcome::Ready { batchable: true }).await;
    assert_eq!(served(&platform).await, 3);
}

#[actix_web::test]
async fn a_restored_version_brings_the_followers_of_its_stage_along() {
    let platform = following(1).await;
    platform.servable("fraud", 2).await;
    platform.delete("/models/fraud/versions/2").await.expect(204);
    platform.execute("UPDATE model_versions SET stage = 'Production' WHERE number = 2").await;
    platform.post("/models/fraud/versions/2/restore", json!({})).await.expect(200);
    assert_eq!(served(&platform).await, 2);
}

#[actix_web::test]
async fn a_renamed_model_keeps_its_followers() {
    let platform = following(2).await;
    // MLflow's route renames; here it is the row that matters.
    platform.execute("UPDATE models SET name = 'cards' WHERE name = 'fraud'").await;
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!(shown["follows"], "cards/Production");
    let moved =
        platform.put("/models/cards/versions/2/stage", json!({"stage": "Production"})).await;
    assert_eq!(moved.expect(200)["followers"], release(2));
    platform.delete("/models/cards").await.refusal(409, None);
}

#[actix_web::test]
async fn a_team_has_stages_of_its_own_which_endpoints_follow() {
    let platform = following(2).await;
    let own = json!({"stages": ["None", "Canary", "Production", "Archived"]});
    platform.put("/models/fraud/stages", own).await.expect(200);
    to(&platform, 2, "Staging").await.refusal(400, Some("stage"));
    to(&platform, 2, "canary").await.expect(200);
    platform.live("canary", "fraud/Canary").await;
    let without = json!({"stages": ["None", "Production", "Archived"]});
    platform.put("/models/fraud/stages", without.clone()).await.refusal(409, Some("stages"));
    to(&platform, 2, "None").await.expect(200);
    // The endpoint follows it still.
    platform.put("/models/fraud/stages", without.clone()).await.refusal(409, Some("stages"));
    platform.delete("/endpoints/canary").await.expect(204);
    platform.put("/models/fraud/stages", without).await.expect(200);
    let no_archive = json!({"stages": ["None", "Production"]});
    platform.put("/models/fraud/stages", no_archive).await.expect(200);
    instead(&platform, 2, "Production").await.refusal(400, Some("stage"));
    assert_eq!(stages(&platform, &[1, 2]).await, ["Production", "None"]);
    let events = platform.recorded().await;
    assert!(events.contains(&"model.edited model:fraud".to_owned()), "{events:?}");
}

#[actix_web::test]
async fn one_call_undoes_the_last_transition_with_what_it_archived() {
    let platform = following(2).await;
    to(&platform, 2, "Staging").await.expect(200);
    instead(&platform, 2, "Production").await.expect(200);
    let back = platform.post(PRODUCTION, json!({"reason": "alarms"})).await.expect(200);
    let expected = json!({
        "model": "fraud", "stage": "Production",
        "moved": [
            {"version": 1, "from": "Archived", "to": "Production"},
            {"version": 2, "from": "Production", "to": "Staging"},
        ],
        "followers": [{"endpoint": "fraud", "release": 3, "blocked": null}],
    });
    assert_eq!(back, expected);
    assert_eq!(stages(&platform, &[1, 2]).await, ["Production", "Staging"]);
    let recorded = platform.recorded().await;
    assert_eq!(recorded.iter().filter(|it| *it == "stage.moved model:fraud").count(), 6);
    let history = platform.get("/models/fraud/history?stage=production&limit=1").await.expect(200);
    assert_eq!(history["items"][0]["reason"], "alarms");
    // Again is forward again, whatever the case.
    platform.post("/models/fraud/stages/PRODUCTION/revert", json!({})).await.expect(200);
    assert_eq!(stages(&platform, &[1, 2]).await, ["Archived", "Production"]);
    assert_eq!(served(&platform).await, 2);
}

#[actix_web::test]
async fn what_cannot_be_undone_says_why_and_changes_nothing() {
    let platform = following(3).await;
    let says = async |url: &str| {
        let refused = platform.post(url, json!({})).await;
        refused.refusal(409, Some("stage"))
    };
    let never = says("/models/fraud/stages/Staging/revert").await;
    assert_eq!(never, "no version of `fraud` was ever moved to or from `Staging`");
    instead(&platform, 2, "Production").await.expect(200);
    to(&platform, 1, "None").await.expect(200);
    assert_eq!(says(PRODUCTION).await, "version 1 is in `None` by now, not in `Archived`");
    to(&platform, 3, "Production").await.expect(200);
    platform.delete("/endpoints/fraud").await.expect(204);
    platform.delete("/models/fraud/versions/3").await.expect(204);
    let deleted = says(PRODUCTION).await;
    assert_eq!(deleted, "version 3 left `Production` because it was deleted");
    platform.post("/models/fraud/versions/3/restore", json!({})).await.expect(200);
    let restored = says(PRODUCTION).await;
    assert_eq!(restored, "version 3 is in `Production` because it was restored");
    let wrong = platform.post("/models/fraud/stages/Nowhere/revert", json!({})).await;
    wrong.refusal(400, Some("stage"));
    platform
        .post("/models/ghost/stages/Staging/revert", json!({}))
        .await
        .refusal(404, Some("model"));
    let extra = platform.post(PRODUCTION, json!({"version": 1})).await;
    assert_eq!(extra.status, StatusCode::BAD_REQUEST);
    assert_eq!(stages(&platform, &[1, 2, 3]).await, ["None", "Production", "Production"]);
}
