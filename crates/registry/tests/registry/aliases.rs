//! `/models/{name}/aliases`

use domain::ReleaseState;
use futures_util::future::join_all;
use serde_json::json;
use store::versions::TrialOutcome;

use crate::platform::Platform;

const CHAMPION: &str = "/models/fraud/aliases/champion";

#[actix_web::test]
async fn an_alias_moves_and_its_history_says_who_and_why() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.register("fraud", 2).await;
    let set = platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    let expected = json!({
        "model": "fraud", "alias": "champion", "version": 1, "revision": 1, "moved": true, "followers": [],
    });
    assert_eq!(set, expected);
    let moved = platform.put(CHAMPION, json!({"version": 2, "reason": "better"})).await.expect(200);
    assert_eq!((&moved["revision"], &moved["moved"]), (&json!(2), &json!(true)));
    let listed = platform.get("/models/fraud/aliases").await.expect(200);
    assert_eq!(
        (&listed["items"][0]["version"], &listed["items"][0]["revision"]),
        (&json!(2), &json!(2))
    );

    platform.delete(CHAMPION).await.expect(204);
    assert_eq!(platform.get("/models/fraud/aliases").await.expect(200)["items"], json!([]));
    let again = platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    assert_eq!(again["revision"], 4, "a revision never comes back");

    let history = platform.get(&format!("{CHAMPION}/history")).await.expect(200);
    let moves: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            json!([it["revision"], it["from_version"], it["to_version"], it["reason"], it["actor"]])
        })
        .collect();
    let admin = "user:admin";
    assert_eq!(
        moves,
        [
            json!([4, null, 1, null, admin]),
            json!([3, 2, null, null, admin]),
            json!([2, 1, 2, "better", admin]),
            json!([1, null, 1, null, admin]),
        ]
    );
    let first = platform.get(&format!("{CHAMPION}/history?limit=3")).await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = platform.get(&format!("{CHAMPION}/history?cursor={cursor}")).await.expect(200);
    assert_eq!(rest["items"][0]["revision"], 1);
    let recorded = platform.recorded().await;
    assert_eq!(recorded.iter().filter(|it| *it == "alias.moved model:fraud").count(), 4);
}

#[actix_web::test]
async fn moving_an_alias_to_where_it_points_does_nothing() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    platform.live("fraud", "fraud@champion").await;
    let recorded = platform.recorded().await;
    let again = platform.put(CHAMPION, json!({"version": 1, "reason": "again"})).await.expect(200);
    assert_eq!(
        (&again["moved"], &again["revision"], &again["followers"]),
        (&json!(false), &json!(1), &json!([]))
    );
    assert_eq!(platform.recorded().await, recorded);
    assert_eq!(platform.get("/endpoints/fraud").await.expect(200)["live"]["release"], 1);
}

#[actix_web::test]
async fn an_alias_takes_its_followers_along_with_one_release_each() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.servable("fraud", 2).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    platform.live("fraud", "fraud@champion").await;
    platform.live("fraud.dev", "fraud@champion").await;
    platform.live("pinned", "fraud/1").await;
    let moved = platform.put(CHAMPION, json!({"version": 2})).await.expect(200);
    let follower = |name: &str| json!({"endpoint": name, "release": 2, "blocked": null});
    assert_eq!(moved["followers"], json!([follower("fraud"), follower("fraud.dev")]));
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!(shown["state"], "progressing");
    assert_eq!(
        shown["target"]["versions"],
        json!([{"model": "fraud", "version": 2, "weight": 100}])
    );
    assert_eq!(shown["live"]["versions"][0]["version"], 1, "what was live answers until then");
    let pinned = platform.get("/endpoints/pinned").await.expect(200);
    assert_eq!((&pinned["target"], &pinned["live"]["release"]), (&json!(null), &json!(1)));
    let recorded = platform.recorded().await;
    let newest = &recorded[recorded.len() - 3..];
    assert_eq!(
        newest,
        [
            "release.created endpoint:fraud",
            "release.created endpoint:fraud.dev",
            "alias.moved model:fraud"
        ]
    );
}

#[actix_web::test]
async fn a_follower_that_cannot_take_the_version_is_blocked_and_takes_it_when_its_trial_is_over() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    platform.live("fraud", "fraud@champion").await;
    platform.register("fraud", 2).await;

    let moved = platform.put(CHAMPION, json!({"version": 2})).await.expect(200);
    let reason = "the trial of `fraud/2` is not over";
    assert_eq!(
        moved["followers"],
        json!([{"endpoint": "fraud", "release": null, "blocked": reason}])
    );
    assert_eq!(moved["moved"], true, "a follower never vetoes the move");
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!((&shown["blocked"], &shown["state"]), (&json!(reason), &json!("ready")));
    assert_eq!(shown["live"]["versions"][0]["version"], 1);
    assert!(platform.recorded().await.contains(&"endpoint.blocked endpoint:fraud".to_owned()));

    platform.end_trial("fraud", 2, TrialOutcome::Ready { batchable: true }).await;
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!((&shown["blocked"], &shown["state"]), (&json!(null), &json!("progressing")));
    assert_eq!(shown["target"]["versions"][0]["version"], 2);
}

#[actix_web::test]
async fn a_follower_of_a_rejected_version_stays_blocked_with_the_reason() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    platform.live("fraud", "fraud@champion").await;
    platform.register("fraud", 2).await;
    platform.put(CHAMPION, json!({"version": 2})).await.expect(200);
    let outcome = TrialOutcome::Rejected { reason: "it crashed".to_owned() };
    platform.end_trial("fraud", 2, outcome).await;
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!(shown["blocked"], "`fraud/2` cannot be served: it crashed");
    assert_eq!(shown["live"]["versions"][0]["version"], 1);

    let back = platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    assert_eq!(back["followers"][0]["blocked"], json!(null));
    platform.end_release("fraud", ReleaseState::Completed).await;
    let shown = platform.get("/endpoints/fraud").await.expect(200);
    assert_eq!((&shown["blocked"], &shown["live"]["release"]), (&json!(null), &json!(2)));
}

#[actix_web::test]
async fn an_alias_that_endpoints_follow_is_not_unset() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    platform.live("fraud.dev", "fraud@champion").await;
    let refused = platform.delete(CHAMPION).await;
    assert_eq!(refused.refusal(409, None), "the endpoints `fraud.dev` follow `fraud@champion`");
    let refused = platform.delete("/models/fraud/aliases/challenger").await;
    let message = "`fraud` has no alias `challenger`: it has `champion`";
    assert_eq!(refused.refusal(404, Some("alias")), message);
}

#[actix_web::test]
async fn one_call_points_an_alias_to_where_it_pointed_before() {
    let platform = Platform::start().await;
    for seed in 1..=3 {
        platform.servable("fraud", seed).await;
    }
    for version in 1..=3 {
        platform.put(CHAMPION, json!({"version": version})).await.expect(200);
    }
    platform.live("fraud", "fraud@champion").await;
    let back = format!("{CHAMPION}/revert");
    let reverted = platform.post(&back, json!({"reason": "alarms"})).await.expect(200);
    let expected = json!({
        "model": "fraud", "alias": "champion", "version": 2, "revision": 4, "moved": true,
        "followers": [{"endpoint": "fraud", "release": 2, "blocked": null}],
    });
    assert_eq!(reverted, expected);
    let history = platform.get(&format!("{CHAMPION}/history?limit=1")).await.expect(200);
    assert_eq!(history["items"][0]["reason"], "alarms");
    assert_eq!(platform.recorded().await.last().unwrap(), "alias.moved model:fraud");
    // Whoever saw revision 3 does not undo what somebody else has undone already.
    let late = platform.post(&back, json!({"if_revision": 3})).await;
    let message = late.refusal(409, Some("if_revision"));
    assert_eq!(message, "`fraud@champion` is at revision 4, not 3");
    let again = platform.post(&back, json!({"if_revision": 4})).await.expect(200);
    assert_eq!((&again["version"], &again["revision"]), (&json!(3), &json!(5)));
}

#[actix_web::test]
async fn an_alias_without_a_way_back_says_why() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.register("fraud", 2).await;
    let back = format!("{CHAMPION}/revert");
    platform.post(&back, json!({})).await.refusal(404, Some("alias"));
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    let message = platform.post(&back, json!({})).await.refusal(409, Some("alias"));
    assert_eq!(message, "`fraud@champion` pointed nowhere before revision 1");
    platform.put(CHAMPION, json!({"version": 2})).await.expect(200);
    platform.delete("/models/fraud/versions/1").await.expect(204);
    let message = platform.post(&back, json!({})).await.refusal(409, Some("alias"));
    assert_eq!(message, "`fraud@champion` pointed to version 1 before, which is deleted");
    platform.post("/models/fraud/versions/1/restore", json!({})).await.expect(200);
    assert_eq!(platform.post(&back, json!({})).await.expect(200)["version"], 1);
    // One that is unset goes back to where it pointed.
    platform.delete(CHAMPION).await.expect(204);
    let set = platform.post(&back, json!({})).await.expect(200);
    assert_eq!((&set["version"], &set["revision"]), (&json!(1), &json!(5)));
    platform.post(&back, json!({"version": 1})).await.refusal(400, Some("version"));
    platform.post("/models/ghost/aliases/a/revert", json!({})).await.refusal(404, Some("model"));
}

#[actix_web::test]
async fn wrong_moves_are_refused_by_name() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    for (path, body, field) in [
        ("/models/fraud/aliases/latest", json!({"version": 1}), "alias"),
        ("/models/fraud/aliases/v3", json!({"version": 1}), "alias"),
        (CHAMPION, json!({"version": "1"}), "version"),
        (CHAMPION, json!({}), "version"),
        (CHAMPION, json!({"version": 1, "force": true}), "force"),
        (CHAMPION, json!({"version": 1, "reason": "x".repeat(2001)}), "reason"),
    ] {
        platform.put(path, body).await.refusal(400, Some(field));
    }
}

#[actix_web::test]
async fn moves_at_once_come_one_after_the_other() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.servable("fraud", 2).await;
    platform.put(CHAMPION, json!({"version": 1})).await.expect(200);
    platform.live("fraud", "fraud@champion").await;
    let moves = (0..20).map(|at| platform.put(CHAMPION, json!({"version": 1 + at % 2})));
    let answers = join_all(moves).await;
    let moved = answers.iter().filter(|answer| answer.json()["moved"] == true).count();
    let history = platform.get(&format!("{CHAMPION}/history")).await.expect(200);
    assert_eq!(history["items"].as_array().unwrap().len(), 1 + moved);
    let releases = platform.get("/endpoints/fraud/releases").await.expect(200);
    let releases = releases["items"].as_array().unwrap();
    assert_eq!(releases.len(), 1 + moved);
    let progressing = releases.iter().filter(|it| it["state"] == "progressing").count();
    assert_eq!(progressing, 1, "each release ends the one before");
    let alias = platform.get("/models/fraud/aliases").await.expect(200)["items"][0].clone();
    assert_eq!(releases[0]["versions"][0]["version"], alias["version"]);
}
