//! Which version answers which request, and what happens beside the answer.

use actix_web::{http::StatusCode, test::TestRequest};
use gateway::Settings;
use serde_json::{Value, json};

use crate::{
    http::{Answer, infer, send},
    seed::{Node, World, until},
};

/// Answers what it is asked.
pub(crate) const IDENTITY: &str = "identity/fp32.onnx";
/// Answers twice that, after counting to it; fails where it is -2 or less.
pub(crate) const MOODY: &str = "moody.onnx";

/// A node that serves `fraud` in versions of these files and weights, numbered from 1.
async fn serving(split: &[(&str, i32)], serving: Value) -> (World, Node) {
    let world = World::new().await;
    let _deployer = world.deployer().await;
    let node = world.node_with("a", Settings::default(), world.test.url()).await;
    let mut versions = Vec::new();
    for (file, weight) in split {
        versions.push((world.version(file).await, *weight));
    }
    let split: Vec<_> = versions.iter().map(|(version, weight)| (version, *weight)).collect();
    world.deploy_with("fraud", &split, serving).await;
    until("the first answer", async || ask(&world, &node, 0.5, &[]).await.status == StatusCode::OK)
        .await;
    (world, node)
}

async fn ask(world: &World, node: &Node, x: f64, headers: &[(&str, &str)]) -> Answer {
    ask_at(world, node, "/v2/models/fraud/infer", x, headers).await
}

async fn ask_at(
    world: &World,
    node: &Node,
    path: &str,
    x: f64,
    headers: &[(&str, &str)],
) -> Answer {
    let body =
        json!({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [x, 0.0]}]});
    let mut request = infer(body.to_string()).uri(path);
    for (name, value) in headers {
        request = request.insert_header((*name, *value));
    }
    send(world, &node.state, request).await
}

/// The version that answered.
fn version(answer: &Answer) -> i32 {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.header("x-bottega-model-version").parse().unwrap()
}

/// A counter of the endpoint.
fn counted(node: &Node, name: &str, outcome: &str) -> u64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &node.registry).unwrap();
    let line = format!("{name}_total{{endpoint=\"fraud\",outcome=\"{outcome}\"}} ");
    text.lines().find_map(|it| it.strip_prefix(&line)).unwrap().parse().unwrap()
}

#[actix_web::test]
async fn the_same_key_gets_the_same_version_by_the_weights() {
    let sticky = json!({"routing": {"sticky": {"header": "X-User"}}});
    let (world, node) = serving(&[(IDENTITY, 50), (IDENTITY, 50)], sticky).await;
    let mut counts = [0; 3];
    for user in 0..60 {
        let user = [("x-user", &*user.to_string())];
        let first = version(&ask(&world, &node, 0.5, &user).await);
        for _ in 0..3 {
            assert_eq!(version(&ask(&world, &node, 1.5, &user).await), first);
        }
        counts[first as usize] += 1;
    }
    // Six times the standard deviation.
    assert!((7..=53).contains(&counts[1]), "{counts:?}");
    // Without a key each takes its turn.
    let mut counts = [0; 3];
    for headers in [&[][..], &[("x-user", "")]].iter().cycle().take(100) {
        counts[version(&ask(&world, &node, 0.5, headers).await) as usize] += 1;
    }
    assert_eq!(counts, [0, 50, 50]);
}

#[actix_web::test]
async fn the_first_row_of_an_input_is_a_key_in_every_protocol() {
    let sticky = json!({"routing": {"sticky": {"input": "x"}}});
    let (world, node) = serving(&[(IDENTITY, 50), (IDENTITY, 50)], sticky).await;
    let mut seen = [false; 3];
    for key in 0..24 {
        let key = f64::from(key);
        let answered = version(&ask(&world, &node, key, &[]).await);
        seen[answered as usize] = true;
        for (path, body) in [
            ("/v1/models/fraud:predict", json!({"instances": [[key, 0.0], [9.0, 9.0]]})),
            ("/serve/fraud/invocations", json!({"inputs": {"x": [[key, 0.0]]}})),
        ] {
            let request = TestRequest::post().uri(path).set_json(body);
            let answer = send(&world, &node.state, request).await;
            assert_eq!(version(&answer), answered, "{path} {key}");
        }
    }
    assert_eq!(seen, [false, true, true]);
}

#[actix_web::test]
async fn the_first_rule_that_matches_decides_unless_the_caller_insists() {
    let routing = json!({"routing": {"sticky": {"header": "x-user"}, "rules": [
        {"header": "x-beta", "equals": "yes", "version": 2},
        {"header": "x-client", "prefix": "ios/", "version": 3},
        {"header": "x-beta", "present": true, "version": 3},
    ]}});
    let (world, node) = serving(&[(IDENTITY, 100), (IDENTITY, 0), (IDENTITY, 0)], routing).await;
    for (headers, expected) in [
        (&[][..], 1),
        (&[("x-user", "ana")], 1),
        (&[("x-beta", "yes"), ("x-user", "ana")], 2),
        (&[("x-beta", "yes"), ("x-client", "ios/17")], 2),
        (&[("x-client", "ios/17")], 3),
        (&[("x-client", "android/ios/17")], 1),
        (&[("x-beta", "no")], 3),
    ] {
        assert_eq!(version(&ask(&world, &node, 0.5, headers).await), expected, "{headers:?}");
    }
    let path = "/v2/models/fraud/versions/1/infer";
    let insisting = ask_at(&world, &node, path, 0.5, &[("x-beta", "yes")]).await;
    assert_eq!(version(&insisting), 1);
}

#[actix_web::test]
async fn the_fallback_answers_where_the_picked_version_fails() {
    let routing = json!({"routing": {"fallback": {"version": 2}}});
    let (world, node) = serving(&[(MOODY, 100), (IDENTITY, 0)], routing).await;
    let answer = ask(&world, &node, 0.5, &[]).await;
    assert_eq!((version(&answer), &answer.body["model_version"]), (1, &json!("1")));
    let answer = ask(&world, &node, -3.0, &[]).await;
    assert_eq!((version(&answer), &answer.body["model_version"]), (2, &json!("2")));
    assert_eq!(answer.body["outputs"][0]["data"], json!([-3.0, 0.0]));
    assert_eq!(counted(&node, "bottega_fallback", "answered"), 1);
    // Who insists gets what they insist on, and what is wrong with the request is nobody else's to answer.
    let insisting = ask_at(&world, &node, "/v2/models/fraud/versions/1/infer", -3.0, &[]).await;
    assert_eq!(insisting.status, StatusCode::BAD_REQUEST);
    assert!(insisting.error().contains("the model failed"), "{}", insisting.body);
    let wrong = send(&world, &node.state, infer("{}")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(counted(&node, "bottega_fallback", "answered"), 1);
    assert_eq!(counted(&node, "bottega_fallback", "failed"), 0);
    // Both versions tell what they did.
    let stats = send(&world, &node.state, TestRequest::get().uri("/v2/models/fraud/stats")).await;
    let ended = |at: usize, how: &str| {
        let of = &stats.body["model_stats"][at]["inference_stats"][how]["count"];
        of.as_u64().unwrap()
    };
    assert_eq!((ended(1, "success"), ended(1, "fail")), (1, 0));
    assert!(ended(0, "fail") >= 2, "{}", stats.body);
}

#[actix_web::test]
async fn the_fallback_fails_as_the_picked_version_did() {
    let routing = json!({"routing": {"fallback": {"version": 2}}});
    let (world, node) = serving(&[(MOODY, 100), (MOODY, 0)], routing).await;
    let answer = ask(&world, &node, -3.0, &[]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.error().contains("the model failed"), "{}", answer.body);
    assert_eq!(counted(&node, "bottega_fallback", "failed"), 1);
}

#[actix_web::test]
async fn a_version_that_takes_too_long_is_ended_or_replaced() {
    let forever = 1e12;
    let timeout = json!({"timeout": "300ms"});
    let (world, node) = serving(&[(MOODY, 100)], timeout).await;
    let answer = ask(&world, &node, forever, &[]).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.body);

    let routing = json!({"routing": {"fallback": {"version": 2, "after": "200ms"}}});
    let (world, node) = serving(&[(MOODY, 100), (IDENTITY, 0)], routing).await;
    assert_eq!(version(&ask(&world, &node, forever, &[]).await), 2);
    assert_eq!(counted(&node, "bottega_fallback", "answered"), 1);
}

#[actix_web::test]
async fn a_shadow_is_compared_and_never_answers() {
    let routing = json!({"routing": {"shadow": {"version": 2}}});
    let (world, node) = serving(&[(IDENTITY, 100), (MOODY, 0)], routing).await;
    let outcomes =
        || ["equal", "differs", "failed", "dropped"].map(|it| counted(&node, "bottega_shadow", it));
    // What was asked until it answered is over: a doubled half is another number.
    let settled = async || outcomes()[1] > 0;
    until("the first copy", settled).await;
    let [equal, differs, failed, _] = outcomes();
    for (x, expected) in [
        (0.0, [equal + 1, differs, failed]),
        (1.0, [equal + 1, differs + 1, failed]),
        (-3.0, [equal + 1, differs + 1, failed + 1]),
    ] {
        let answer = ask(&world, &node, x, &[]).await;
        assert_eq!(version(&answer), 1);
        assert_eq!(answer.body["outputs"][0]["data"], json!([x, 0.0]));
        until("the comparison", async || outcomes()[..3] == expected).await;
    }
    // Nobody pays for copies, and statistics tell of answers.
    let stats = send(&world, &node.state, TestRequest::get().uri("/v2/models/fraud/stats")).await;
    assert_eq!(stats.body["model_stats"][1]["inference_count"], 0, "{}", stats.body);
    let insisting = ask_at(&world, &node, "/v2/models/fraud/versions/1/infer", 0.0, &[]).await;
    assert_eq!(version(&insisting), 1);
    assert_eq!(outcomes()[..3], [equal + 1, differs + 1, failed + 1]);
}

#[actix_web::test]
async fn a_shadow_that_hangs_holds_nobody_up() {
    let routing = json!({"timeout": "2s", "routing": {"shadow": {"version": 2}}});
    let (world, node) = serving(&[(IDENTITY, 100), (MOODY, 0)], routing).await;
    // The shadow counts to that until it is stopped; copies that find no room are dropped.
    let dropped = async || {
        assert_eq!(version(&ask(&world, &node, 1e12, &[]).await), 1);
        counted(&node, "bottega_shadow", "dropped") > 0
    };
    until("a copy without room", dropped).await;
    assert_eq!(counted(&node, "bottega_shadow", "equal"), 0);
}

#[actix_web::test]
async fn labels_are_the_aliases_whose_versions_are_served() {
    let (world, node) = serving(&[(IDENTITY, 100), (MOODY, 0)], json!({})).await;
    let name = "fraud".parse().unwrap();
    let numbered = async |number: i32| {
        store::versions::get(&world.database, &name, number).await.unwrap().unwrap()
    };
    let (one, two) = (numbered(1).await, numbered(2).await);
    world.alias("champion", &one).await;
    world.alias("challenger", &two).await;
    let predict = async |label: &str| {
        let path = format!("/v1/models/fraud/labels/{label}:predict");
        let request = TestRequest::post().uri(&path).set_json(json!({"instances": [[1.0, 0.0]]}));
        send(&world, &node.state, request).await
    };
    let known = async || predict("challenger").await.status == StatusCode::OK;
    until("the aliases", known).await;
    assert_eq!(version(&predict("champion").await), 1);
    assert_eq!(version(&predict("challenger").await), 2);
    let status = TestRequest::get().uri("/v1/models/fraud/labels/challenger");
    let status = send(&world, &node.state, status).await;
    assert_eq!(status.body["model_version_status"][0]["version"], "2");
    let metadata = TestRequest::get().uri("/v1/models/fraud/labels/challenger/metadata");
    assert_eq!(send(&world, &node.state, metadata).await.body["model_spec"]["version"], "2");
    let absent = predict("nobody").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert!(absent.error().contains("no label `nobody`"), "{}", absent.body);

    // An alias that moves to a version that is not served leads nowhere.
    let three = world.version(IDENTITY).await;
    world.alias("challenger", &three).await;
    let refused = async || predict("challenger").await.status == StatusCode::NOT_FOUND;
    until("the alias's move", refused).await;
    assert!(predict("challenger").await.error().contains("serves version 1, 2 now"));
    // Where a release brings that version, callers by the label notice nothing but the other version.
    world.deploy("fraud", &three).await;
    world.alias("champion", &three).await;
    world.alias("seen", &two).await;
    until("a look at the aliases", async || predict("seen").await.status == StatusCode::OK).await;
    assert_eq!(version(&predict("champion").await), 1);
    let _deployer = world.deployer().await;
    until("the next release", async || version(&predict("champion").await) == 3).await;
}
