//! The Open Inference Protocol over gRPC.

use protocol::v2::grpc::messages::{
    InferTensorContents, ModelInferRequest, ModelMetadataRequest, ModelReadyRequest,
    ServerLiveRequest, ServerMetadataRequest, ServerReadyRequest,
    model_infer_request::InferInputTensor,
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Request, transport::Channel};

use self::generated::grpc_inference_service_client::GrpcInferenceServiceClient;
use crate::seed::{Node, TOKEN, World, until};

mod generated {
    tonic::include_proto!("inference");
}

type Client = GrpcInferenceServiceClient<Channel>;

/// A node that serves one version as `fraud`, and a client of it.
async fn serving(world: &World, limit: usize) -> (Node, Client, DropGuard) {
    let deployer = world.deployer().await;
    let version = world.version("identity/fp32.onnx").await;
    world.deploy("fraud", &version).await;
    let settings = gateway::Settings { body_limit: limit, ..gateway::Settings::default() };
    let node = world.node_with("a", settings, world.test.url()).await;
    until("the endpoint", async || world.ask(&node, "fraud").await.is_ok()).await;
    drop(deployer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(gateway::grpc::serve(listener, node.state.clone(), stop.clone()));
    let client = Client::connect(format!("http://{address}")).await.unwrap();
    (node, client, stop.drop_guard())
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
