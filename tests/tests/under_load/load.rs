//! Callers who ask one endpoint, over HTTP and gRPC, until they are told to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bottega_tests::Server;
use protocol::v2::grpc::messages::{
    InferTensorContents, ModelInferRequest, ModelInferResponse,
    model_infer_request::InferInputTensor,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::{Request, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Callers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<Answer>>>,
}

/// A request that was answered.
pub struct Answer {
    pub begun: Instant,
    pub ended: Instant,
    /// By which version.
    pub version: i64,
}

impl Load {
    /// So many callers of `cancer` by each protocol, who wait so long after each answer.
    pub fn on(server: &Server, each: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = Vec::new();
        for _ in 0..each {
            let (http, stopped) = (Http::of(server), Arc::clone(&stop));
            callers.push(tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stopped.load(Relaxed) {
                    let begun = Instant::now();
                    let version = http.ask().await;
                    answers.push(Answer { begun, ended: Instant::now(), version });
                    tokio::time::sleep(pause).await;
                }
                answers
            }));
            let (address, token) = (server.grpc.clone(), server.token);
            let stopped = Arc::clone(&stop);
            callers.push(tokio::spawn(async move {
                let mut grpc = Grpc::to(&address, token).await;
                let mut answers = Vec::new();
                while !stopped.load(Relaxed) {
                    let begun = Instant::now();
                    let version = grpc.ask().await;
                    answers.push(Answer { begun, ended: Instant::now(), version });
                    tokio::time::sleep(pause).await;
                }
                answers
            }));
        }
        Self { stop, callers }
    }

    /// Stops the callers; what each was answered. Fails if one request failed.
    pub async fn stop(self) -> Vec<Vec<Answer>> {
        self.stop.store(true, Relaxed);
        let mut answers = Vec::new();
        for caller in self.callers {
            answers.push(caller.await.unwrap());
        }
        answers
    }
}

/// What they ask, as JSON.
pub fn request() -> Value {
    let data = vec![0.5; 30];
    json!({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 30], "data": data}]})
}

struct Http {
    client: reqwest::Client,
    url: String,
    token: &'static str,
    body: String,
}

impl Http {
    fn of(server: &Server) -> Self {
        let body = request().to_string();
        let url = format!("{}/v2/models/cancer/infer", server.url);
        Self { client: server.plain(), url, token: server.token, body }
    }

    async fn ask(&self) -> i64 {
        let request = self.client.post(&self.url).bearer_auth(self.token).body(self.body.clone());
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        assert_eq!(status, 200, "a request failed: {body}");
        body["model_version"].as_str().unwrap().parse().unwrap()
    }
}

struct Grpc {
    client: tonic::client::Grpc<Channel>,
    authorization: String,
    message: ModelInferRequest,
}

impl Grpc {
    async fn to(address: &str, token: &str) -> Self {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        let contents = InferTensorContents { fp32_contents: vec![0.5; 30], ..Default::default() };
        let input = InferInputTensor {
            name: "features".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 30],
            contents: Some(contents),
            ..Default::default()
        };
        let message = ModelInferRequest {
            model_name: "cancer".to_owned(),
            inputs: vec![input],
            ..Default::default()
        };
        Self {
            client: tonic::client::Grpc::new(channel.connect().await.unwrap()),
            authorization: format!("Bearer {token}"),
            message,
        }
    }

    async fn ask(&mut self) -> i64 {
        self.client.ready().await.unwrap();
        let mut request = Request::new(self.message.clone());
        request.metadata_mut().insert("authorization", self.authorization.parse().unwrap());
        let codec = ProstCodec::<ModelInferRequest, ModelInferResponse>::default();
        let answer = self.client.unary(request, PathAndQuery::from_static(INFER), codec).await;
        let answer = answer.unwrap_or_else(|status| panic!("a request failed: {status}"));
        answer.into_inner().model_version.parse().unwrap()
    }
}

/// How long the slowest took.
pub fn slowest(answers: &[Vec<Answer>]) -> Duration {
    let took = answers.iter().flatten().map(|answer| answer.ended - answer.begun);
    took.max().unwrap_or_default()
}
