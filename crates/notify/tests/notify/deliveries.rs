//! What is told, when, and how often.

use std::sync::Arc;

use auth::{SecretKey, Vault};
use chrono::TimeDelta;
use domain::Clock as _;
use notify::{
    State, deliveries,
    events::Event,
    webhooks::{self, Edit, NewWebhook},
};
use serde_json::{Value, json};
use store::{Change, followers};

use crate::platform::{ALIASES, Platform, Receiver, pair, told};

#[tokio::test]
async fn what_happens_is_told_once_in_order_and_signed() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    // Before the webhook, by the clock too: the window that is read may begin before both, as long
    // as any transaction of the server is older.
    platform.moved("fraud", 7).await;
    platform.later(TimeDelta::seconds(1));
    let id = platform.webhook(&url, ALIASES, Some("hush")).await;
    for version in 1..=3 {
        platform.moved("fraud", version).await;
    }
    platform.work().await;
    assert_eq!(told(&receiver), [pair("fraud", "1"), pair("fraud", "2"), pair("fraud", "3")]);
    assert_eq!(platform.work().await, 0);

    let heard = receiver.heard().remove(0);
    assert_eq!(heard.timestamp, platform.clock.now().timestamp().to_string());
    assert!(heard.signature.unwrap().starts_with("v1,"));
    let body: Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!(
        (&body["entity"], &body["action"]),
        (&json!("model_version_alias"), &json!("created"))
    );
    let kept = platform.deliveries(id, Some("delivered")).await;
    assert_eq!(kept.last().unwrap().id.to_string(), heard.id);
    assert!(kept.iter().all(|delivery| delivery.last_status == Some(200)));
}

#[tokio::test]
async fn a_failing_delivery_holds_back_its_model_and_no_other() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, None).await;
    receiver.answer(&[503]);
    platform.moved("fraud", 1).await;
    platform.work().await;
    platform.moved("fraud", 2).await;
    platform.moved("churn", 1).await;
    platform.work().await;
    assert_eq!(told(&receiver), [pair("fraud", "1"), pair("churn", "1")]);
    let waiting = platform.deliveries(id, Some("pending")).await;
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting[1].last_error.as_deref(), Some("the receiver answered 503"));

    platform.later(TimeDelta::seconds(13));
    platform.work().await;
    assert_eq!(told(&receiver)[2..], [pair("fraud", "1"), pair("fraud", "2")]);
    let heard = receiver.heard();
    assert_eq!(heard[0].id, heard[2].id, "a delivery keeps its id, so that receivers see doubles");
    assert!(heard[0].signature.is_none());
}

#[tokio::test]
async fn a_refused_delivery_is_dead_at_once_and_can_be_replayed() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, None).await;
    receiver.answer(&[404, 302]);
    for version in 1..=3 {
        platform.moved("fraud", version).await;
    }
    platform.work().await;
    let dead = platform.deliveries(id, Some("dead")).await;
    assert_eq!(dead.len(), 2);
    assert!(dead[0].last_error.as_deref().unwrap().contains("redirects are not followed"));
    assert_eq!(told(&receiver).len(), 3);

    let replay = |one| deliveries::replay(&platform.state, &platform.permit, id, one);
    assert_eq!(replay(Some(dead[1].id)).await.unwrap(), 1);
    assert!(replay(Some(dead[1].id)).await.is_err(), "only dead ones are replayed");
    platform.work().await;
    assert_eq!(told(&receiver)[3..], [pair("fraud", "1")]);
    assert_eq!(replay(None).await.unwrap(), 1);
    platform.work().await;
    assert_eq!(told(&receiver)[4..], [pair("fraud", "2")]);
    assert!(platform.deliveries(id, Some("dead")).await.is_empty());
}

#[tokio::test]
async fn tries_end_after_about_a_day() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, None).await;
    receiver.answer(&[500; 20]);
    platform.moved("fraud", 1).await;
    for _ in 0..15 {
        platform.work().await;
        platform.later(TimeDelta::hours(8));
    }
    assert_eq!(receiver.heard().len(), 10);
    assert_eq!(platform.deliveries(id, Some("dead")).await.len(), 1);
}

#[tokio::test]
async fn a_worker_that_dies_loses_nothing() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, None).await;
    platform.moved("fraud", 1).await;
    // The worker has the delivery, and is gone before anything is written.
    let lease = std::time::Duration::from_secs(60);
    let database = platform.database.database();
    platform.readable().await;
    store::webhooks::feed::advance(database, notify::events::tell).await.unwrap();
    let lost = store::webhooks::deliveries::claim(database, lease, 10).await.unwrap();
    assert_eq!(lost.len(), 1);
    assert_eq!(platform.work().await, 0, "somebody has it");
    platform.later(TimeDelta::seconds(61));
    assert_eq!(platform.work().await, 1);
    assert_eq!(told(&receiver), [pair("fraud", "1")]);
    // What the dead one would have written comes too late.
    let late = store::webhooks::deliveries::Outcome::Dead;
    store::webhooks::deliveries::finish(database, &lost[0], &late, None, None).await.unwrap();
    assert_eq!(platform.deliveries(id, Some("delivered")).await.len(), 1);
}

#[tokio::test]
async fn many_workers_tell_each_event_once_and_in_order() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    platform.webhook(&url, ALIASES, None).await;
    for version in 1..=10 {
        platform.moved("fraud", version).await;
        platform.moved("churn", version).await;
    }
    while receiver.heard().len() < 20 {
        let steps = (0..4).map(|_| notify::step(&platform.state));
        for done in futures_util::future::join_all(steps).await {
            done.unwrap();
        }
    }
    assert_eq!(platform.work().await, 0);
    for model in ["fraud", "churn"] {
        let versions: Vec<i32> = told(&receiver)
            .into_iter()
            .filter_map(|(name, version)| (name == model).then(|| version.parse().unwrap()))
            .collect();
        assert_eq!(versions, (1..=10).collect::<Vec<_>>(), "{model}");
    }
}

#[tokio::test]
async fn a_disabled_webhook_is_not_told_and_what_waited_waits_on() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, None).await;
    receiver.answer(&[503]);
    platform.moved("fraud", 1).await;
    platform.work().await;
    let turn = async |active| {
        let edit = Edit { active: Some(active), ..Edit::default() };
        webhooks::update(&platform.state, &platform.permit, id, edit).await.unwrap();
    };
    turn(false).await;
    platform.moved("fraud", 2).await;
    platform.later(TimeDelta::seconds(60));
    assert_eq!(platform.work().await, 0);
    turn(true).await;
    platform.moved("fraud", 3).await;
    platform.work().await;
    assert_eq!(told(&receiver), [pair("fraud", "1"), pair("fraud", "1"), pair("fraud", "3")]);
}

#[tokio::test]
async fn private_addresses_are_refused_when_made_and_at_every_try() {
    let closed = Platform::allowing("").await;
    let (receiver, url) = Receiver::start();
    let new = |url: &str| NewWebhook {
        name: "ci".to_owned(),
        description: None,
        url: url.to_owned(),
        secret: None,
        events: vec![Event::parse(ALIASES[0]).unwrap()],
        active: true,
    };
    for url in [url.as_str(), "https://127.0.0.1/", "https://localhost/", "https://[::1]/"] {
        let refused = webhooks::create(&closed.state, &closed.permit, new(url)).await;
        assert_eq!(
            domain::Problem::from(refused.err().unwrap()).field.as_deref(),
            Some("url"),
            "{url}"
        );
    }
    // Made while it was allowed, and tried when it is not any more.
    let open = Platform::start().await;
    let id = open.webhook(&url, ALIASES, None).await;
    open.moved("fraud", 1).await;
    let key = SecretKey::new("k".repeat(32).into()).unwrap();
    let narrower = State::new(
        open.database.database().clone(),
        Vault::new(&key.into(), "webhooks"),
        auth::egress::Networks::default(),
    );
    open.readable().await;
    notify::step(&Arc::new(narrower.unwrap())).await.unwrap();
    assert!(receiver.heard().is_empty());
    let waiting = open.deliveries(id, Some("pending")).await;
    assert!(waiting[0].last_error.as_deref().unwrap().contains("not public"), "{waiting:?}");
}

#[tokio::test]
async fn a_test_is_sent_at_once_and_tells_what_came_of_it() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, Some("hush")).await;
    let test = |event| webhooks::test(&platform.state, &platform.permit, id, event);
    let tested = test(None).await.unwrap();
    assert!(tested.success && tested.status == Some(200), "{tested:?}");
    assert_eq!(tested.body.as_deref(), Some("thanks"));
    assert_eq!(receiver.heard()[0].json()["data"]["alias"], "example_alias");
    receiver.answer(&[500]);
    let tested = test(Some(Event::parse("release.failed").unwrap())).await.unwrap();
    assert!(!tested.success && tested.status == Some(500), "{tested:?}");
    assert!(platform.deliveries(id, None).await.is_empty());
}

#[tokio::test]
async fn a_late_commit_is_not_skipped() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    platform.webhook(&url, ALIASES, None).await;
    let database = platform.database.database();
    let mut slow = Change::begin(database).await.unwrap();
    let facts = json!({"model": "slow", "alias": "champion", "to": 1});
    slow.emit("alias.moved", "model:slow", &facts).await.unwrap();
    platform.moved("fraud", 1).await;
    assert_eq!(notify::step(&platform.state).await.unwrap(), 0, "what is late may come before it");
    slow.commit(&platform.permit.event("alias.moved", facts)).await.unwrap();
    platform.work().await;
    let mut heard = told(&receiver);
    heard.sort();
    assert_eq!(heard, [pair("fraud", "1"), pair("slow", "1")]);
}

#[tokio::test]
async fn the_outbox_is_trimmed_only_behind_its_reader() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    platform.webhook(&url, ALIASES, None).await;
    platform.moved("fraud", 1).await;
    platform.later(TimeDelta::hours(7));
    let database = platform.database.database();
    let trim = async || store::webhooks::feed::trim(database, platform.clock.now()).await.unwrap();
    assert_eq!(trim().await, 0);
    platform.work().await;
    assert_eq!(trim().await, 1);
    assert_eq!(told(&receiver), [pair("fraud", "1")]);
}

#[tokio::test]
async fn a_follower_that_is_blocked_is_told_with_the_reason() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    platform.webhook(&url, &["endpoint.blocked", "release.created"], None).await;
    let id = "00000000-0000-0000-0000-000000000001";
    platform
        .database
        .execute(&format!(
            "INSERT INTO models (id, name, owner, created_at, updated_at) VALUES ('{id}', 'fraud', 'user:ana', now(), now());
             INSERT INTO model_versions (id, model_id, number, digest, size, status, servable, runtime, created_by, created_at, updated_at)
             VALUES ('{id}', '{id}', 1, decode(repeat('00', 32), 'hex'), 0, 'pending', 'checking', 'onnx', 'user:ana', now(), now());
             INSERT INTO endpoints (id, name, env, model_id, stage, owner, created_at, updated_at)
             VALUES ('{id}', 'scoring', 'dev', '{id}', 'Production', 'user:ana', now(), now())"
        ))
        .await;
    let model = "fraud".parse().unwrap();
    let stage: domain::Stage = "Production".parse().unwrap();
    let event = platform.permit.event("stage.moved", json!({}));
    let mut change = Change::begin(platform.database.database()).await.unwrap();
    let found = store::models::lock(&mut change, &model).await.unwrap().unwrap();
    let version = store::versions::lock_by_number(&mut change, found.id, 1).await.unwrap().unwrap();
    let pointer = domain::Pointer::Stage(stage.clone());
    followers::bring(&mut change, &pointer, &version, &event).await.unwrap();
    followers::strand(&mut change, found.id, &stage, &event).await.unwrap();
    change.commit(&event).await.unwrap();
    platform.work().await;
    let heard: Vec<_> = receiver.heard().into_iter().map(|heard| heard.json()).collect();
    let data: Vec<_> = heard.iter().map(|body| &body["data"]).collect();
    let reason = |why: &str| json!({"endpoint": "scoring.dev", "reason": why});
    let expected = [
        &reason("the trial of `fraud/1` is not over"),
        &reason("no version is in the stage `Production` any more"),
    ];
    assert_eq!(data, expected);
    assert_eq!((&heard[0]["entity"], &heard[0]["action"]), (&json!("endpoint"), &json!("blocked")));
}
