//! `/collections`, and what comes before: deletion that can be undone.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{onnx, platform::Platform};

/// Everything that is deleted, and its bytes, at once.
fn now() -> Value {
    json!({"older_than": "0s", "grace": "0s"})
}

async fn collect(platform: &Platform, order: Value) -> Value {
    platform.post("/collections", order).await.expect(200)
}

/// The size of the file of a model of this seed.
fn size(seed: u8) -> u64 {
    onnx::model(seed).len() as u64
}

#[actix_web::test]
async fn a_deleted_version_can_be_restored_until_it_is_purged() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.register("fraud", 2).await;
    platform.delete("/models/fraud/versions/1").await.expect(204);
    let deleted = platform.get("/models/fraud/deleted-versions").await.expect(200);
    let [item] = &deleted["items"].as_array().unwrap()[..] else { panic!("{deleted}") };
    assert_eq!((&item["model"], &item["version"]), (&json!("fraud"), &json!(1)));
    assert_eq!(item["size"], size(1));

    let early = collect(&platform, json!({"grace": "0s"})).await;
    assert_eq!(early["purged"]["versions"], 0, "its retention time is not over");
    platform.post("/models/fraud/versions/1/restore", json!({})).await.expect(200);
    let deleted = platform.get("/models/fraud/deleted-versions").await.expect(200);
    assert_eq!(deleted["items"], json!([]));
    platform.delete("/models/fraud/versions/1").await.expect(204);

    let mut order = now();
    order["dry_run"] = json!(true);
    let preview = collect(&platform, order).await;
    assert_eq!(platform.objects(), 2, "nothing went");
    let done = collect(&platform, now()).await;
    for shown in [&preview, &done] {
        assert_eq!(
            shown["purged"],
            json!({
                "experiments": 0, "runs": 0, "logged_models": 0, "models": 0, "versions": 1,
            })
        );
        assert_eq!((&shown["objects"], &shown["bytes_freed"]), (&json!(1), &json!(size(1))));
        assert_eq!(shown["waiting"], json!({"objects": 0, "bytes": 0}));
        assert_eq!((&shown["complete"], &shown["failed"]), (&json!(true), &json!(0)));
    }
    assert_eq!((&preview["dry_run"], &done["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!(platform.objects(), 1);
    let refused = platform.post("/models/fraud/versions/1/restore", json!({})).await;
    assert!(refused.refusal(404, Some("version")).contains("no deleted version 1"));
    let recorded = platform.recorded().await;
    let last = &recorded[recorded.len() - 2..];
    assert_eq!(last, ["version.purged model:fraud", "collection.finished platform:*"]);

    let again = collect(&platform, now()).await;
    assert_eq!((&again["objects"], &again["bytes_freed"]), (&json!(0), &json!(0)));
    platform.get("/models/fraud/versions/2").await.expect(200);
}

#[actix_web::test]
async fn bytes_that_versions_share_stay_until_the_last_of_them_goes() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.register("fraud-eu", 1).await;
    // The same bytes came in twice: the second object is nobody's.
    assert_eq!(collect(&platform, now()).await["bytes_freed"], size(1));
    platform.delete("/models/fraud").await.expect(204);
    let done = collect(&platform, now()).await;
    assert_eq!((&done["purged"]["models"], &done["bytes_freed"]), (&json!(1), &json!(0)));
    assert_eq!(platform.objects(), 1);
    platform.delete("/models/fraud-eu/versions/1").await.expect(204);
    let done = collect(&platform, now()).await;
    assert_eq!((&done["objects"], &done["bytes_freed"]), (&json!(1), &json!(size(1))));
    assert_eq!(platform.objects(), 0);
    platform.get("/models/fraud-eu").await.expect(200);
    platform.get("/models/fraud").await.expect(404);
}

#[actix_web::test]
async fn bytes_wait_for_their_grace_unless_somebody_says_that_nobody_reads_them() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.delete("/models/fraud").await.expect(204);
    let waits = |done: &Value| {
        assert_eq!(done["bytes_freed"], 0, "{done}");
        assert_eq!(done["waiting"], json!({"objects": 1, "bytes": size(1)}));
    };
    waits(&collect(&platform, json!({"older_than": "0s", "dry_run": true})).await);
    waits(&collect(&platform, json!({"older_than": "0s"})).await);
    assert_eq!(platform.objects(), 1);
    assert_eq!(collect(&platform, now()).await["bytes_freed"], size(1));
}

#[actix_web::test]
async fn what_an_endpoint_or_an_alias_needs_is_never_purged() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.servable("fraud", 2).await;
    platform.servable("fraud", 3).await;
    platform.live("scoring", "fraud/1").await;
    platform.live("scoring", "fraud/2").await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 3})).await.expect(200);
    // No call of ours deletes these; a row that says so all the same harms nobody.
    platform.execute("UPDATE model_versions SET deleted_at = now() - interval '1 hour'").await;
    for also in ["", "UPDATE models SET deleted_at = now() - interval '1 hour'"] {
        platform.execute(also).await;
        let done = collect(&platform, now()).await;
        assert_eq!((&done["purged"]["versions"], &done["objects"]), (&json!(0), &json!(0)));
        assert_eq!(done["purged"]["models"], 0);
        assert_eq!(platform.objects(), 3);
    }
}

/// Deleted so many days ago: experiments, runs, logged models.
async fn tracked(platform: &Platform, runs: u32, days: u32) {
    platform
        .execute(&format!(
            "INSERT INTO experiments (id, name, artifact_location, owner, created_at, updated_at, deleted_at)
             VALUES ({days}, 'e{days}', 'mlflow-artifacts:/{days}', 'user:ana', now(), now(), now() - interval '{days} days');
             INSERT INTO runs (id, experiment_id, name, status, artifact_uri, owner, created_at, updated_at, deleted_at)
             SELECT gen_random_uuid(), {days}, 'r', 'FINISHED', 'mlflow-artifacts:/{days}/x', 'user:ana', now(), now(),
                    now() - interval '{days} days' FROM generate_series(1, {runs});
             INSERT INTO logged_models (id, experiment_id, name, status, artifact_uri, owner, created_at, updated_at)
             VALUES (gen_random_uuid(), {days}, 'm', 'LOGGED_MODEL_READY', 'mlflow-artifacts:/{days}/models/m', 'user:ana', now(), now());"
        ))
        .await;
}

#[actix_web::test]
async fn experiments_and_runs_go_after_the_retention_time_batch_by_batch_each_recorded() {
    let platform = Platform::start().await;
    tracked(&platform, 230, 31).await;
    tracked(&platform, 3, 29).await;
    let preview = collect(&platform, json!({"dry_run": true})).await;
    let done = collect(&platform, json!({})).await;
    for shown in [&preview, &done] {
        assert_eq!(
            shown["purged"],
            json!({
                "experiments": 1, "runs": 230, "logged_models": 1, "models": 0, "versions": 0,
            })
        );
    }
    let recorded = platform.recorded().await;
    let count = |event: &str| recorded.iter().filter(|it| **it == event).count();
    assert_eq!(count("run.purged experiment:31"), 230);
    assert_eq!(count("logged_model.purged experiment:31"), 1);
    assert_eq!(count("experiment.purged experiment:31"), 1);
    let kept = collect(&platform, json!({"older_than": "28d", "dry_run": true})).await;
    assert_eq!((&kept["purged"]["runs"], &kept["purged"]["experiments"]), (&json!(3), &json!(1)));
}

#[actix_web::test]
async fn a_run_that_was_restored_by_itself_keeps_its_experiment_and_its_models() {
    let platform = Platform::start().await;
    tracked(&platform, 2, 31).await;
    platform
        .execute("UPDATE runs SET deleted_at = NULL WHERE id = (SELECT id FROM runs LIMIT 1)")
        .await;
    for dry_run in [true, false] {
        let done = collect(&platform, json!({"dry_run": dry_run})).await;
        assert_eq!(
            done["purged"],
            json!({
                "experiments": 0, "runs": 1, "logged_models": 0, "models": 0, "versions": 0,
            })
        );
    }
}

#[actix_web::test]
async fn collections_at_the_same_time_do_each_thing_once() {
    let platform = Platform::start().await;
    let mut bytes = 0;
    for seed in 0..20 {
        platform.register("fraud", seed).await;
        bytes += size(seed);
    }
    for number in 1..=20 {
        platform.delete(&format!("/models/fraud/versions/{number}")).await.expect(204);
    }
    let all = join_all((0..4).map(|_| collect(&platform, now()))).await;
    // Who finds all taken ends early: one more picks up what is left.
    let last = collect(&platform, now()).await;
    let sum = |pointer: &str| -> u64 {
        let all = all.iter().chain([&last]);
        all.map(|done| done.pointer(pointer).unwrap().as_u64().unwrap()).sum()
    };
    assert_eq!((sum("/purged/versions"), sum("/objects")), (20, 20));
    assert_eq!(sum("/bytes_freed"), bytes);
    assert_eq!(platform.objects(), 0);
}

#[actix_web::test]
async fn a_wrong_order_is_refused_by_field() {
    let platform = Platform::start().await;
    for (order, field) in [
        (json!({"older_than": "30"}), "older_than"),
        (json!({"older_than": "-1s"}), "older_than"),
        (json!({"grace": "36501d"}), "grace"),
        (json!({"grace": 3}), "grace"),
        (json!({"dry_run": "yes"}), "dry_run"),
        (json!({"older": "30d"}), "older"),
    ] {
        platform.post("/collections", order).await.refusal(400, Some(field));
    }
}
