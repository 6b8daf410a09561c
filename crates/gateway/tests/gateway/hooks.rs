//! Hooks before and after a model, with a real server for lookups.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{http::StatusCode, test::TestRequest};
use domain::{
    Actor,
    capture::{Record, Sink},
};
use gateway::Settings;
use serde_json::{Value, json};
use store::{Change, credentials};

use crate::{
    capture::say,
    http::{Answer, infer, send},
    routing::IDENTITY,
    seed::{Node, World, until, vault},
    server::{Manner, Server},
};

#[derive(Default)]
struct Heard(Mutex<Vec<Record>>);

impl Sink for Heard {
    fn offer(&self, record: Record) {
        self.0.lock().unwrap().push(record);
    }
}

/// A node that serves `fraud`, which answers `y` with the two values of each row of `x`, with these hooks.
async fn serving(hooks: Value, capture: Arc<dyn Sink>) -> (World, Node) {
    let world = World::new().await;
    let deployer = world.deployer().await;
    let version = world.version(IDENTITY).await;
    world.deploy_with("fraud", &[(&version, 100)], json!({"hooks": hooks})).await;
    let node = world.node_watched("a", Settings::default(), world.test.url(), capture).await;
    until("the endpoint", async || {
        let ready = TestRequest::get().uri("/v2/models/fraud/ready");
        send(&world, &node.state, ready).await.status == StatusCode::OK
    })
    .await;
    drop(deployer);
    (world, node)
}

async fn plain(hooks: Value) -> (World, Node) {
    serving(hooks, Arc::new(domain::capture::Nowhere)).await
}

async fn ask(world: &World, node: &Node, inputs: Value) -> Answer {
    send(world, &node.state, infer(json!({"inputs": inputs}).to_string())).await
}

async fn get(world: &World, node: &Node, path: &str) -> Value {
    let answer = send(world, &node.state, TestRequest::get().uri(path)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body
}

/// The only output of an answer.
#[track_caller]
fn output(answer: &Answer) -> &Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["outputs"].as_array().unwrap().len(), 1);
    &answer.body["outputs"][0]
}

#[actix_web::test]
async fn callers_speak_the_signature_that_hooks_leave() {
    let (world, node) = plain(json!({
        "before": [
            {"rename": {"column": "x", "as": "features"}},
            {"cast": {"column": "x", "as": "BYTES"}},
            {"default": {"column": "x", "value": [1, 2]}},
        ],
        "after": [{"rename": {"column": "y", "as": "score"}}, {"cast": {"column": "score", "as": "BYTES"}}],
    }))
    .await;
    let texts = json!([{"name": "features", "shape": [2, 2], "datatype": "BYTES", "data": ["1", "2.5", "-3", "4"]}]);
    let answer = ask(&world, &node, texts).await;
    assert_eq!(output(&answer)["name"], "score");
    assert_eq!(output(&answer)["data"], json!(["1", "2.5", "-3", "4"]));

    let metadata = get(&world, &node, "/v2/models/fraud").await;
    let input =
        json!({"name": "features", "datatype": "BYTES", "shape": [-1, 2], "optional": true});
    assert_eq!(metadata["inputs"], json!([input]));
    assert_eq!(metadata["outputs"][0]["name"], "score");
    let schema = get(&world, &node, "/api/v1/endpoints/fraud/schema").await;
    assert_eq!(schema["signature"]["inputs"][0]["name"], "features");
    assert_eq!(schema["json_schema"]["properties"]["inputs"]["minItems"], 0);
    let tensorflow = get(&world, &node, "/v1/models/fraud/metadata").await.to_string();
    assert!(tensorflow.contains("features") && !tensorflow.contains("\"x\""), "{tensorflow}");

    for (inputs, told) in [
        (
            json!([{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]),
            "expected `features`",
        ),
        (
            json!([{"name": "features", "shape": [1, 2], "datatype": "BYTES", "data": ["1", "a"]}]),
            "`a`, is no FP32",
        ),
    ] {
        let answer = ask(&world, &node, inputs).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
        assert!(answer.error().contains(told), "{}", answer.body);
    }
    let wanted = json!({"inputs": [{"name": "features", "shape": [1, 2], "datatype": "BYTES", "data": ["0", "0"]}],
                        "outputs": [{"name": "score"}]});
    let answer = send(&world, &node.state, infer(wanted.to_string())).await;
    assert_eq!(output(&answer)["data"], json!(["0", "0"]));
}

#[actix_web::test]
async fn every_protocol_leaves_out_what_has_a_default() {
    let (world, node) = plain(json!({"before": [
        {"default": {"column": "x", "value": [1, 2]}},
    ]}))
    .await;
    let answer = ask(&world, &node, json!([])).await;
    assert_eq!(output(&answer)["data"], json!([1.0, 2.0]));
    let post = |uri: &str, body: Value| TestRequest::post().uri(uri).set_json(body);
    let answer =
        send(&world, &node.state, post("/v1/models/fraud:predict", json!({"inputs": {}}))).await;
    assert_eq!(answer.body["outputs"], json!([[1.0, 2.0]]), "{}", answer.body);
}

/// A lookup by `user`, which the model knows nothing of.
fn lookup(server: &Server, more: Value) -> Value {
    let mut hook = json!({
        "url": format!("{}/lookup", server.url), "get": ["x"],
        "send": [{"name": "user", "datatype": "INT64", "shape": ["n"]}],
    });
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"http": hook})
}

fn users(users: &[i64]) -> Value {
    json!([{"name": "user", "shape": [users.len()], "datatype": "INT64", "data": users}])
}

#[actix_web::test]
async fn a_server_gives_columns_over_one_connection() {
    let server = Server::start();
    let (world, node) = plain(json!({"before": [lookup(&server, json!({}))]})).await;
    for user in 1..=20_i64 {
        let answer = ask(&world, &node, users(&[user, 7])).await;
        assert_eq!(output(&answer)["data"], json!([user as f64, user as f64 + 0.5, 7.0, 7.5]));
    }
    assert_eq!(server.connections(), 1);
    let asked = server.asked();
    assert_eq!(asked.len(), 20);
    assert_eq!(asked[0].1, json!({"inputs": users(&[1, 7])}));
    assert!(asked[0].0[0].starts_with("POST /lookup "), "{:?}", asked[0].0);
}

#[actix_web::test]
async fn a_server_that_does_not_answer_as_it_should_is_told_of_in_words() {
    let server = Server::start();
    let hooks = json!({"before": [lookup(&server, json!({"timeout": "300ms"}))]});
    let (world, node) = plain(hooks).await;
    let tensor = |name: &str, datatype: &str, shape: Value, data: Value| {
        json!({"outputs": [{"name": name, "datatype": datatype, "shape": shape, "data": data}]})
            .to_string()
    };
    let json = |body: String| Manner::With(200, "application/json", body);
    for (manner, status, told) in [
        (Manner::Late(Duration::from_secs(2)), 504, "did not answer in time"),
        (Manner::Gone, 502, "cannot be reached"),
        (
            Manner::With(500, "application/json", "{\"error\": \"no index\"}".to_owned()),
            502,
            "answers 500: no index",
        ),
        (Manner::With(404, "text/html", "<html>no</html>".to_owned()), 502, "answers 404"),
        (
            Manner::With(200, "text/html", "<html>welcome</html>".to_owned()),
            502,
            "`text/html`, and not JSON",
        ),
        (json("<html>welcome</html>".to_owned()), 502, "not JSON"),
        (json("{\"predictions\": []}".to_owned()), 502, "outputs"),
        (json(tensor("z", "FP32", json!([1, 2]), json!([1, 2]))), 502, "input `x` is missing"),
        (json(tensor("x", "INT64", json!([1, 2]), json!([1, 2]))), 502, "`x` has datatype INT64"),
        (
            json(tensor("x", "FP32", json!([2, 2]), json!([1, 2, 3, 4]))),
            502,
            "the 1 rows of the request",
        ),
        (json(" ".repeat(17 << 20)), 502, "more than 16777216 bytes"),
        (
            Manner::To("http://169.254.169.254/latest/meta-data".to_owned()),
            502,
            "a redirect: none is followed",
        ),
    ] {
        server.answers(manner.clone());
        let answer = ask(&world, &node, users(&[1])).await;
        assert_eq!(answer.status.as_u16(), status, "{manner:?}: {}", answer.body);
        let error = answer.error();
        assert!(
            error.contains(told) && error.contains("serving.hooks.before[0].http"),
            "{manner:?}: {error}"
        );
    }
    server.answers(Manner::Well);
    assert_eq!(output(&ask(&world, &node, users(&[1])).await)["data"], json!([1.0, 1.5]));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &node.registry).unwrap();
    for (outcome, count) in [("answered", 1), ("late", 1), ("failed", 11)] {
        let line =
            format!("bottega_lookup_total{{endpoint=\"fraud\",outcome=\"{outcome}\"}} {count}\n");
        assert!(text.contains(&line), "{outcome}: {text}");
    }
}

#[actix_web::test]
async fn a_request_goes_on_without_a_server_where_the_release_says_so() {
    let server = Server::start();
    let hooks = json!({"before": [
        lookup(&server, json!({"on_failure": "continue", "timeout": "200ms"})),
        {"default": {"column": "x", "value": [-1, -1]}},
    ]});
    let (world, node) = plain(hooks).await;
    assert_eq!(output(&ask(&world, &node, users(&[3])).await)["data"], json!([3.0, 3.5]));
    for manner in [
        Manner::Gone,
        Manner::Late(Duration::from_secs(2)),
        Manner::With(503, "text/plain", String::new()),
    ] {
        server.answers(manner);
        assert_eq!(output(&ask(&world, &node, users(&[3])).await)["data"], json!([-1.0, -1.0]));
    }
}

#[actix_web::test]
async fn a_server_where_none_may_be_is_not_asked() {
    let server = Server::start();
    let mut hook = lookup(&server, json!({}));
    let elsewhere = server.url.replace("127.0.0.1", "127.0.0.2");
    hook["http"]["url"] = json!(elsewhere);
    let (world, node) = plain(json!({"before": [hook]})).await;
    let answer = ask(&world, &node, users(&[1])).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.error().contains("is not public"), "{}", answer.body);
    assert_eq!(server.connections(), 0);
}

#[actix_web::test]
async fn a_credential_goes_to_its_own_server_alone() {
    let (server, other) = (Server::start(), Server::start());
    let headers = json!({"headers": {"authorization": {"credential": "features"}, "x-from": "us"}});
    let (world, node) = plain(json!({"before": [lookup(&server, headers)]})).await;
    let answer = ask(&world, &node, users(&[1])).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(answer.error().contains("the credential `features` is not there"), "{}", answer.body);

    let set = async |origin: &str| {
        let id = credentials::new_id();
        let sealed = vault().seal(id.as_bytes(), &"Bearer hush".to_owned().into()).unwrap();
        let new = credentials::New { id, name: "features", origin, sealed: &sealed };
        let mut change = Change::begin(&world.database).await.unwrap();
        if credentials::lock(&mut change, "features").await.unwrap().is_some() {
            credentials::delete(&mut change, "features").await.unwrap();
        }
        credentials::insert(&mut change, &new, &Actor::user("ana")).await.unwrap().unwrap();
        change.emit("credential.set", "*", &json!({})).await.unwrap();
        world.commit(change).await;
    };
    set(&server.url).await;
    until("the credential", async || {
        ask(&world, &node, users(&[1])).await.status == StatusCode::OK
    })
    .await;
    let (headers, _) = server.asked().pop().unwrap();
    assert!(headers.contains(&"authorization: Bearer hush".to_owned()), "{headers:?}");
    assert!(headers.contains(&"x-from: us".to_owned()), "{headers:?}");

    set(&other.url).await;
    until("the other", async || ask(&world, &node, users(&[1])).await.status != StatusCode::OK)
        .await;
    server.asked();
    let answer = ask(&world, &node, users(&[1])).await;
    assert!(answer.error().contains("is for another server"), "{}", answer.body);
    assert_eq!((server.asked().len(), other.connections()), (0, 0));
}

#[actix_web::test]
async fn what_is_captured_is_what_callers_send_and_get() {
    let server = Server::start();
    let heard = Arc::new(Heard::default());
    let hooks = json!({"before": [lookup(&server, json!({}))], "after": [{"mask": {"column": "y", "value": 0}}]});
    let (world, node) = serving(hooks, Arc::<Heard>::clone(&heard)).await;
    say(&world, 1.0, false).await;
    let named = |record: &Record| {
        let names = |tensors: &[domain::Tensor]| {
            tensors.iter().map(|it| it.name.clone()).collect::<Vec<_>>()
        };
        (names(&record.inputs), names(&record.outputs))
    };
    until("a row that is kept", async || {
        ask(&world, &node, users(&[5])).await;
        heard.0.lock().unwrap().iter().any(|record| record.keep)
    })
    .await;
    let records = heard.0.lock().unwrap();
    let kept = records.iter().find(|record| record.keep).unwrap();
    assert_eq!(named(kept), (vec!["user".to_owned()], vec!["y".to_owned()]));
    assert_eq!(kept.outputs[0].data, domain::TensorData::F32(vec![0.0, 0.0]));
}
