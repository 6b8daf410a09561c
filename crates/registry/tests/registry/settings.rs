//! `/settings`, and what the setting `pickle` lets endpoints serve.

use domain::pickle::{FileFindings, Findings, Format, named};
use serde_json::json;
use store::{Change, versions};

use crate::platform::Platform;

const PICKLE: &str = "/settings/pickle";

/// What a scan of a version finds: a file that imports this.
async fn found(platform: &Platform, number: i32, module: &str, name: &str) {
    let database = platform.database();
    let model = "fraud".parse().unwrap();
    let version = versions::get(database, &model, number).await.unwrap().unwrap();
    let report = named(module, name);
    let (path, format, verdict) = ("scaler.pkl".to_owned(), Format::Pickle, report.verdict());
    let findings = Findings::of(vec![FileFindings { path, format, verdict, report }]);
    let mut change = Change::begin(database).await.unwrap();
    versions::set_findings(&mut change, version.id, &findings).await.unwrap();
    change.commit(&platform.event()).await.unwrap();
}

#[actix_web::test]
async fn a_setting_is_shown_changed_and_recorded() {
    let platform = Platform::start().await;
    let before = platform.get(PICKLE).await.expect(200);
    let expected =
        json!({"setting": "pickle", "value": "safe-only", "updated_by": null, "updated_at": null});
    assert_eq!(before, expected);
    platform.put(PICKLE, json!({"value": "sometimes"})).await.refusal(400, Some("value"));
    platform.put(PICKLE, json!({"value": 3})).await.refusal(400, Some("value"));
    platform.put("/settings/luck", json!({"value": "deny"})).await.refusal(404, Some("setting"));
    let after = platform.put(PICKLE, json!({"value": "deny"})).await.expect(200);
    assert_eq!((&after["value"], &after["updated_by"]), (&json!("deny"), &json!("user:admin")));
    assert_eq!(platform.get("/settings").await.expect(200)["items"], json!([after]));
    let recorded = platform.recorded().await;
    assert_eq!(recorded, ["setting.changed platform:*"]);
}

#[actix_web::test]
async fn what_a_version_carries_beside_its_model_is_deployed_as_the_setting_says() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    found(&platform, 1, "os", "system").await;
    let shown = platform.get("/models/fraud/versions/1").await.expect(200);
    assert_eq!(shown["findings"]["verdict"], "dangerous");
    assert_eq!(shown["findings"]["files"][0]["imports"][0]["name"], "os.system");
    let deploy = json!({"model": "fraud/1"});
    let refusal = platform.put("/endpoints/fraud", deploy.clone()).await.expect(409);
    let message = refusal["error"]["message"].as_str().unwrap();
    for part in ["scaler.pkl", "os.system", "safe-only"] {
        assert!(message.contains(part), "{message}");
    }
    platform.put(PICKLE, json!({"value": "allow"})).await.expect(200);
    let answer = platform.put("/endpoints/fraud", deploy).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

/// Why an endpoint does not take what it follows.
async fn blocked(platform: &Platform) -> String {
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    shown["blocked"].as_str().unwrap_or_default().to_owned()
}

#[actix_web::test]
async fn followers_take_what_the_setting_allows_when_an_alias_or_a_stage_moves() {
    let champion = "/models/fraud/aliases/champion";
    let stage = |version: u8| format!("/models/fraud/versions/{version}/stage");
    let production = json!({"stage": "Production"});
    // What it follows; a move to version 1, one to version 2, and one away from that.
    let alias = |version| (champion.to_owned(), json!({"version": version}));
    let by_alias = ("fraud@champion", [alias(1), alias(2), alias(1)]);
    let by_stage = [
        (stage(1), production.clone()),
        (stage(2), production),
        (stage(2), json!({"stage": "Archived"})),
    ];
    for (follows, [first, second, away]) in [by_alias, ("fraud/Production", by_stage)] {
        let platform = Platform::start().await;
        platform.servable("fraud", 1).await;
        platform.servable("fraud", 2).await;
        platform.put(&first.0, first.1).await.expect(200);
        platform.live("fraud", follows).await;
        found(&platform, 2, "ours", "Scaler").await;
        let moved = platform.put(&second.0, second.1.clone()).await.expect(200);
        let why = moved["followers"][0]["blocked"].as_str().unwrap();
        assert!(why.contains("ours.Scaler") && why.contains("safe-only"), "{why}");
        assert_eq!(blocked(&platform).await, why);
        // The next move finds another setting.
        platform.put(PICKLE, json!({"value": "allow"})).await.expect(200);
        platform.put(&away.0, away.1).await.expect(200);
        let moved = platform.put(&second.0, second.1).await.expect(200);
        assert_eq!(moved["followers"][0]["blocked"], json!(null), "{follows}: {moved}");
        assert_eq!(blocked(&platform).await, "");
    }
}

#[actix_web::test]
async fn a_rollback_brings_back_nothing_that_the_setting_forbids_by_now() {
    let platform = Platform::start().await;
    for version in [1, 2] {
        platform.servable("fraud", version).await;
        platform.live("fraud", &format!("fraud/{version}")).await;
    }
    found(&platform, 1, "os", "system").await;
    let rollback = "/endpoints/fraud/rollback";
    let refusal = platform.post(rollback, json!({})).await.refusal(409, Some("to"));
    assert!(refusal.contains("os.system"), "{refusal}");
    platform.put(PICKLE, json!({"value": "allow"})).await.expect(200);
    let answer = platform.post(rollback, json!({})).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

#[actix_web::test]
async fn one_version_is_trusted_for_a_reason_while_the_setting_takes_known_constructors() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    found(&platform, 1, "ours", "Scaler").await;
    let (trust, deploy) = ("/models/fraud/versions/1/trust", json!({"model": "fraud/1"}));
    let refused = platform.put("/endpoints/fraud", deploy.clone()).await;
    let refused = refused.refusal(409, Some("model"));
    assert!(refused.contains("ours.Scaler"), "{refused}");
    for wrong in [json!({"reason": " "}), json!({"reason": "x".repeat(2001)})] {
        platform.put(trust, wrong).await.refusal(400, Some("reason"));
    }
    platform.put(trust, json!({})).await.refusal(400, Some("reason"));
    let there_is_none = platform.put("/models/fraud/versions/9/trust", json!({"reason": "x"}));
    there_is_none.await.refusal(404, Some("version"));
    let version = platform.put(trust, json!({"reason": " read by Ana "})).await.expect(200);
    assert_eq!(version["trust"]["by"], "user:admin");
    assert_eq!(version["trust"]["reason"], "read by Ana");
    assert_eq!(version["status"], "ready", "it was tried before: {version}");
    assert!(platform.put("/endpoints/fraud", deploy.clone()).await.status.is_success());
    // Nothing is trusted where nothing is taken, and it holds again when that changes.
    platform.put(PICKLE, json!({"value": "deny"})).await.expect(200);
    let other = json!({"model": "fraud/1"});
    platform.put("/endpoints/other", other.clone()).await.refusal(409, Some("model"));
    platform.put(PICKLE, json!({"value": "safe-only"})).await.expect(200);
    assert!(platform.put("/endpoints/other", other.clone()).await.status.is_success());
    platform.delete(trust).await.expect(204);
    platform.delete(trust).await.expect(204);
    platform.put("/endpoints/third", other).await.refusal(409, Some("model"));
    assert_eq!(platform.get("/models/fraud/versions/1").await.expect(200).get("trust"), None);
    let recorded = platform.recorded().await;
    for change in ["version.trusted model:fraud", "version.distrusted model:fraud"] {
        let times = recorded.iter().filter(|event| *event == change).count();
        assert_eq!(times, 1, "{change}: {recorded:?}");
    }
}

#[actix_web::test]
async fn a_version_is_tried_again_where_that_may_help() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    let trial = "/models/fraud/versions/1/trial";
    let told = platform.post(trial, json!({})).await.refusal(409, Some("version"));
    assert!(told.contains("not over"), "{told}");
    platform.servable("fraud", 2).await;
    let told = platform.post("/models/fraud/versions/2/trial", json!({})).await;
    assert!(told.refusal(409, Some("version")).contains("servable already"));
    platform.post("/models/fraud/versions/9/trial", json!({})).await.refusal(404, Some("version"));
}

#[actix_web::test]
async fn a_restored_version_is_what_it_was() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    found(&platform, 1, "os", "system").await;
    platform.delete("/models/fraud/versions/1").await.expect(204);
    platform.post("/models/fraud/versions/1/restore", json!({})).await.expect(200);
    let refusal = platform.put("/endpoints/fraud", json!({"model": "fraud/1"})).await;
    assert!(refusal.refusal(409, Some("model")).contains("os.system"));
    platform.delete("/models/fraud").await.expect(204);
    platform.post("/models/fraud/restore", json!({})).await.expect(200);
    let refusal = platform.put("/endpoints/fraud", json!({"model": "fraud/1"})).await;
    assert!(refusal.refusal(409, Some("model")).contains("os.system"));
}
