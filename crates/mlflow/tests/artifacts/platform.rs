//! A server of its own for each test, with what its tests say to it.

use std::sync::Arc;

use actix_web::{
    App, HttpMessage as _,
    body::{BodySize, MessageBody as _},
    dev::{Payload, Service as _},
    error::PayloadError,
    http::{Method, StatusCode, header::HeaderMap},
    test::{self, TestRequest},
    web,
};
use artifacts::{Artifacts, Location, Outside, Policy, Report, S3Settings};
use auth::{Access, Caller, verbs};
use bytes::Bytes;
use chrono::TimeDelta;
use domain::{Clock as _, Digest, FileEntry, FilePath, FixedClock, Limit, Resource, SystemClock};
use futures_util::stream;
use prometheus_client::registry::Registry;
use registry::collections::{Collection, Order};
use rest::{RequestContext, metrics::HttpMetrics};
use serde_json::{Value, json};
use store::{audit, blobs, testing::TestDatabase};
use tempfile::TempDir;
use tracking::State;
use weed::Weed;

pub struct Platform {
    pub state: web::Data<State>,
    registry: web::Data<registry::State>,
    pub access: Access,
    artifacts: Artifacts,
    pub clock: FixedClock,
    database: TestDatabase,
    _folder: TempDir,
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
    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The message of a refusal, which must have this status and code.
    #[track_caller]
    pub fn refusal(&self, status: u16, code: &str) -> String {
        let body = self.expect(status);
        assert_eq!(body["error_code"], code, "{body}");
        body["message"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }
}

impl Platform {
    /// Over a folder.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().join("artifacts"));
        Self::start_at(folder, &location, &S3Settings::default()).await
    }

    /// Over S3, below a prefix of its own.
    pub async fn on(weed: &Weed, prefix: &str, outside: Outside) -> Self {
        let settings = weed.environment(&[]).into_iter().collect::<S3Settings>().outside(outside);
        let location = weed.location(prefix).parse().unwrap();
        Self::start_at(tempfile::tempdir().unwrap(), &location, &settings).await
    }

    async fn start_at(folder: TempDir, location: &Location, settings: &S3Settings) -> Self {
        // What S3 signs is judged by the machine's clock.
        let clock = FixedClock::at(SystemClock.now());
        let database = TestDatabase::with_clock(Arc::new(clock.clone())).await;
        let artifacts = Artifacts::at(location, settings, database.database().clone()).unwrap();
        let state = web::Data::new(State::new(database.database().clone(), artifacts.clone()));
        let scratch = folder.path().join("scratch");
        std::fs::create_dir(&scratch).unwrap();
        let limits = registry::Limits::default();
        let registry =
            registry::State::new(database.database().clone(), artifacts.clone(), scratch, limits);
        let registry = web::Data::new(registry);
        let access = Access::new(database.database().clone());
        Self { state, registry, access, artifacts, clock, database, _folder: folder }
    }

    pub fn registry(&self) -> &registry::State {
        &self.registry
    }

    /// Executes statements: rows that no route of these tests makes.
    pub async fn execute(&self, statements: &str) {
        self.database.execute(statements).await;
    }

    pub async fn send(&self, request: TestRequest) -> Answer {
        self.deliver(request, None).await
    }

    /// Sends a request whose body begins and then breaks off.
    pub async fn break_off(&self, request: TestRequest, begin: &'static str) -> Answer {
        let body = stream::iter([
            Ok(Bytes::from_static(begin.as_bytes())),
            Err(PayloadError::Incomplete(None)),
        ]);
        self.deliver(request, Some(Payload::Stream { payload: Box::pin(body) })).await
    }

    async fn deliver(&self, request: TestRequest, body: Option<Payload>) -> Answer {
        let app = App::new()
            .app_data(self.state.clone())
            .app_data(self.registry.clone())
            .app_data(web::Data::new(self.access.clone()))
            .wrap_fn(|request, service| {
                request.extensions_mut().insert(Caller::system("test"));
                service.call(request)
            })
            .wrap(RequestContext::new(HttpMetrics::register(&mut Registry::default())))
            .configure(mlflow::root)
            .configure(mlflow::routes);
        let app = test::init_service(app).await;
        let mut request = request.to_request();
        if let Some(body) = body {
            request = request.replace_payload(body).0;
        }
        let answer = test::call_service(&app, request).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let length = answer.response().body().size();
        // A body that breaks off has no end.
        let body = test::try_read_body(answer).await.unwrap_or_default();
        Answer { status, headers, length, body }
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let uri = format!("/api/2.0/mlflow/{path}");
        self.send(TestRequest::with_uri(&uri).method(method).set_json(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(TestRequest::with_uri(&format!("/api/2.0/{path}"))).await
    }

    /// A request for a file, below `/mlflow-artifacts/artifacts/`.
    pub fn file(method: Method, path: &str) -> TestRequest {
        TestRequest::with_uri(&format!("/api/2.0/mlflow-artifacts/artifacts/{path}")).method(method)
    }

    pub async fn put(&self, path: &str, content: &'static str) -> Answer {
        self.send(Self::file(Method::PUT, path).set_payload(content)).await
    }

    /// A run in the experiment that is always there.
    pub async fn run(&self) -> String {
        let args = json!({"experiment_id": "0", "start_time": 1});
        let made = self.call(Method::POST, "runs/create", args).await.expect(200);
        made["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    /// A version, with what only our own API shows.
    pub async fn version(&self, model: &str, number: i32) -> store::versions::Version {
        let (database, model) = (self.database.database(), model.parse().unwrap());
        store::versions::get(database, &model, number).await.unwrap().unwrap()
    }

    /// All files of the folder that a URI names.
    pub async fn folder(&self, uri: &str) -> tracking::Result<Vec<(FilePath, FileEntry)>> {
        let home = tracking::files::owner(&self.state, uri).await?;
        let resource = Resource::Experiment(home.to_string());
        let permit = self.access.clone().system::<verbs::View>("test", resource);
        tracking::files::folder(&self.state, &permit, uri).await
    }

    /// Collects whatever nobody names, at once.
    pub async fn collect(&self) -> u64 {
        let policy = Policy { untouched: TimeDelta::seconds(-60), grace: TimeDelta::zero() };
        self.artifacts.collect(policy).await.unwrap().doomed
    }

    /// Purges whatever is deleted, and collects what nobody names then, at once.
    pub async fn collect_deleted(&self) -> Collection {
        let permit = self.access.clone().system::<verbs::Administer>("test", Resource::Platform);
        // What was deleted just now was deleted before now.
        self.clock.advance(TimeDelta::milliseconds(1));
        let at_once = Some(TimeDelta::zero());
        let order = Order { older_than: at_once, grace: at_once };
        registry::collections::collect(&self.registry, &permit, order).await.unwrap()
    }

    /// Collects as the server does.
    pub async fn collect_patiently(&self) -> Report {
        self.artifacts.collect(Policy::default()).await.unwrap()
    }

    /// Notes that a blob is damaged.
    pub async fn damage(&self, digest: &Digest) {
        let blob = blobs::get(self.database.database(), digest).await.unwrap().unwrap();
        blobs::mark_corrupt(self.database.database(), digest, blob.key).await.unwrap();
    }

    /// All that was recorded, oldest first.
    pub async fn recorded(&self) -> Vec<String> {
        let (filter, all) = (audit::Filter::default(), Limit::new(Some(1000)).unwrap());
        let mut events = audit::list(self.database.database(), &filter, None, all).await.unwrap();
        events.items.reverse();
        events
            .items
            .iter()
            .map(|event| format!("{} {}:{}", event.change, event.resource_kind, event.resource))
            .collect()
    }

    /// Makes a logged model in the experiment that is always there; answers its id.
    pub async fn logged_model(&self, mut args: Value) -> String {
        args["experiment_id"] = json!("0");
        let made = self.call(Method::POST, "logged-models", args).await.expect(200);
        made["model"]["info"]["model_id"].as_str().unwrap().to_owned()
    }
}
