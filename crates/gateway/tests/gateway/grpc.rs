//! The Open Inference Protocol over gRPC.

use std::{future::poll_fn, pin::Pin};

use protocol::v2::grpc::messages::{
    InferTensorContents, ModelInferRequest, ModelMetadataRequest, ModelReadyRequest,
    ServerLiveRequest, ServerMetadataRequest, ServerReadyRequest,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Code, Request,
    body::Body,
    codec::CompressionEncoding::{Deflate, Gzip},
    codegen::{Body as _, Service as _, http},
    transport::Channel,
};

use self::generated::grpc_inference_service_client::GrpcInferenceServiceClient;
use crate::seed::{Node, TOKEN, World, until};

mod generated {
    tonic::include_proto!("inference");
}

type Client = GrpcInferenceServiceClient<Channel>;

/// A node that serves one version as `fraud`, and a client of it.
async fn serving(world: &World, limit: usize) -> (Node, Client, DropGuard) {
    let (node, channel, guard) = listening(world, "identity/fp32.onnx", limit).await;
    // As much as any test sends or is answered.
    let client = Client::new(channel).max_decoding_message_size(32 << 20);
    (node, client.max_encoding_message_size(32 << 20), guard)
}

/// The same, and a connection to it.
async fn listening(world: &World, file: &str, limit: usize) -> (Node, Channel, DropGuard) {
    let deployer = world.deployer().await;
    let version = world.version(file).await;
    world.deploy("fraud", &version).await;
    let settings = gateway::Settings { body_limit: limit, ..gateway::Settings::default() };
    let node = world.node_with("a", settings, world.test.url()).await;
    until("the endpoint", async || world.ask(&node, "fraud").await.is_ok()).await;
    drop(deployer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(gateway::grpc::serve(listener, node.state.clone(), stop.clone()));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    (node, channel.connect().await.unwrap(), stop.drop_guard())
}

/// With the token.
fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {TOKEN}").parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

fn infer(values: &[f32]) -> ModelInferRequest {
    let contents = InferTensorContents { fp32_contents: values.to_vec(), ..Default::default() };
    ModelInferRequest {
        model_name: "fraud".to_owned(),
        id: "mine".to_owned(),
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![(values.len() / 2) as i64, 2],
            contents: Some(contents),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_answers_and_says_which_it_is() {
    let world = World::new().await;
    let (_node, mut client, _serving) = serving(&world, 1 << 20).await;
    let mut request = signed(infer(&[0.5, f32::NAN]));
    request.metadata_mut().insert("x-request-id", "r1".parse().unwrap());
    let answer = client.model_infer(request).await.unwrap();
    let metadata = answer.metadata().clone();
    let header = |name: &str| metadata.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("x-request-id"), "r1");
    assert_eq!(header("x-bottega-inference-id"), "mine");
    assert_eq!(header("x-bottega-model"), "fraud");
    assert_eq!(header("x-bottega-model-version"), "1");
    assert!(header("x-bottega-model-digest").starts_with("sha256:"));
    let answer = answer.into_inner();
    assert_eq!((answer.model_name.as_str(), answer.model_version.as_str()), ("fraud", "1"));
    assert_eq!(answer.id, "mine");
    let values = &answer.outputs[0].contents.as_ref().unwrap().fp32_contents;
    assert!(values[0] == 0.5 && values[1].is_nan());
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_tensors_are_answered_raw() {
    let world = World::new().await;
    let (_node, mut client, _serving) = serving(&world, 1 << 20).await;
    let mut request = infer(&[1.0, 2.0]);
    let raw: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    request.inputs[0].contents = None;
    request.raw_input_contents = vec![raw.clone().into()];
    let answer = client.model_infer(signed(request)).await.unwrap().into_inner();
    assert_eq!(answer.raw_output_contents, [raw]);
    assert!(answer.outputs[0].contents.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoints_own_limit_holds_for_each_message() {
    let world = World::new().await;
    let (_node, mut client, _serving) = serving(&world, 1 << 20).await;
    let version = world.version("identity/fp32.onnx").await;
    let deployer = world.deployer().await;
    world.deploy_with("small", &[(&version, 100)], json!({"body_limit": "5KiB"})).await;
    let mut ask = async |endpoint: &str, values: usize| {
        let mut request = infer(&vec![0.5; values]);
        request.model_name = endpoint.to_owned();
        client.model_infer(signed(request)).await
    };
    while let Err(early) = ask("small", 2).await {
        assert!([Code::NotFound, Code::Unavailable].contains(&early.code()), "{early}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(deployer);
    let refused = ask("small", 1400).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("larger than 5120 bytes"), "{}", refused.message());
    assert!(ask("small", 1200).await.is_ok());
    assert!(ask("fraud", 1400).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_code_that_clients_know() {
    let world = World::new().await;
    let (_node, mut client, _serving) = serving(&world, 1000).await;
    let refused = client.model_infer(infer(&[0.5, 1.0])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("Authorization: Bearer"), "{}", refused.message());
    assert!(refused.metadata().contains_key("x-request-id"));
    let with = |change: fn(&mut ModelInferRequest)| {
        let mut request = infer(&[0.5, 1.0]);
        change(&mut request);
        signed(request)
    };
    for (request, code, message) in [
        (
            with(|request| request.model_name = "nothing".to_owned()),
            Code::NotFound,
            "there is no endpoint `nothing`",
        ),
        (
            with(|request| request.model_version = "2".to_owned()),
            Code::NotFound,
            "there is no version `2`",
        ),
        (
            with(|request| request.inputs[0].name = "z".to_owned()),
            Code::InvalidArgument,
            "input `x` is missing",
        ),
        (signed(infer(&[0.0; 1000])), Code::OutOfRange, "1000 bytes"),
    ] {
        let refused = client.model_infer(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{}", refused.message());
        assert!(refused.message().contains(message), "{}", refused.message());
    }
    assert!(
        client.model_infer(with(|request| request.model_version = "1".to_owned())).await.is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_packs_requests_gets_packed_answers_and_who_does_not_does_not() {
    let world = World::new().await;
    let (_node, client, _serving) = serving(&world, 1 << 20).await;
    let reading = client.clone().accept_compressed(Gzip).accept_compressed(Deflate);
    for (mut client, wanted) in [
        (client, None),
        (reading.clone(), None),
        (reading.clone().send_compressed(Gzip), Some("gzip")),
        (reading.send_compressed(Deflate), Some("gzip")),
    ] {
        let answer = client.model_infer(signed(infer(&[0.5, 1.0]))).await.unwrap();
        let packing = answer.metadata().get("grpc-encoding").map(|it| it.to_str().unwrap());
        assert_eq!(packing, wanted);
        let answer = answer.into_inner();
        assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, [0.5, 1.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_message_is_unpacked_up_to_the_limit_and_no_further() {
    let world = World::new().await;
    let (_node, client, _serving) = serving(&world, 100_000).await;
    for encoding in [Gzip, Deflate] {
        let mut client = client.clone().send_compressed(encoding);
        assert!(client.model_infer(signed(infer(&[0.0; 20_000]))).await.is_ok());
        let refused = client.model_infer(signed(infer(&[0.0; 1_000_000]))).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{}", refused.message());
        assert!(refused.message().contains("100000 bytes"), "{}", refused.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_what_it_says_is_the_callers_fault() {
    let world = World::new().await;
    let (_node, mut channel, _serving) = listening(&world, "identity/fp32.onnx", 100_000).await;
    for (method, encoding, prefix, wanted) in [
        ("ModelInfer", "gzip", '\u{1}', "3"),
        ("ModelInfer", "deflate", '\u{1}', "3"),
        ("ModelInfer", "br", '\u{1}', "12"),
        ("ModelInfer", "identity", '\0', "3"),
        ("ModelStreamInfer", "identity", '\0', "3"),
    ] {
        let request =
            http::Request::post(format!("http://x/inference.GRPCInferenceService/{method}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("authorization", format!("Bearer {TOKEN}"))
                .header("grpc-encoding", encoding)
                .body(Body::new(format!("{prefix}\0\0\0\u{4}junk")))
                .unwrap();
        poll_fn(|context| channel.poll_ready(context)).await.unwrap();
        let answer = channel.call(request).await.unwrap();
        let (head, mut body) = answer.into_parts();
        // Where an answer has begun, how it ends stands behind it.
        let mut headers = head.headers;
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            headers.extend(frame.unwrap().into_trailers().unwrap_or_default());
        }
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("grpc-status"), wanted, "{encoding}: {}", header("grpc-message"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_and_endpoint_describe_themselves() {
    let world = World::new().await;
    let (_node, mut client, _serving) = serving(&world, 1 << 20).await;
    assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let refused = client.server_metadata(ServerMetadataRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let server = client.server_metadata(signed(ServerMetadataRequest {})).await.unwrap();
    assert_eq!(server.into_inner().name, "bottega");
    let name = || "fraud".to_owned();
    let asked = ModelMetadataRequest { name: name(), version: String::new() };
    let endpoint = client.model_metadata(signed(asked)).await.unwrap().into_inner();
    assert_eq!(
        (endpoint.versions, endpoint.inputs[0].shape.clone()),
        (vec!["1".to_owned()], vec![-1, 2])
    );
    let asked = ModelReadyRequest { name: name(), version: "1".to_owned() };
    assert!(client.model_ready(signed(asked)).await.unwrap().into_inner().ready);
    let absent = ModelReadyRequest { name: name(), version: "7".to_owned() };
    assert_eq!(client.model_ready(signed(absent)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_without_a_version_is_not_ready() {
    let world = World::new().await;
    let (node, mut client, _serving) = serving(&world, 1 << 20).await;
    let version = world.version("identity/fp32.onnx").await;
    world.deploy("new", &version).await;
    // No deployer runs, so its release stays on its way.
    let known = async || {
        world
            .ask(&node, "new")
            .await
            .is_err_and(|refused| refused.code == domain::ErrorCode::Unavailable)
    };
    until("the endpoint", known).await;
    let asked = ModelReadyRequest { name: "new".to_owned(), version: String::new() };
    assert!(!client.model_ready(signed(asked)).await.unwrap().into_inner().ready);
}

/// A request whose one input has this type and shape, and these bytes.
fn raw(datatype: &str, shape: &[i64], bytes: &[u8]) -> ModelInferRequest {
    let mut request = infer(&[]);
    request.inputs[0] = InferInputTensor {
        name: "x".to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..Default::default()
    };
    request.raw_input_contents = vec![bytes.to_vec().into()];
    request
}

fn changed(change: impl FnOnce(&mut ModelInferRequest)) -> ModelInferRequest {
    let mut request = infer(&[0.5, 1.0]);
    change(&mut request);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_with_its_place() {
    let world = World::new().await;
    let (_node, mut client, _serving) = serving(&world, 1 << 20).await;
    let more = |name: &str| {
        changed(|request| {
            let mut input = request.inputs[0].clone();
            input.name = name.to_owned();
            request.inputs.push(input);
        })
    };
    let cases: Vec<(&str, ModelInferRequest, &str)> = vec![
        ("missing", changed(|it| it.inputs.clear()), "input `x` is missing"),
        ("extra", more("y"), "no input `y`"),
        ("twice", more("x"), "`x` stands twice"),
        (
            "no such type",
            changed(|it| it.inputs[0].datatype = "FLOAT".into()),
            "inputs[0].datatype",
        ),
        ("another type", raw("FP64", &[1, 2], &[0; 16]), "expects FP32"),
        (
            "another field",
            changed(|it| {
                let contents = it.inputs[0].contents.as_mut().unwrap();
                contents.int_contents = vec![1];
            }),
            "inputs[0].contents",
        ),
        ("too wide", raw("FP32", &[1, 3], &[0; 12]), "[1, 3]"),
        ("ragged", changed(|it| it.inputs[0].shape = vec![2, 2]), "2 elements"),
        ("a negative size", changed(|it| it.inputs[0].shape = vec![-1, 2]), "size of -1"),
        ("too large a product", raw("FP32", &[1 << 62, 8], &[0; 8]), "raw_input_contents[0]"),
        ("a lying shape", raw("FP32", &[1_000_000_000, 2], &[0; 8]), "raw_input_contents[0]"),
        ("bytes behind", raw("FP32", &[1, 2], &[0; 9]), "raw_input_contents[0]"),
        ("too few bytes", raw("FP32", &[1, 2], &[0; 7]), "raw_input_contents[0]"),
        (
            "more contents than inputs",
            changed(|it| it.raw_input_contents = vec![bytes::Bytes::new(); 2]),
            "2 entries for 1 inputs",
        ),
        (
            "no such output",
            changed(|it| {
                it.outputs =
                    vec![InferRequestedOutputTensor { name: "z".into(), ..Default::default() }];
            }),
            "no output `z`",
        ),
    ];
    for (what, request, words) in cases {
        let refused = client.model_infer(signed(request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {}", refused.message());
        assert!(refused.message().contains(words), "{what}: {}", refused.message());
    }
    // What JSON has not, and no rows at all.
    let special = raw("FP32", &[1, 2], &[[0, 0, 0x80, 0x7f], [0, 0, 0xc0, 0x7f]].concat());
    let answer = client.model_infer(signed(special)).await.unwrap().into_inner();
    assert_eq!(answer.raw_output_contents[0][..4], f32::INFINITY.to_le_bytes());
    let answer = client.model_infer(signed(raw("FP32", &[0, 2], &[]))).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].shape, [0, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_rows_are_answered_and_texts_must_be_texts() {
    let world = World::new().await;
    let (_node, mut client, _serving) = serving(&world, 16 << 20).await;
    let million = raw("FP32", &[1_000_000, 2], &vec![0; 8_000_000]);
    let answer = client.model_infer(signed(million)).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].shape, [1_000_000, 2]);
    let world = World::new().await;
    let (_node, channel, _serving) = listening(&world, "identity/bytes.onnx", 1 << 20).await;
    let mut client = Client::new(channel);
    for (bytes, words) in [
        (&b"\x01\0\0\0\xff\x01\0\0\0a"[..], "not UTF-8"),
        (b"\xff\xff\xff\xffabcdef", "raw_input_contents[0]"),
        (b"\x06\0\0\0abcdef", "raw_input_contents[0]"),
    ] {
        let refused = client.model_infer(signed(raw("BYTES", &[1, 2], bytes))).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{}", refused.message());
        assert!(refused.message().contains(words), "{}", refused.message());
    }
}
