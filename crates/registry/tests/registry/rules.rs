//! `/models/{name}/rules`, and what they refuse.

use serde_json::{Value, json};

use crate::platform::{Platform, versions_of};

const CHAMPION: &str = "/models/fraud/aliases/champion";
const RULES: &str = "/models/fraud/rules";
const RUN: &str = "0123456789abcdef0123456789abcdef";

/// A version that this run trained.
async fn trained(platform: &Platform, content: &[u8], run: &str) {
    let file = platform.file("model.bin", content).await;
    let body = json!({"files": [file], "lineage": {"run_id": run}});
    platform.post(&versions_of("fraud"), body).await.expect(201);
}

/// What a run logged.
async fn logged(platform: &Platform, run: &str, key: &str, value: f64) {
    platform
        .execute(&format!(
            "INSERT INTO runs (id, experiment_id, name, status, artifact_uri, owner, created_at, updated_at)
             VALUES ('{run}', 0, 'r', 'RUNNING', '', 'user:ana', now(), now()) ON CONFLICT DO NOTHING;
             INSERT INTO run_metrics (run_id, key, value, timestamp, step) VALUES ('{run}', '{key}', {value}, 0, 0)
             ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value"
        ))
        .await;
}

async fn refused(platform: &Platform, version: i32) -> Value {
    let answer = platform.put(CHAMPION, json!({"version": version})).await.expect(403);
    assert_eq!(answer["error"]["code"], "gate_refused");
    answer["error"]["rules"].clone()
}

/// What the audit trail says of the last change.
async fn last_detail(platform: &Platform) -> Value {
    let filter = store::audit::Filter::default();
    let limit = domain::Limit::new(Some(1)).unwrap();
    let mut last = store::audit::list(platform.database(), &filter, None, limit).await.unwrap();
    last.items.remove(0).detail
}

#[actix_web::test]
async fn rules_are_made_listed_and_removed() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    let body = json!({"rule": "accuracy>=0.9", "target": "champion"});
    let made = platform.post(RULES, body).await.expect(201);
    assert_eq!((&made["rule"], &made["target"]), (&json!("accuracy >= 0.9"), &json!("champion")));
    assert_eq!(platform.get(RULES).await.expect(200)["items"], json!([made]));
    for wrong in ["approved by ana", "accuracy", "has luck"] {
        platform.post(RULES, json!({"rule": wrong})).await.refusal(400, Some("rule"));
    }
    let one = format!("{RULES}/{}", made["id"].as_str().unwrap());
    platform.delete(&one).await.expect(204);
    platform.delete(&one).await.refusal(404, Some("rule"));
    assert_eq!(platform.get(RULES).await.expect(200)["items"], json!([]));
    let recorded = platform.recorded().await;
    assert!(recorded.contains(&"rule.added model:fraud".to_owned()), "{recorded:?}");
    assert!(recorded.contains(&"rule.removed model:fraud".to_owned()), "{recorded:?}");
}

#[actix_web::test]
async fn a_move_is_refused_with_what_every_rule_found() {
    let platform = Platform::start().await;
    trained(&platform, b"one", RUN).await;
    for rule in ["accuracy >= 0.9", "has signature"] {
        platform.post(RULES, json!({"rule": rule})).await.expect(201);
    }
    platform.post(RULES, json!({"rule": "loss < 1", "target": "challenger"})).await.expect(201);
    let found = refused(&platform, 1).await;
    let expected = json!([
        {"rule": "accuracy >= 0.9", "value": null, "required": ">= 0.9", "ok": false},
        {"rule": "has signature", "value": null, "required": "signature", "ok": false},
    ]);
    assert_eq!(found, expected);
    assert_eq!(platform.get("/models/fraud/aliases").await.expect(200)["items"], json!([]));
    let version = format!("{}/1", versions_of("fraud"));
    let stage = format!("{version}/stage");
    platform.put(&stage, json!({"stage": "Production"})).await.expect(403);
    platform.put(&stage, json!({"stage": "Archived"})).await.expect(200);
    platform.patch(&version, json!({"description": "still mine"})).await.expect(200);
}

#[actix_web::test]
async fn a_challenger_must_beat_the_champion_of_that_moment() {
    let platform = Platform::start().await;
    let other = RUN.replace('0', "1");
    trained(&platform, b"one", RUN).await;
    trained(&platform, b"two", &other).await;
    platform.post(RULES, json!({"rule": "accuracy >= champion + 0.005"})).await.expect(201);
    refused(&platform, 1).await;
    logged(&platform, RUN, "accuracy", 0.9).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    logged(&platform, &other, "accuracy", 0.904).await;
    let found = refused(&platform, 2).await;
    assert_eq!((&found[0]["value"], &found[0]["required"]), (&json!("0.904"), &json!(">= 0.905")));
    logged(&platform, &other, "accuracy", 0.905).await;
    platform.put(CHAMPION, json!({"version": 2})).await.expect(200);
    refused(&platform, 1).await;
    platform.put(CHAMPION, json!({"version": 2})).await.expect(200);
}

#[actix_web::test]
async fn rules_are_passed_over_with_a_reason_that_the_trail_keeps() {
    let platform = Platform::start().await;
    trained(&platform, b"one", RUN).await;
    platform.post(RULES, json!({"rule": "accuracy >= 0.9"})).await.expect(201);
    let over = format!("{CHAMPION}?override=true");
    platform.put(&over, json!({"version": 1})).await.refusal(400, Some("reason"));
    platform.put(&over, json!({"version": 1, "reason": "it burns"})).await.expect(200);
    let detail = last_detail(&platform).await;
    assert_eq!(
        (&detail["reason"], &detail["overridden"][0]["ok"]),
        (&json!("it burns"), &json!(false))
    );
}

#[actix_web::test]
async fn rules_of_a_stage_are_passed_over_with_a_reason_too() {
    let platform = Platform::start().await;
    trained(&platform, b"one", RUN).await;
    let rule = json!({"rule": "accuracy >= 0.9", "target": "Production"});
    platform.post(RULES, rule).await.expect(201);
    let stage = format!("{}/1/stage", versions_of("fraud"));
    let refused = platform.put(&stage, json!({"stage": "production"})).await.expect(403);
    assert_eq!(refused["error"]["rules"][0]["rule"], "accuracy >= 0.9");
    platform.put(&stage, json!({"stage": "Staging"})).await.expect(200);
    let over = format!("{stage}?override=true");
    let body = json!({"stage": "Production"});
    platform.put(&over, body).await.refusal(400, Some("reason"));
    let body = json!({"stage": "Production", "reason": "  "});
    platform.put(&over, body).await.refusal(400, Some("reason"));
    let body = json!({"stage": "Production", "reason": "it burns"});
    platform.put(&over, body).await.expect(200);
    assert_eq!(last_detail(&platform).await["overridden"][0]["ok"], false);

    // Going back there is a promotion like any other.
    platform.put(&stage, json!({"stage": "Archived"})).await.expect(200);
    let back = "/models/fraud/stages/Production/revert";
    let refused = platform.post(back, json!({})).await.expect(403);
    assert_eq!(refused["error"]["code"], "gate_refused");
    let body = json!({"reason": "still burns"});
    platform.post(&format!("{back}?override=true"), body).await.expect(200);
    let shown = platform.get(&format!("{}/1", versions_of("fraud"))).await.expect(200);
    assert_eq!(shown["stage"], "Production");
}

#[actix_web::test]
async fn a_rule_of_where_versions_are_put_away_guards_what_is_archived_for_others() {
    let platform = Platform::start().await;
    trained(&platform, b"one", RUN).await;
    trained(&platform, b"two", RUN).await;
    let stage = |version: i32| format!("{}/{version}/stage", versions_of("fraud"));
    platform.put(&stage(1), json!({"stage": "Production"})).await.expect(200);
    let rule = json!({"rule": "has signature", "target": "Archived"});
    platform.post(RULES, rule).await.expect(201);
    let body = json!({"stage": "Production", "archive_existing_versions": true});
    platform.put(&stage(2), body).await.expect(403);
    let shown = platform.get(&format!("{}/2", versions_of("fraud"))).await.expect(200);
    assert_eq!(shown["stage"], "None", "all of it or nothing");
}

#[actix_web::test]
async fn a_refused_move_makes_no_release() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.servable("fraud", 2).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    let stage = |version: i32| format!("{}/{version}/stage", versions_of("fraud"));
    platform.put(&stage(1), json!({"stage": "Production"})).await.expect(200);
    platform.live("by-alias", "fraud@champion").await;
    platform.live("by-stage", "fraud/Production").await;
    platform.post(RULES, json!({"rule": "accuracy >= 0.9"})).await.expect(201);
    let recorded = platform.recorded().await;
    refused(&platform, 2).await;
    platform.put(&stage(2), json!({"stage": "Production"})).await.expect(403);
    assert_eq!(platform.recorded().await, recorded);
    for endpoint in ["by-alias", "by-stage"] {
        let shown = platform.get(&format!("/endpoints/{endpoint}")).await.expect(200);
        assert_eq!((&shown["live"]["release"], &shown["target"]), (&json!(1), &json!(null)));
    }
    let over = json!({"version": 2, "reason": "it burns"});
    let moved = platform.put(&format!("{CHAMPION}?override=true"), over).await.expect(200);
    assert_eq!(moved["followers"][0]["release"], 2);
}

#[actix_web::test]
async fn of_two_who_beat_the_champion_at_once_the_second_must_beat_the_first() {
    let platform = Platform::start().await;
    for (content, digit, accuracy) in
        [(b"one", "1", 0.9), (b"two", "2", 0.906), (b"six", "6", 0.907)]
    {
        let run = RUN.replace('0', digit);
        trained(&platform, content, &run).await;
        logged(&platform, &run, "accuracy", accuracy).await;
    }
    let rule = json!({"rule": "accuracy >= champion + 0.005", "target": "champion"});
    platform.post(RULES, rule).await.expect(201);
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    let promote = |version: i32| platform.put(CHAMPION, json!({"version": version}));
    let (one, other) = futures_util::future::join(promote(2), promote(3)).await;
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
    let history = platform.get("/models/fraud/history?alias=champion").await.expect(200);
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn going_back_asks_the_rules_as_well() {
    let platform = Platform::start().await;
    trained(&platform, b"one", RUN).await;
    trained(&platform, b"two", RUN).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    platform.put(CHAMPION, json!({"version": 2})).await.expect(200);
    platform.post(RULES, json!({"rule": "accuracy >= 0.9"})).await.expect(201);
    let back = format!("{CHAMPION}/revert");
    assert_eq!(platform.post(&back, json!({})).await.expect(403)["error"]["code"], "gate_refused");
    let over = format!("{back}?override=true");
    platform.post(&over, json!({})).await.refusal(400, Some("reason"));
    let moved = platform.post(&over, json!({"reason": "it burns"})).await.expect(200);
    assert_eq!((&moved["version"], &moved["revision"]), (&json!(1), &json!(3)));
    assert_eq!(last_detail(&platform).await["overridden"][0]["rule"], "accuracy >= 0.9");
}

#[actix_web::test]
async fn registering_with_an_alias_passes_the_same_gate() {
    let platform = Platform::start().await;
    trained(&platform, b"one", RUN).await;
    platform.post(RULES, json!({"rule": "has signature"})).await.expect(201);
    let file = platform.file("model.bin", b"two").await;
    let body = json!({"files": [file], "alias": "champion"});
    platform.post(&versions_of("fraud"), body).await.expect(403);
}
