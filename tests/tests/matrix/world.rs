//! A platform with things of two teams and of nobody, and everybody who asks.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use bottega_tests::{Options, Server, model, model_json};
use reqwest::Method;
use serde_json::{Value, json};

use super::rows::{Body, Names, Place, Row};

/// Somebody with a role on the team `own`, with one on everything, or with none.
pub struct Principal {
    pub name: String,
    pub token: String,
    actions: Vec<String>,
    is_everywhere: bool,
}

impl Principal {
    /// By the table of roles alone.
    pub fn may(&self, action: &str, at: Place) -> bool {
        let reaches = self.is_everywhere || at == Place::Own;
        reaches && self.actions.iter().any(|allowed| allowed == action)
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    /// What it says, whatever the thing is called and the request was.
    pub fn words(&self, names: &Names) -> String {
        let mut body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
            error.remove("request_id");
        }
        let mut text = body.to_string();
        for (key, name) in
            names.0.iter().filter(|(key, _)| !["experiment", "me", "whose", "role"].contains(key))
        {
            text = text.replace(name.as_str(), key);
        }
        // Ids of experiments are short numbers.
        let mut words = String::new();
        for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            words.push_str(if rest.len() < part.len() { "#" } else { "" });
            words.push_str(rest);
        }
        words
    }
}

pub struct World {
    pub server: Server,
    pub document: Value,
    pub principals: Vec<Principal>,
    /// Requests by id, with their operations.
    pub requests: Mutex<Vec<(String, &'static str)>>,
    http: reqwest::Client,
    things: Vec<(Place, Names)>,
    next: AtomicU32,
}

impl World {
    pub async fn new() -> Self {
        let server = Server::start_with(Options {
            arguments: ["--log", "info,auth::access=debug", "--capture-flush", "200ms"]
                .map(str::to_owned)
                .into(),
            ..Options::default()
        });
        let http = server.plain();
        let mut world = Self {
            server,
            document: Value::Null,
            principals: Vec::new(),
            requests: Mutex::default(),
            http,
            things: Vec::new(),
            next: AtomicU32::default(),
        };
        world.document = world.made("GET", "/api/v1/openapi.json", Value::Null).await;
        for place in [Place::Own, Place::Other] {
            world.made("POST", "/api/v1/teams", json!({"name": place.team()})).await;
        }
        for place in Place::THINGS {
            let names = world.make_things(place).await;
            world.things.push((place, names));
        }
        world.make_principals().await;
        world
    }

    async fn make_principals(&mut self) {
        let roles = self.made("GET", "/api/v1/roles", Value::Null).await;
        let mut wanted = vec![("nobody".to_owned(), Value::Null, false)];
        for role in roles["items"].as_array().unwrap() {
            let name = role["role"].as_str().unwrap();
            wanted.push((format!("{name}-of-own"), role.clone(), false));
            wanted.push((format!("{name}-of-all"), role.clone(), true));
        }
        for (name, role, is_everywhere) in wanted {
            let subject = format!("service:{name}");
            self.made("POST", "/api/v1/services", json!({"name": name})).await;
            let new = json!({"name": "matrix", "holder": subject});
            let token = self.made("POST", "/api/v1/tokens", new).await;
            if let Some(role) = role["role"].as_str() {
                let on = if is_everywhere { "*" } else { "team:team-own" };
                let action = format!("role:{role}");
                let grant = json!({"subject": subject, "action": action, "resource": on});
                self.made("POST", "/api/v1/grants", grant).await;
            }
            let actions = role["actions"].as_array().into_iter().flatten();
            let actions = actions.map(|action| action.as_str().unwrap().to_owned()).collect();
            let token = token["token"].as_str().unwrap().to_owned();
            self.principals.push(Principal { name, token, actions, is_everywhere });
        }
    }

    /// A model with two versions, an endpoint that serves it, an experiment with a run and a logged
    /// model, and a deleted model.
    async fn make_things(&self, place: Place) -> Names {
        let team = match place {
            Place::Own | Place::Other => Value::from(place.team()),
            Place::Nobodys | Place::Platform => Value::Null,
        };
        let name = |kind: &str| format!("{}-{kind}", place.as_str());
        let (model_name, endpoint) = (name("model"), name("endpoint"));
        let file = model("breast_cancer.onnx");
        let push = ["push", file.to_str().unwrap(), "--name", &model_name, "--force"];
        let team_option = team.as_str().map(|team| ["--team", team]);
        let first = push.into_iter().chain(["--alias", "champion"]);
        self.server.cli(first.chain(team_option.into_iter().flatten())).json();
        self.server.cli(push).json();
        let path = format!("/api/v1/models/{model_name}/aliases/challenger");
        self.made("PUT", &path, json!({"version": 1})).await;

        let path = format!("/api/v1/endpoints/{endpoint}");
        let follows = format!("{model_name}@champion");
        self.made("PUT", &path, json!({"model": follows, "team": team})).await;
        let served = self.made("GET", &format!("{path}?wait=60"), Value::Null).await;
        assert_eq!(served["state"], "ready", "{served}");

        let inference = self.keep(&endpoint, format!("kept-{}", place.as_str())).await;

        let mlflow = |path: &str| format!("/api/2.0/mlflow/{path}");
        let named = format!("experiment {}", place.as_str());
        let made = self.made("POST", &mlflow("experiments/create"), json!({"name": named})).await;
        let experiment = made["experiment_id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/experiments/{experiment}/team");
        self.made("PUT", &path, json!({"team": team})).await;
        let new = json!({"experiment_id": experiment, "start_time": 1});
        let run = self.made("POST", &mlflow("runs/create"), new).await;
        let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let logged =
            self.made("POST", &mlflow("logged-models"), json!({"experiment_id": experiment})).await;
        let logged = logged["model"]["info"]["model_id"].as_str().unwrap().to_owned();
        let point =
            json!({"run_id": run, "key": "accuracy", "value": 0.5, "timestamp": 1, "step": 0});
        self.made("POST", &mlflow("runs/log-metric"), point).await;
        let dataset =
            json!({"name": "payments", "digest": "d1", "source_type": "local", "source": "{}"});
        let inputs = json!({"run_id": run, "datasets": [{"dataset": dataset, "tags": []}]});
        self.made("POST", &mlflow("runs/log-inputs"), inputs).await;
        for folder in [
            format!("{experiment}/{run}/artifacts"),
            format!("{experiment}/models/{logged}/artifacts"),
        ] {
            let path = format!("/api/2.0/mlflow-artifacts/artifacts/{folder}/a.txt");
            let answer = self.bytes("PUT", &path, "a").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }

        let path = mlflow(&format!("model-versions/get-download-uri?name={model_name}&version=1"));
        let uri = self.made("GET", &path, Value::Null).await;
        let uri = uri["artifact_uri"].as_str().unwrap();
        let files = uri.split('/').find(|part| part.len() == 32).unwrap().to_owned();

        let grant = json!({"subject": "user:admin", "action": "view", "resource": format!("model:{model_name}")});
        let grant = self.made("POST", "/api/v1/grants", grant).await;
        let grant = grant["id"].as_str().unwrap().to_owned();

        let new = json!({"name": name("role"), "workspace": "default"});
        let role = self.made("POST", "/api/3.0/mlflow/roles/create", new).await;

        let deleted = name("deleted");
        self.made("POST", "/api/v1/models", json!({"name": deleted, "team": team})).await;
        let answer = self.bytes("DELETE", &format!("/api/v1/models/{deleted}"), "").await;
        assert_eq!(answer.status, 204, "{answer:?}");
        Names(vec![
            ("model", model_name),
            ("deleted", deleted),
            ("endpoint", endpoint),
            ("inference", inference),
            ("named", named),
            ("logged", logged),
            ("run", run),
            ("version", uuid(&files)),
            ("files", files),
            ("grant", grant),
            ("role", role["role"]["id"].to_string()),
            ("experiment", experiment),
            ("whose", team.to_string()),
            ("team", place.team()),
        ])
    }

    /// An inference at an endpoint, whose row is kept.
    async fn keep(&self, endpoint: &str, id: String) -> String {
        let capture = format!("/api/v1/endpoints/{endpoint}/capture");
        self.made("PUT", &capture, json!({"rate": 1})).await;
        let mut body = model_json("breast_cancer.example.json");
        body["id"] = json!(id);
        // Gateways hear of it within a moment, and write within another one.
        for _ in 0..100 {
            self.made("POST", &format!("/v2/models/{endpoint}/infer"), body.clone()).await;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            let path = format!("/api/v1/inferences/{id}");
            if answer(self.request("GET", &path)).await.status == 200 {
                return id;
            }
        }
        panic!("no row of {endpoint} is kept");
    }

    /// What stands for a thing's names in a row.
    pub fn names(&self, row: &Row, place: Place) -> Names {
        let at = if place == Place::Platform { Place::Own } else { place };
        let (_, names) = self.things.iter().find(|(place, _)| *place == at).unwrap();
        let mut names = names.clone();
        let receiving = row.receiving.map(|place| ("receiving", place.team()));
        names.0.extend(receiving);
        names
    }

    /// Sends a row's request.
    pub async fn send(&self, who: &Principal, row: &Row, names: &Names) -> Answer {
        let mut names = names.clone();
        names.0.push(("me", who.name.clone()));
        let (method, path) = row.operation.split_once(' ').unwrap();
        let path = names.fill(&filled(path, row)) + &names.fill(row.query);
        let id = format!("matrix-{}", self.next.fetch_add(1, Relaxed));
        self.requests.lock().unwrap().push((id.clone(), row.operation));
        let mut request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.server.url))
            .bearer_auth(&who.token)
            .header("x-request-id", id);
        match &row.body {
            Some(Body::Json(text)) => {
                request = request.header("content-type", "application/json").body(names.fill(text));
            }
            Some(Body::Bytes(bytes)) => request = request.body(*bytes),
            None => {}
        }
        answer(request).await
    }

    /// Sends what makes things and undoes a success, as the administrator.
    pub async fn as_administrator(
        &self,
        operation: &str,
        body: Option<&str>,
        names: &Names,
    ) -> Value {
        let (method, path) = operation.split_once(' ').unwrap();
        let body =
            body.map_or(Value::Null, |body| serde_json::from_str(&names.fill(body)).unwrap());
        self.made(method, &names.fill(path), body).await
    }

    async fn made(&self, method: &str, path: &str, body: Value) -> Value {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = answer(request).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    async fn bytes(&self, method: &str, path: &str, body: &'static str) -> Answer {
        answer(self.request(method, path).body(body)).await
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method: Method = method.parse().unwrap();
        let url = format!("{}{path}", self.server.url);
        self.http.request(method, url).bearer_auth(self.server.token)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    Answer { status, text: answer.text().await.unwrap() }
}

/// The path with what stands for its parameters: the row's own, else the thing's.
fn filled(path: &str, row: &Row) -> String {
    let mut path = path.to_owned();
    for (name, value) in &row.params {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    for (name, value) in [
        ("name", "{model}"),
        ("experiment_id", "{experiment}"),
        ("run_id", "{run}"),
        ("model_id", "{logged}"),
        ("version", "1"),
        ("release", "1"),
        ("alias", "champion"),
        ("stage", "Staging"),
        ("source", NO_ID),
        ("webhook", NO_ID),
        ("delivery", NO_ID),
        ("rule", NO_ID),
        ("token", NO_ID),
        ("session", NO_ID),
        ("request", NO_ID),
        ("webhook_id", NO_ID),
    ] {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    path
}

/// 32 hex digits as an id is written.
fn uuid(hex: &str) -> String {
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

/// An id of nothing.
pub const NO_ID: &str = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1";
