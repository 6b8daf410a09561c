//! A server of its own for each test, with what its tests say to it.

use std::sync::Arc;

use actix_web::{
    App, HttpResponse,
    http::{Method, StatusCode},
    test::{self, TestRequest},
    web,
};
use artifacts::{Artifacts, Location, S3Settings};
use auth::{
    Access, Authenticator, SecretKey,
    http::{Gate, Guard},
};
use mlflow::refusal;
use prometheus_client::registry::Registry;
use rest::{RequestContext, metrics::HttpMetrics};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use store::testing::TestDatabase;
use tempfile::TempDir;
use tracking::State;

pub struct Server {
    pub state: web::Data<State>,
    pub access: web::Data<Access>,
    guard: Guard,
    token: SecretString,
    _database: TestDatabase,
    _folder: TempDir,
}

impl Server {
    pub async fn start() -> Self {
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
        let state = State::new(database.database().clone(), artifacts.unwrap());
        let refusal = |_: &str, problem| -> HttpResponse { refusal::answer(problem) };
        Self {
            state: web::Data::new(state),
            access: web::Data::new(access),
            guard: Guard::new(Gate::new(authenticator, |_, _| false, refusal)),
            token,
            _database: database,
            _folder: folder,
        }
    }

    async fn send(&self, request: TestRequest) -> (StatusCode, Value) {
        let app = App::new()
            .wrap(self.guard.clone())
            .wrap(RequestContext::new(HttpMetrics::register(&mut Registry::default())))
            .app_data(self.state.clone())
            .app_data(self.access.clone())
            .configure(mlflow::routes);
        let app = test::init_service(app).await;
        let answer = test::call_service(&app, request.to_request()).await;
        let status = answer.status();
        let body = test::read_body(answer).await;
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)));
        (status, body)
    }

    fn request(&self, method: Method, path: &str) -> TestRequest {
        let bearer = format!("Bearer {}", self.token.expose_secret());
        TestRequest::with_uri(&format!("/api/2.0/mlflow/{path}"))
            .method(method)
            .insert_header(("authorization", bearer))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(self.request(Method::POST, path).set_json(body)).await
    }

    /// What is answered, which must be a success.
    #[track_caller]
    pub fn well(answer: (StatusCode, Value)) -> Value {
        assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
        answer.1
    }

    /// The message of a refusal, which must have this status and code.
    #[track_caller]
    pub fn refused(answer: &(StatusCode, Value), status: u16, code: &str) -> String {
        let (got, body) = answer;
        assert_eq!((got.as_u16(), &body["error_code"]), (status, &json!(code)), "{body}");
        body["message"].as_str().unwrap().to_owned()
    }

    /// Makes an experiment; answers its id.
    pub async fn experiment(&self, name: &str) -> String {
        let made = Self::well(self.post("experiments/create", json!({"name": name})).await);
        made["experiment_id"].as_str().unwrap().to_owned()
    }

    /// Starts a run; answers its id.
    pub async fn run(&self, experiment: &str) -> String {
        let body = json!({"experiment_id": experiment, "user_id": "ana", "start_time": 5});
        let made = Self::well(self.post("runs/create", body).await);
        made["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    /// A run as `runs/get` shows it.
    pub async fn shown(&self, run: &str) -> Value {
        let path = format!("runs/get?run_uuid={run}&run_id={run}");
        Self::well(self.get(&path).await)["run"].clone()
    }
}
