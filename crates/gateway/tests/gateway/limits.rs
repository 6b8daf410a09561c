//! What an endpoint's requests may take, as its release says.

use std::time::Duration;

use actix_web::{http::StatusCode, test::TestRequest};
use flate2::{Compression, write::GzEncoder};
use gateway::Settings;
use serde_json::{Value, json};

use crate::{
    hostile::{ALL, refused, rows},
    http::{Answer, first_of_a_crowd, infer, send},
    seed::{Node, World, until},
};

/// A node that serves a version of this file as `fraud`, whose release says so.
async fn serving(file: &str, limits: Value, settings: Settings) -> (World, Node) {
    let world = World::new().await;
    let deployer = world.deployer().await;
    let node = world.node_with("a", settings, world.test.url()).await;
    let version = world.version(file).await;
    world.deploy_with("fraud", &[(&version, 100)], limits).await;
    let ready = || TestRequest::get().uri("/v2/models/fraud/ready");
    until("the endpoint", async || {
        send(&world, &node.state, ready()).await.status == StatusCode::OK
    })
    .await;
    drop(deployer);
    (world, node)
}

#[actix_web::test]
async fn an_endpoints_own_limit_of_bodies_holds_in_each_protocol() {
    let limits = json!({"body_limit": "5KiB"});
    let (world, node) = serving("identity/fp32.onnx", limits, Settings::default()).await;
    let ask = async |path: &str, length: usize, packed: bool, says: bool| -> Answer {
        let mut body = rows(path, "[1,2]", "[[1,2]]").into_bytes();
        body.resize(length, b' ');
        let mut request = TestRequest::post().uri(path);
        request = request.insert_header(("content-type", "application/json"));
        if packed {
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            std::io::Write::write_all(&mut packer, &body).unwrap();
            body = packer.finish().unwrap();
            request = request.insert_header(("content-encoding", "gzip"));
        }
        if says {
            request = request.insert_header(("content-length", body.len()));
        }
        send(&world, &node.state, request.set_payload(body)).await
    };
    for path in ALL {
        for (packed, says) in [(false, false), (false, true), (true, false), (true, true)] {
            let fits = ask(path, 5 << 10, packed, says).await;
            assert_eq!(fits.status, 200, "{path}: {}", fits.body);
            let answer = ask(path, (5 << 10) + 1, packed, says).await;
            let text = refused(path, "too long", &answer, 413);
            assert!(text.contains("the body is larger than 5120 bytes"), "{path}: {text}");
        }
    }
}

#[actix_web::test]
async fn a_node_keeps_to_its_own_limit_where_a_release_allows_more() {
    let settings = Settings { body_limit: 1 << 20, ..Settings::default() };
    let (world, node) =
        serving("identity/fp32.onnx", json!({"body_limit": "2MiB"}), settings).await;
    let answer = send(&world, &node.state, infer(vec![b' '; (1 << 20) + 1])).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.error().contains("1048576 bytes"), "{}", answer.body);
}

#[actix_web::test]
async fn no_more_wait_for_an_endpoint_than_its_release_allows() {
    let deadline = Duration::from_secs(10);
    let settings = Settings { deadline, ..Settings::default() };
    let (world, node) = serving("slow.onnx", json!({"max_queue": 1}), settings).await;
    let answer = first_of_a_crowd(&world, &node).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    assert!(answer.error().starts_with("too many requests wait for this model on this node"));
}
