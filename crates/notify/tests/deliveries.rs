//! Webhooks on a real Postgres, told to a real receiver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::VecDeque,
    net::TcpListener,
    sync::{Arc, Mutex},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use auth::{Access, Permit, SecretKey, Vault, verbs};
use chrono::TimeDelta;
use domain::{Clock as _, FixedClock, Limit, Resource, Timestamp, WebhookId};
use notify::{
    State, deliveries,
    events::Event,
    webhooks::{self, Edit, NewWebhook},
};
use serde_json::{Value, json};
use store::{Change, followers, testing::TestDatabase, webhooks::deliveries::Delivery};

/// Takes what is sent to it. It answers 200, or first whatever it was told to.
#[derive(Clone, Default)]
struct Receiver {
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

#[derive(Clone)]
struct Heard {
    id: String,
    timestamp: String,
    signature: Option<String>,
    body: String,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Receiver {
    fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = receiver.clone();
        let server = HttpServer::new(move || {
            let receiver = app.clone();
            App::new().default_service(web::to(move |request: HttpRequest, body: String| {
                let receiver = receiver.clone();
                async move { receiver.take(&request, body) }
            }))
        });
        tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        (receiver, url)
    }

    fn take(&self, request: &HttpRequest, body: String) -> HttpResponse {
        let header = |name: &str| {
            request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let status = self.answers.lock().unwrap().pop_front().unwrap_or(200);
        self.heard.lock().unwrap().push(Heard {
            id: header("X-MLflow-Delivery-Id").unwrap(),
            timestamp: header("X-MLflow-Timestamp").unwrap(),
            signature: header("X-MLflow-Signature"),
            body,
        });
        HttpResponse::build(status.try_into().unwrap())
            .insert_header(("location", "http://127.0.0.1:1/elsewhere"))
            .body("thanks")
    }

    fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

struct Platform {
    state: Arc<State>,
    permit: Permit<verbs::Administer>,
    clock: FixedClock,
    database: TestDatabase,
}

impl Platform {
    async fn start() -> Self {
        Self::allowing("127.0.0.0/8").await
    }

    async fn allowing(networks: &str) -> Self {
        // The first to come decides for the process.
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = FixedClock::at(Timestamp::from_timestamp(1_700_000_000, 0).unwrap());
        let database = TestDatabase::with_clock(Arc::new(clock.clone())).await;
        let key = SecretKey::new("k".repeat(32).into()).unwrap();
        let vault = Vault::new(&key, "webhooks");
        let state = State::new(database.database().clone(), vault, networks.parse().unwrap());
        let permit = Access::default().system("test", Resource::Platform);
        Self { state: Arc::new(state.unwrap()), permit, clock, database }
    }

    async fn webhook(&self, url: &str, events: &[&str], secret: Option<&str>) -> WebhookId {
        let new = NewWebhook {
            name: "ci".to_owned(),
            description: None,
            url: url.to_owned(),
            secret: secret.map(|secret| secret.to_owned().into()),
            events: events.iter().map(|event| Event::parse(event).unwrap()).collect(),
            active: true,
        };
        webhooks::create(&self.state, &self.permit, new).await.unwrap().id
    }

    async fn moved(&self, model: &str, to: i32) {
        let mut change = Change::begin(self.database.database()).await.unwrap();
        let facts = json!({"model": model, "alias": "champion", "to": to});
        change.emit("alias.moved", &format!("model:{model}"), &facts).await.unwrap();
        change.commit(&self.permit.event("alias.moved", facts)).await.unwrap();
    }

    /// Waits until what is committed may be read. A transaction of any database of the server holds
    /// it back, and other tests have theirs.
    async fn readable(&self) {
        const WAIT: &str = "DO $$ BEGIN
            FOR tries IN 1..1000 LOOP
                EXIT WHEN (SELECT coalesce(max(xid) < pg_snapshot_xmin(pg_current_snapshot()), true) FROM outbox);
                PERFORM pg_sleep(0.01);
            END LOOP;
        END $$";
        self.database.execute(WAIT).await;
    }

    /// Tells what is due, until nothing is.
    async fn work(&self) -> usize {
        self.readable().await;
        let mut told = 0;
        loop {
            match notify::step(&self.state).await.unwrap() {
                0 => return told,
                some => told += some,
            }
        }
    }

    async fn deliveries(&self, id: WebhookId, state: Option<&str>) -> Vec<Delivery> {
        let limit = Limit::new(None).unwrap();
        let page = deliveries::list(&self.state, &self.permit, id, state, None, limit).await;
        page.unwrap().items
    }

    fn later(&self, by: TimeDelta) {
        self.clock.advance(by);
    }
}

const ALIASES: &[&str] = &["model_version_alias.created"];

fn told(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let data = receiver.heard().into_iter().map(|heard| heard.json()["data"].take());
    data.map(|data| (text(&data["name"]), text(&data["version"]))).collect()
}

fn pair(name: &str, version: &str) -> (String, String) {
    (name.to_owned(), version.to_owned())
}

#[tokio::test]
async fn what_happens_is_told_once_in_order_and_signed() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    platform.moved("fraud", 7).await;
    let id = platform.webhook(&url, ALIASES, Some("hush")).await;
    platform.later(TimeDelta::seconds(1));
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
        Vault::new(&key, "webhooks"),
        "".parse().unwrap(),
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
