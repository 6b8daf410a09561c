//! `/endpoints`

use std::time::{Duration, Instant};

use domain::ReleaseState;
use futures_util::future::join_all;
use serde_json::json;
use store::versions::TrialOutcome;

use crate::platform::Platform;

/// One servable version with the alias `champion`.
async fn ready() -> Platform {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    let champion = json!({"version": 1});
    platform.put("/models/fraud/aliases/champion", champion).await.expect(200);
    platform
}

#[actix_web::test]
async fn deploying_makes_the_endpoint_and_its_first_release() {
    let platform = ready().await;
    let order = json!({"model": "fraud@champion", "strategy": "all-at-once", "reason": "first"});
    let made = platform.put("/endpoints/scoring.dev", order).await.expect(201);
    let facts = [
        ("endpoint", "scoring.dev"),
        ("name", "scoring"),
        ("env", "dev"),
        ("follows", "fraud@champion"),
        ("state", "progressing"),
        ("owner", "user:admin"),
    ];
    for (field, expected) in facts {
        assert_eq!(made[field], expected, "{field}");
    }
    assert_eq!(
        (&made["held"], &made["blocked"], &made["live"]),
        (&json!(false), &json!(null), &json!(null))
    );
    let target = &made["target"];
    assert_eq!(
        (&target["release"], &target["state"], &target["reason"]),
        (&json!(1), &json!("progressing"), &json!("first"))
    );
    assert_eq!(platform.get("/endpoints/scoring.dev").await.expect(200), made);

    platform.end_release("scoring.dev", ReleaseState::Completed).await;
    let shown = platform.get("/endpoints/scoring.dev").await.expect(200);
    assert_eq!((&shown["state"], &shown["target"]), (&json!("ready"), &json!(null)));
    assert_eq!(
        (&shown["live"]["release"], &shown["live"]["state"]),
        (&json!(1), &json!("completed"))
    );
    let recorded = platform.recorded().await;
    assert!(recorded.contains(&"endpoint.created endpoint:scoring.dev".to_owned()), "{recorded:?}");
}

#[actix_web::test]
async fn deploying_what_is_so_already_does_nothing() {
    let platform = ready().await;
    let order = json!({"model": "fraud@champion"});
    platform.put("/endpoints/fraud", order.clone()).await.expect(201);
    let recorded = platform.recorded().await;
    let again = platform.put("/endpoints/fraud", order.clone()).await.expect(200);
    assert_eq!((&again["target"]["release"], &again["state"]), (&json!(1), &json!("progressing")));
    assert_eq!(platform.recorded().await, recorded);
    platform.end_release("fraud", ReleaseState::Completed).await;
    let again = platform.put("/endpoints/fraud", order).await.expect(200);
    assert_eq!((&again["live"]["release"], &again["state"]), (&json!(1), &json!("ready")));
}

#[actix_web::test]
async fn deploying_something_else_makes_a_release_and_the_old_one_answers_until_then() {
    let platform = ready().await;
    platform.servable("fraud", 2).await;
    platform.live("fraud", "fraud@champion").await;
    let changed = platform.put("/endpoints/fraud", json!({"model": "fraud/2"})).await.expect(200);
    assert_eq!(
        (&changed["follows"], &changed["target"]["release"]),
        (&json!("fraud/2"), &json!(2))
    );
    assert_eq!(changed["live"]["versions"][0]["version"], 1);
    // From an alias to the version that it points to: another way to follow, so another release.
    platform.live("other", "fraud@champion").await;
    let pinned = platform.put("/endpoints/other", json!({"model": "fraud/1"})).await.expect(200);
    assert_eq!((&pinned["follows"], &pinned["target"]["release"]), (&json!("fraud/1"), &json!(2)));
    let recorded = platform.recorded().await;
    assert_eq!(recorded.last().unwrap(), "endpoint.deployed endpoint:other");
}

#[actix_web::test]
async fn an_endpoint_may_change_to_another_model() {
    let platform = ready().await;
    platform.servable("churn", 9).await;
    platform.live("scoring", "fraud@champion").await;
    platform.live("scoring", "churn/1").await;
    let shown = platform.get("/endpoints/scoring").await.expect(200);
    assert_eq!(
        (&shown["follows"], &shown["live"]["versions"][0]["model"]),
        (&json!("churn/1"), &json!("churn"))
    );
    platform.servable("fraud", 2).await;
    let moved =
        platform.put("/models/fraud/aliases/champion", json!({"version": 2})).await.expect(200);
    assert_eq!(moved["followers"], json!([]));
}

#[actix_web::test]
async fn a_failed_first_release_leaves_an_endpoint_that_serves_nothing_and_may_be_tried_again() {
    let platform = ready().await;
    platform.put("/endpoints/fraud", json!({"model": "fraud/1"})).await.expect(201);
    platform.end_release("fraud", ReleaseState::Failed).await;
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!(
        (&shown["state"], &shown["live"], &shown["target"]),
        (&json!("failed"), &json!(null), &json!(null))
    );
    let again = platform.put("/endpoints/fraud", json!({"model": "fraud/1"})).await.expect(200);
    assert_eq!((&again["state"], &again["target"]["release"]), (&json!("progressing"), &json!(2)));
}

#[actix_web::test]
async fn what_cannot_be_served_is_refused_and_nothing_is_made() {
    let platform = ready().await;
    platform.register("fraud", 2).await;
    platform.register("fraud", 3).await;
    let outcome = TrialOutcome::Rejected { reason: "it crashed".to_owned() };
    platform.end_trial("fraud", 3, outcome).await;
    for (model, status, field, message) in [
        ("fraud/2", 409, "model", "the trial of `fraud/2` is not over"),
        ("fraud/3", 409, "model", "`fraud/3` cannot be served: it crashed"),
        ("fraud@challenger", 404, "alias", "`fraud` has no alias `challenger`: it has `champion`"),
        ("fraud/9", 404, "version", "`fraud` has no version 9: its newest are `3`, `2`, `1`"),
        ("ghost/1", 404, "model", "there is no model `ghost`"),
        ("fraud", 400, "model", "`fraud` names no version"),
    ] {
        let refused = platform.put("/endpoints/scoring", json!({"model": model})).await;
        assert_eq!(refused.refusal(status, Some(field)), message);
    }
    let absent = platform.get("/endpoints/scoring").await;
    assert_eq!(absent.refusal(404, Some("endpoint")), "there is no endpoint `scoring`");
}

#[actix_web::test]
async fn what_is_not_there_yet_is_refused_by_name() {
    let platform = ready().await;
    for (order, field) in [
        (json!({"model": "fraud/1", "strategy": "canary"}), "strategy"),
        (json!({"model": "fraud/1", "steps": [5, 100]}), "steps"),
        (json!({"model": "fraud/1", "replicas": 2}), "replicas"),
        (json!({}), "model"),
    ] {
        platform.put("/endpoints/scoring", order).await.refusal(400, Some(field));
    }
    for name in ["Scoring", "a_b", "a.b.c", "a%20b"] {
        let refused =
            platform.put(&format!("/endpoints/{name}"), json!({"model": "fraud/1"})).await;
        refused.refusal(400, Some("endpoint"));
    }
}

#[actix_web::test]
async fn endpoints_are_listed_by_name_in_pages_with_their_releases() {
    let platform = ready().await;
    platform.live("b", "fraud@champion").await;
    platform.live("a.dev", "fraud/1").await;
    platform.put("/endpoints/a", json!({"model": "fraud/1"})).await.expect(201);
    let first = platform.get("/endpoints?limit=2").await.expect(200);
    let items = first["items"].as_array().unwrap();
    assert_eq!((&items[0]["endpoint"], &items[1]["endpoint"]), (&json!("a.dev"), &json!("a")));
    assert_eq!((&items[0]["live"]["release"], &items[0]["target"]), (&json!(1), &json!(null)));
    assert_eq!((&items[1]["live"], &items[1]["target"]["release"]), (&json!(null), &json!(1)));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = platform.get(&format!("/endpoints?cursor={cursor}")).await.expect(200);
    assert_eq!(second["items"][0]["endpoint"], "b");
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_deleted_endpoint_is_gone_with_its_releases() {
    let platform = ready().await;
    platform.live("fraud", "fraud@champion").await;
    platform.delete("/endpoints/fraud").await.expect(204);
    for path in ["", "/releases", "/releases/1", "/rollout"] {
        platform.get(&format!("/endpoints/fraud{path}")).await.refusal(404, Some("endpoint"));
    }
    platform.delete("/endpoints/fraud").await.refusal(404, Some("endpoint"));
    assert_eq!(platform.recorded().await.last().unwrap(), "endpoint.deleted endpoint:fraud");
}

#[actix_web::test]
async fn deploys_of_one_endpoint_at_once_make_it_once() {
    let platform = ready().await;
    let orders = (0..10).map(|_| platform.put("/endpoints/fraud", json!({"model": "fraud/1"})));
    let answers = join_all(orders).await;
    let made = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    let same = answers.iter().filter(|answer| answer.status.as_u16() == 200).count();
    assert_eq!((made, same), (1, 9));
    let releases = platform.get("/endpoints/fraud/releases").await.expect(200);
    assert_eq!(releases["items"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_long_poll_answers_when_the_release_is_over() {
    let platform = ready().await;
    platform.put("/endpoints/fraud", json!({"model": "fraud/1"})).await.expect(201);
    let begun = Instant::now();
    let poll = platform.get("/endpoints/fraud?wait=20");
    let work = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        platform.end_release("fraud", ReleaseState::Completed).await;
    };
    let (answer, ()) = tokio::join!(poll, work);
    assert_eq!(answer.expect(200)["state"], "ready");
    // Nobody watches for notices here: the poll looks by itself.
    assert!(begun.elapsed() < Duration::from_secs(5));
}
