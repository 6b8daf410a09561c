//! A platform with webhooks, a clock that stands still, and receivers.

use std::{
    collections::VecDeque,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use auth::{Access, Permit, SecretKey, Vault, egress::Networks, verbs};
use chrono::TimeDelta;
use domain::{FixedClock, Limit, Resource, Timestamp, WebhookId};
use notify::{
    State, deliveries,
    events::Event,
    webhooks::{self, NewWebhook},
};
use serde_json::{Value, json};
use store::{Change, Database, testing::TestDatabase, webhooks::deliveries::Delivery};

/// Takes what is sent to it. It answers 200, or first whatever it was told to.
#[derive(Clone, Default)]
pub struct Receiver {
    heard: Arc<Mutex<Vec<Heard>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    manners: Arc<Mutex<Manners>>,
    /// What it is about to answer, by model.
    busy: Arc<Mutex<Vec<String>>>,
    /// How often it was told of a model while it was busy with the same.
    overlaps: Arc<AtomicUsize>,
}

/// How a receiver answers.
#[derive(Clone, Default)]
pub struct Manners {
    /// It takes so long.
    pub pause: Duration,
    /// It wants to be left alone so long.
    pub retry_after: Option<&'static str>,
    /// How long its answer is.
    pub length: usize,
}

#[derive(Clone)]
pub struct Heard {
    pub id: String,
    pub timestamp: String,
    pub signature: Option<String>,
    pub body: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Receiver {
    pub fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = receiver.clone();
        let server = HttpServer::new(move || {
            let receiver = app.clone();
            App::new().default_service(web::to(move |request: HttpRequest, body: String| {
                let receiver = receiver.clone();
                async move { receiver.take(&request, body).await }
            }))
        });
        tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        (receiver, url)
    }

    async fn take(&self, request: &HttpRequest, body: String) -> HttpResponse {
        let header = |name: &str| {
            request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let heard = Heard {
            id: header("X-MLflow-Delivery-Id").unwrap(),
            timestamp: header("X-MLflow-Timestamp").unwrap(),
            signature: header("X-MLflow-Signature"),
            body,
        };
        let manners = self.manners.lock().unwrap().clone();
        let model = heard.json()["data"]["name"].to_string();
        let status = self.answers.lock().unwrap().pop_front().unwrap_or(200);
        self.heard.lock().unwrap().push(heard);
        {
            let mut busy = self.busy.lock().unwrap();
            self.overlaps.fetch_add(usize::from(busy.contains(&model)), Ordering::SeqCst);
            busy.push(model.clone());
        }
        tokio::time::sleep(manners.pause).await;
        self.busy.lock().unwrap().retain(|other| *other != model);
        let mut answer = HttpResponse::build(status.try_into().unwrap());
        answer.insert_header(("location", "http://127.0.0.1:1/elsewhere"));
        if let Some(text) = manners.retry_after {
            answer.insert_header(("retry-after", text));
        }
        match manners.length {
            0 => answer.body("thanks"),
            length => answer.body("x".repeat(length)),
        }
    }

    pub fn overlaps(&self) -> usize {
        self.overlaps.load(Ordering::SeqCst)
    }

    pub fn behave(&self, manners: Manners) {
        *self.manners.lock().unwrap() = manners;
    }

    pub fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

pub struct Platform {
    pub state: Arc<State>,
    pub permit: Permit<verbs::Administer>,
    pub clock: FixedClock,
    pub database: TestDatabase,
}

impl Platform {
    pub async fn start() -> Self {
        Self::allowing("127.0.0.0/8").await
    }

    pub async fn allowing(networks: &str) -> Self {
        // The first to come decides for the process.
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = FixedClock::at(Timestamp::from_timestamp(1_700_000_000, 0).unwrap());
        let database = TestDatabase::with_clock(Arc::new(clock.clone())).await;
        let state = State::new(database.database().clone(), vault(), allowed(networks));
        let permit = Access::new(database.database().clone()).system("test", Resource::Platform);
        Self { state: Arc::new(state.unwrap()), permit, clock, database }
    }

    pub async fn webhook(&self, url: &str, events: &[&str], secret: Option<&str>) -> WebhookId {
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

    pub async fn moved(&self, model: &str, to: i32) {
        let mut change = Change::begin(self.database.database()).await.unwrap();
        let facts = json!({"model": model, "alias": "champion", "to": to});
        change.emit("alias.moved", &format!("model:{model}"), &facts).await.unwrap();
        change.commit(&self.permit.event("alias.moved", facts)).await.unwrap();
    }

    /// Waits until what is committed may be read. A transaction of any database of the server holds
    /// it back, and other tests have theirs.
    pub async fn readable(&self) {
        const WAIT: &str = "DO $$ BEGIN
            FOR tries IN 1..1000 LOOP
                EXIT WHEN (SELECT coalesce(max(xid) < pg_snapshot_xmin(pg_current_snapshot()), true) FROM outbox);
                PERFORM pg_sleep(0.01);
            END LOOP;
        END $$";
        self.database.execute(WAIT).await;
    }

    /// Tells what is due, until nothing is.
    pub async fn work(&self) -> usize {
        self.readable().await;
        let mut told = 0;
        loop {
            match notify::step(&self.state).await.unwrap() {
                0 => return told,
                some => told += some,
            }
        }
    }

    pub async fn deliveries(&self, id: WebhookId, state: Option<&str>) -> Vec<Delivery> {
        let limit = Limit::new(None).unwrap();
        let page = deliveries::list(&self.state, &self.permit, id, state, None, limit).await;
        page.unwrap().items
    }

    pub fn later(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Another process of the same platform: connections of its own, the same secret key.
    pub async fn another(&self) -> Arc<State> {
        let clock = Arc::new(self.clock.clone());
        let database = Database::connect(self.database.url(), 4, clock).await.unwrap();
        let state = State::new(database, vault(), allowed("127.0.0.0/8"));
        Arc::new(state.unwrap())
    }
}

pub const ALIASES: &[&str] = &["model_version_alias.created"];

pub fn told(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let data = receiver.heard().into_iter().map(|heard| heard.json()["data"].take());
    data.map(|data| (text(&data["name"]), text(&data["version"]))).collect()
}

pub fn pair(name: &str, version: &str) -> (String, String) {
    (name.to_owned(), version.to_owned())
}

fn allowed(networks: &str) -> Networks {
    Networks::parse("webhook_allow", networks).unwrap()
}

fn vault() -> Vault {
    let key = SecretKey::new("k".repeat(32).into()).unwrap();
    Vault::new(&key.into(), "webhooks")
}
