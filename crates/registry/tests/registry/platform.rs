//! A registry of its own for each test, with what its tests say to it.

use std::sync::Arc;

use actix_web::{
    App, HttpResponse, ResponseError as _,
    body::{BodySize, MessageBody as _},
    http::{Method, StatusCode, header::HeaderMap},
    test::{self, TestRequest},
    web,
};
use artifacts::{Artifacts, Location, S3Settings};
use auth::{
    Access, Authenticator, SecretKey, Vault,
    egress::Networks,
    http::{Gate, Guard},
    verbs,
};
use bytes::Bytes;
use domain::{Digest, EndpointRef, Limit, ReleaseState, Resource, SystemClock};
use prometheus_client::registry::Registry;
use registry::{Limits, State};
use remote::Remote;
use rest::{ApiError, RequestContext, fallback, metrics::HttpMetrics};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use store::{
    Change, Database, audit,
    endpoints::Endpoint,
    followers, releases,
    testing::TestDatabase,
    versions::{self, TrialOutcome},
};
use tempfile::TempDir;
use utoipa_actix_web::{AppExt as _, scope};

use crate::onnx;

pub struct Platform {
    pub state: web::Data<State>,
    access: web::Data<Access>,
    remote: Arc<Remote>,
    guard: Guard,
    token: SecretString,
    database: TestDatabase,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// How long the body is said to be, which a HEAD request asks for.
    pub length: BodySize,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?} {:?}", self.status, self.body))
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The error's message, of an answer that must be a refusal with this status and field.
    #[track_caller]
    pub fn refusal(&self, status: u16, field: Option<&str>) -> String {
        let error = &self.expect(status)["error"];
        assert_eq!(error["field"].as_str(), field, "{error}");
        error["message"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }
}

/// Asks servers on public addresses, and on one network that nobody has.
fn remote(database: &Database) -> Remote {
    drop(rustls::crypto::ring::default_provider().install_default());
    let key = SecretKey::new("k".repeat(32).into()).unwrap();
    let allowed = Networks::parse("remote_allow", "203.0.113.0/24").unwrap();
    Remote::new(database.clone(), Vault::new(&key.into(), "credentials"), allowed).unwrap()
}

impl Platform {
    pub async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        let (database, folder) = (TestDatabase::fresh().await, tempfile::tempdir().unwrap());
        let access = Access::new(database.database().clone());
        let key = SecretKey::new(SecretKey::generate()).unwrap();
        let authenticator = Arc::new(Authenticator::new(key, database.database().clone()));
        let token = Authenticator::generate_token();
        authenticator.install_admin_token(&access, &token).await.unwrap();
        access.refresh().await.unwrap();
        let location = Location::Folder(folder.path().join("artifacts"));
        let artifacts =
            Artifacts::at(&location, &S3Settings::default(), database.database().clone());
        let scratch = folder.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        let remote = Arc::new(remote(database.database()));
        let state = State::new(database.database().clone(), artifacts.unwrap(), scratch, limits)
            .with_remote(Arc::clone(&remote));
        let refusal = |_: &str, problem| -> HttpResponse { ApiError(problem).error_response() };
        Self {
            state: web::Data::new(state),
            access: web::Data::new(access),
            remote,
            guard: Guard::new(Gate::new(authenticator, |_, _| false, refusal)),
            token,
            database,
            folder,
        }
    }

    pub fn database(&self) -> &Database {
        self.database.database()
    }

    /// Executes statements: rows that no function of the registry makes.
    pub async fn execute(&self, statements: &str) {
        self.database.execute(statements).await;
    }

    /// How many objects the artifact store keeps.
    pub fn objects(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("artifacts/blobs")).unwrap().count()
    }

    /// Where the database is.
    pub fn url(&self) -> &str {
        self.database.url()
    }

    /// The registry of another process on the same database and artifacts, at that URL.
    pub async fn another(&self, url: &str) -> web::Data<State> {
        let database = Database::connect(url, 4, Arc::new(SystemClock)).await.unwrap();
        let location = Location::Folder(self.folder.path().join("artifacts"));
        let artifacts = Artifacts::at(&location, &S3Settings::default(), database.clone());
        let scratch = self.folder.path().join("scratch");
        web::Data::new(State::new(database, artifacts.unwrap(), scratch, Limits::default()))
    }

    /// To do this to any model, and to this model's events.
    pub fn permit_to<V: auth::Verb>(&self, model: &str) -> auth::Permit<V> {
        self.access.system("test", Resource::Model(model.to_owned()))
    }

    /// To look at models.
    pub fn permit(&self) -> auth::Permit<verbs::View> {
        self.access.system("test", Resource::Platform)
    }

    /// Sends a request without credentials.
    pub async fn send(&self, request: TestRequest) -> Answer {
        let app = App::new()
            .wrap(self.guard.clone())
            .wrap(
                RequestContext::new(HttpMetrics::register(&mut Registry::default()))
                    .keeping_head(registry::has_own_head),
            )
            .app_data(self.state.clone())
            .app_data(self.access.clone())
            .app_data(web::Data::from(Arc::clone(&self.remote)))
            .into_utoipa_app()
            .service(
                scope::scope("/api/v1").configure(registry::routes).configure(remote::http::routes),
            )
            .default_service(web::to(fallback::answer))
            .into_app();
        let app = test::init_service(app).await;
        let answer = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let length = answer.response().body().size();
        // A body that breaks off has no end.
        let body = test::try_read_body(answer).await.unwrap_or_default();
        Answer { status, headers, length, body }
    }

    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        let bearer = format!("Bearer {}", self.token.expose_secret());
        TestRequest::with_uri(&format!("/api/v1{path}"))
            .method(method)
            .insert_header(("authorization", bearer))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).set_json(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).set_json(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).set_json(body)).await
    }

    /// Uploads these bytes; answers the file that names them.
    pub async fn file(&self, path: &str, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        let request = self.request(Method::PUT, &format!("/blobs/{digest}"));
        let answer = self.send(request.set_payload(content.to_vec())).await;
        assert!(answer.status.is_success(), "{answer:?}");
        json!({"path": path, "digest": digest, "size": content.len()})
    }

    /// Registers a version of one ONNX file, told from others by `seed`; its trial is not over.
    pub async fn register(&self, model: &str, seed: u8) -> i64 {
        self.register_file(model, &onnx::model(seed)).await
    }

    /// Registers a version of one ONNX file; its trial is not over.
    pub async fn register_file(&self, model: &str, content: &[u8]) -> i64 {
        let file = self.file("model.onnx", content).await;
        let answer = self.post(&versions_of(model), json!({"files": [file]})).await;
        answer.expect(201)["version"].as_i64().unwrap()
    }

    /// Registers a version that can be served.
    pub async fn servable(&self, model: &str, seed: u8) -> i64 {
        let number = self.register(model, seed).await;
        self.end_trial(model, number, TrialOutcome::Ready { batchable: true }).await;
        number
    }

    /// The event of a change that a test makes by itself.
    pub fn event(&self) -> domain::AuditEvent {
        let permit = self.access.system::<verbs::Register>("test", Resource::Platform);
        permit.event("version.tried", json!({}))
    }

    /// What the deployer does when a trial is over.
    pub async fn end_trial(&self, model: &str, number: i64, outcome: TrialOutcome) {
        let number = i32::try_from(number).unwrap();
        let model = model.parse().unwrap();
        let version = versions::get(self.database(), &model, number).await.unwrap().unwrap();
        let resource = Resource::Model(model.to_string());
        let permit = self.access.system::<verbs::Register>("trial", resource);
        let event = permit.event("version.tried", json!({}));
        let mut change = Change::begin(self.database()).await.unwrap();
        assert!(versions::finish_trial(&mut change, version.id, &outcome).await.unwrap());
        followers::catch_up(&mut change, version.id, &event).await.unwrap();
        change.emit("version.tried", "model", &json!({})).await.unwrap();
        change.commit(&event).await.unwrap();
    }

    /// What the deployer does when the release on its way is ready, or is not.
    pub async fn end_release(&self, endpoint: &str, state: ReleaseState) {
        let endpoint: EndpointRef = endpoint.parse().unwrap();
        let permit = self
            .access
            .system::<verbs::Deploy>("reconciler", Resource::Endpoint(endpoint.to_string()));
        let mut change = Change::begin(self.database()).await.unwrap();
        let found: Endpoint =
            store::endpoints::lock(&mut change, &endpoint).await.unwrap().unwrap();
        let number = found.target_release.unwrap();
        assert!(releases::finish(&mut change, &found, number, state, None).await.unwrap());
        change.emit("release.finished", "endpoint", &json!({})).await.unwrap();
        change.commit(&permit.event("release.finished", json!({}))).await.unwrap();
    }

    /// Deploys and completes the release.
    pub async fn live(&self, endpoint: &str, model: &str) {
        let answer = self.put(&format!("/endpoints/{endpoint}"), json!({"model": model})).await;
        assert!(answer.status.is_success(), "{answer:?}");
        self.end_release(endpoint, ReleaseState::Completed).await;
    }

    /// All that was recorded, oldest first, as `change resource`; but for the token of the start.
    pub async fn recorded(&self) -> Vec<String> {
        let (filter, all) = (audit::Filter::default(), Limit::new(Some(1000)).unwrap());
        let mut events = audit::list(self.database(), &filter, None, all).await.unwrap().items;
        events.reverse();
        events
            .iter()
            .filter(|event| event.change != "token.installed")
            .map(|event| format!("{} {}:{}", event.change, event.resource_kind, event.resource))
            .collect()
    }
}

pub fn versions_of(model: &str) -> String {
    format!("/models/{}/versions", model.replace(' ', "%20"))
}
