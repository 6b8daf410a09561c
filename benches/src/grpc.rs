//! Predictions over gRPC, against a bare tonic server that does no more than answer them: the same model,
//! the same inference threads as the [reference](crate::reference) has.

mod load;

use std::{
    convert::Infallible,
    io::Write as _,
    task::{Context, Poll},
};

use bytes::Bytes;
use crossbeam_channel::Sender;
use protocol::v2::grpc::messages::{
    ModelInferRequest, ModelInferResponse, model_infer_request::InferInputTensor,
    model_infer_response::InferOutputTensor,
};
use tokio::{net::TcpListener, sync::oneshot};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

pub use self::load::{ByOne, Target};
use crate::{
    Result, compare,
    platform::{Child, Platform},
    reference::{Input, Job, threads},
    repository,
};

const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

/// The bare server; takes whatever is called for a prediction.
#[derive(Clone)]
struct Bare(Sender<Job>);

impl NamedService for Bare {
    const NAME: &'static str = "inference.GRPCInferenceService";
}

impl Service<http::Request<Body>> for Bare {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let bare = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<ModelInferResponse, ModelInferRequest>::default();
            Ok(tonic::server::Grpc::new(codec).unary(bare, request).await)
        })
    }
}

impl UnaryService<ModelInferRequest> for Bare {
    type Response = ModelInferResponse;
    type Future = BoxFuture<Response<ModelInferResponse>, Status>;

    fn call(&mut self, request: Request<ModelInferRequest>) -> Self::Future {
        let Self(jobs) = self.clone();
        Box::pin(async move {
            let request = request.into_inner();
            let (Some(input), Some(raw)) =
                (request.inputs.first(), request.raw_input_contents.first())
            else {
                return Err(Status::invalid_argument("no raw input"));
            };
            let data = raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            let shape = input.shape.iter().map(|&size| size as usize).collect();
            let (answer, answered) = oneshot::channel();
            jobs.try_send(Job { rows: Input { shape, data }, answer })
                .map_err(|_| Status::unavailable("busy"))?;
            let (labels, scores) = answered.await.map_err(|_| Status::internal("no answer"))?;
            Ok(Response::new(answer_of(&labels, &scores)))
        })
    }
}

fn answer_of(labels: &[i64], scores: &[f32]) -> ModelInferResponse {
    let (rows, classes) = (labels.len(), scores.len() / labels.len().max(1));
    let output = |name: &str, datatype: &str, width: usize| InferOutputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: vec![rows as i64, width as i64],
        ..InferOutputTensor::default()
    };
    let labels: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
    let scores: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
    ModelInferResponse {
        model_name: "model".to_owned(),
        outputs: vec![output("label", "INT64", 1), output("probabilities", "FP32", classes)],
        raw_output_contents: vec![labels.into(), scores.into()],
        ..ModelInferResponse::default()
    }
}

/// Serves the model on a free port, which it prints as the other reference does.
pub fn serve(model: &str, count: &str) -> Result<()> {
    let jobs = threads(model, count)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "ready http://{address}")?;
        out.flush()?;
        drop(out);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Ok(Server::builder().add_service(Bare(jobs)).serve_with_incoming(incoming).await?)
    })
}

/// The figures: one row.
pub fn run() -> Result<()> {
    let model = repository("tests/models/data/breast_cancer.onnx");
    let platform = Platform::start()?;
    platform.deploy(&model, "cancer")?;
    let reference = Child::grpc_reference(&model, 1)?;
    let example = repository("tests/models/data/breast_cancer.example.json");
    let requests = requests(&example, "cancer", 1)?;
    let (bare, ours) = (Target::new(&reference.address, None, &requests)?, platform.grpc()?);
    let ours = Target::new(&ours, Some(&platform.authorization()), &requests)?;
    anstream::println!(
        "predictions: one row, gRPC with raw tensors, logistic regression (requests/s; p50 / p99 in ms)"
    );
    compare((&reference, &bare), (&platform, &ours), &[1, 16, 64])?;
    compare((&reference, &ByOne(bare)), (&platform, &ByOne(ours)), &[16, 64])
}

/// Requests of so many rows of an example each.
pub fn requests(
    example: &std::path::Path,
    model: &str,
    rows: usize,
) -> Result<Vec<ModelInferRequest>> {
    let bodies = crate::load::binary_bodies(example, rows)?;
    let request = |(json, tensors): &(String, Vec<u8>)| -> Result<ModelInferRequest> {
        let json: serde_json::Value = serde_json::from_str(json)?;
        let input = &json["inputs"][0];
        let text = |key: &str| input[key].as_str().unwrap_or_default().to_owned();
        let shape = input["shape"].as_array().into_iter().flatten().filter_map(|it| it.as_i64());
        Ok(ModelInferRequest {
            model_name: model.to_owned(),
            inputs: vec![InferInputTensor {
                name: text("name"),
                datatype: text("datatype"),
                shape: shape.collect(),
                ..InferInputTensor::default()
            }],
            raw_input_contents: vec![Bytes::copy_from_slice(tensors)],
            ..ModelInferRequest::default()
        })
    };
    bodies.iter().map(request).collect()
}
