//! A platform of its own for each test, and how its callers speak to it.

use std::{net::SocketAddr, sync::Arc};

use actix_web::{
    App,
    http::{Method, header},
    test::{self, TestRequest},
    web::Data,
};
use auth::{
    Access, Authenticator, SecretKey,
    audit::Trail,
    egress::Networks,
    http::{Gate, Guard, routes},
    jwt::Jwts,
    oidc::Oidc,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use domain::{Clock as _, FixedClock, Limit, SystemClock};
use rest::ApiError;
use serde_json::{Value, json};
use store::{audit, testing::TestDatabase};
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::{AppExt as _, scope};

pub const ADMIN: &str = "bt_0123456789abcdef0123456789abcdef";
pub const PASSWORD: &str = "correct horse battery";

/// A process: what it knows is its own, the database is everybody's.
pub struct Process {
    pub authenticator: Arc<Authenticator>,
    pub access: Access,
    oidc: Arc<Oidc>,
    database: store::Database,
    proxies: &'static str,
}

pub struct Platform {
    pub clock: FixedClock,
    pub test: TestDatabase,
    pub here: Process,
    trail: Trail,
}

/// How a request proves who sends it.
#[derive(Clone, Copy)]
pub enum As<'a> {
    Nobody,
    Token(&'a str),
    User(&'a str, &'a str),
    /// Cookie and CSRF token.
    Session(&'a str, Option<&'a str>),
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub cookie: Option<String>,
    pub retry_after: Option<u64>,
}

impl Answer {
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// What a refusal says: message and hint.
    pub fn refusal(self, status: u16) -> String {
        let error = self.expect(status)["error"].clone();
        format!(
            "{} {}",
            error["message"].as_str().unwrap(),
            error["hint"].as_str().unwrap_or_default()
        )
    }
}

impl Platform {
    pub async fn new() -> Self {
        let clock = FixedClock::at(SystemClock.now());
        let test = TestDatabase::with_clock(Arc::new(clock.clone())).await;
        let trail = Trail::new(Arc::new(clock.clone()));
        let here = Process::on(&test, &trail, "").await;
        Self { clock, test, here, trail }
    }

    /// Another process on the same database.
    pub async fn another(&self) -> Process {
        Process::on(&self.test, &self.trail, "").await
    }

    /// One that believes a proxy.
    pub async fn behind(&self, proxies: &'static str) -> Process {
        Process::on(&self.test, &self.trail, proxies).await
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Makes a user who has changed their password already.
    pub async fn user(&self, name: &str) {
        let new = json!({"name": name, "password": "their first password"});
        self.here.post("/users", As::Token(ADMIN), new).await.expect(201);
        let change = json!({"current": "their first password", "new": PASSWORD});
        let own = As::User(name, "their first password");
        self.here.put("/me/password", own, change).await.expect(204);
    }

    /// All changes that were recorded, oldest first.
    pub async fn recorded(&self) -> Vec<(String, Value)> {
        let stop = CancellationToken::new();
        stop.cancel();
        self.trail.write(self.test.database(), &stop).await;
        let limit = Limit::new(Some(1000)).unwrap();
        let filter = audit::Filter::default();
        let page = audit::list(self.test.database(), &filter, None, limit).await.unwrap();
        page.items.into_iter().rev().map(|event| (event.change, event.detail)).collect()
    }
}

impl Process {
    async fn on(test: &TestDatabase, trail: &Trail, proxies: &'static str) -> Self {
        let key = SecretKey::new("k".repeat(32).into()).unwrap();
        let access = Access::new(test.database().clone());
        let authenticator = Authenticator::new(key, test.database().clone())
            .with_trail(trail.clone())
            .with_access(access.clone());
        authenticator.install_admin_token(&access, &ADMIN.to_owned().into()).await.unwrap();
        let authenticator = Arc::new(authenticator);
        // Nobody logs in by a provider here.
        drop(rustls::crypto::ring::default_provider().install_default());
        let jwts = Jwts::new(SecretKey::new("k".repeat(32).into()).unwrap().into());
        let oidc =
            Oidc::new(None, Networks::default(), Arc::clone(&authenticator), access.clone(), jwts);
        let (oidc, database) = (Arc::new(oidc.unwrap()), test.database().clone());
        Self { authenticator, access, oidc, database, proxies }
    }

    pub async fn send(&self, request: TestRequest) -> Answer {
        let is_open =
            |method: &Method, path: &str| method == Method::POST && path == "/api/v1/sessions";
        let refusal =
            |_: &str, problem| actix_web::ResponseError::error_response(&ApiError(problem));
        let mut gate = Gate::new(Arc::clone(&self.authenticator), is_open, refusal);
        if !self.proxies.is_empty() {
            gate = gate.trusting(self.proxies.parse().unwrap());
        }
        let (app, _) = App::new()
            .into_utoipa_app()
            .app_data(Data::new(self.access.clone()))
            .app_data(Data::new(self.database.clone()))
            .app_data(Data::from(Arc::clone(&self.authenticator)))
            .app_data(Data::from(Arc::clone(&self.oidc)))
            .service(scope("/api/v1").configure(routes))
            .split_for_parts();
        let app = test::init_service(app.wrap(Guard::new(gate))).await;
        let answer = test::call_service(&app, request.to_request()).await;
        let text = |name| {
            let value = answer.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (status, cookie) = (answer.status().as_u16(), text(header::SET_COOKIE));
        let retry_after = text(header::RETRY_AFTER).map(|seconds| seconds.parse().unwrap());
        let body = test::read_body(answer).await;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Answer { status, body, cookie, retry_after }
    }

    pub fn request(method: Method, path: &str, who: As<'_>) -> TestRequest {
        let request = TestRequest::default()
            .method(method)
            .uri(&format!("/api/v1{path}"))
            .peer_addr("10.0.0.1:5000".parse::<SocketAddr>().unwrap());
        match who {
            As::Nobody => request,
            As::Token(token) => request.insert_header(("authorization", format!("Bearer {token}"))),
            As::User(user, password) => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
                request.insert_header(("authorization", format!("Basic {pair}")))
            }
            As::Session(cookie, csrf) => {
                let request =
                    request.insert_header(("cookie", format!("bottega_session={cookie}")));
                match csrf {
                    Some(csrf) => request.insert_header(("x-csrf-token", csrf)),
                    None => request,
                }
            }
        }
    }

    pub async fn get(&self, path: &str, who: As<'_>) -> Answer {
        self.send(Self::request(Method::GET, path, who)).await
    }

    pub async fn delete(&self, path: &str, who: As<'_>) -> Answer {
        self.send(Self::request(Method::DELETE, path, who)).await
    }

    pub async fn post(&self, path: &str, who: As<'_>, body: Value) -> Answer {
        self.send(Self::request(Method::POST, path, who).set_json(body)).await
    }

    pub async fn put(&self, path: &str, who: As<'_>, body: Value) -> Answer {
        self.send(Self::request(Method::PUT, path, who).set_json(body)).await
    }

    pub async fn patch(&self, path: &str, who: As<'_>, body: Value) -> Answer {
        self.send(Self::request(Method::PATCH, path, who).set_json(body)).await
    }

    /// A token as its holder gets it, and its id.
    pub async fn token(&self, who: As<'_>, wanted: Value) -> (String, String) {
        let made = self.post("/tokens", who, wanted).await.expect(201);
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        (text("token"), text("id"))
    }
}
