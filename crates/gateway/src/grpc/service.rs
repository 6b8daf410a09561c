//! The six calls. Each converts, asks what HTTP asks too, and converts back.

use std::net::IpAddr;

use auth::{Caller, Permit, Verb, verbs};
use domain::{ErrorCode, Problem, RequestId};
use prost::Message as _;
use protocol::v2::grpc::{
    Contents, decode, encode,
    messages::{
        ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
        ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse,
        ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    },
};
use tonic::{
    Request, Response, Status,
    metadata::{MetadataKey, MetadataMap, MetadataValue},
};

use super::{generated::grpc_inference_service_server::GrpcInferenceService, status::status};
use crate::{
    State,
    admission::admit,
    identity::{ASKED_ID, inference_id},
    metadata,
    predict::{predict, served},
};

const REQUEST_ID: &str = "x-request-id";

pub(super) struct Service {
    state: State,
}

/// A call under way: who calls is known, and every answer will carry the call's id.
struct Call<'a> {
    state: &'a State,
    method: &'static str,
    id: RequestId,
    caller: Result<Caller, Problem>,
}

impl Service {
    pub(super) fn new(state: State) -> Self {
        Self { state }
    }

    async fn call<T>(&self, method: &'static str, request: &Request<T>) -> Call<'_> {
        let id = text(request.metadata(), REQUEST_ID).and_then(RequestId::from_caller);
        let id = id.unwrap_or_default();
        let address = request.remote_addr().map(|address| address.ip());
        let caller = self.caller(request.metadata(), address, id.clone()).await;
        Call { state: &self.state, method, id, caller }
    }

    async fn caller(
        &self,
        metadata: &MetadataMap,
        address: Option<IpAddr>,
        id: RequestId,
    ) -> Result<Caller, Problem> {
        let given = &self.state.given;
        let header = text(metadata, "authorization");
        let identity = given.authenticator.identify(header, address).await?.settled()?;
        given.limiter.admit(&identity.actor).await?;
        let caller = Caller::new(identity, address, id);
        match text(metadata, "x-bottega-on-behalf-of") {
            Some(for_whom) => caller.speaking_for(&given.access, for_whom).await,
            None => Ok(caller),
        }
    }
}

fn text<'a>(metadata: &'a MetadataMap, name: &'static str) -> Option<&'a str> {
    metadata.get(name).and_then(|value| value.to_str().ok())
}

impl Call<'_> {
    fn permit<V: Verb>(&self, endpoint: String) -> Result<Permit<V>, Problem> {
        admit(self.state, &self.caller.clone()?, endpoint)
    }

    /// Signs the answer with the call's id, and logs it.
    fn answer<T>(&self, result: Result<Response<T>, Problem>) -> Result<Response<T>, Status> {
        let (method, request_id) = (self.method, self.id.as_str());
        let mut answer = match result {
            Ok(answer) => {
                tracing::debug!(target: "request", method, request_id, "answered");
                Ok(answer)
            }
            Err(problem) => {
                let code = problem.code.as_str();
                match problem.code {
                    ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::Timeout => {
                        tracing::error!(target: "request", method, request_id, code, error = %problem, "answered");
                    }
                    ErrorCode::Unauthenticated
                    | ErrorCode::Forbidden
                    | ErrorCode::NotFound
                    | ErrorCode::Conflict
                    | ErrorCode::Invalid
                    | ErrorCode::TooLarge
                    | ErrorCode::GateRefused
                    | ErrorCode::QuotaExceeded
                    | ErrorCode::RateLimited => {
                        tracing::info!(target: "request", method, request_id, code, "answered");
                    }
                }
                let mut status = status(&problem);
                for (name, value) in rest::quota_headers(&problem) {
                    if let (Ok(name), Ok(value)) =
                        (MetadataKey::from_bytes(name.as_str().as_bytes()), value.parse())
                    {
                        status.metadata_mut().insert(name, value);
                    }
                }
                Err(status)
            }
        };
        let metadata = match &mut answer {
            Ok(answer) => answer.metadata_mut(),
            Err(status) => status.metadata_mut(),
        };
        put(metadata, REQUEST_ID, request_id);
        answer
    }
}

/// All our values are visible ASCII, which every header takes.
fn put(metadata: &mut MetadataMap, name: &'static str, value: &str) {
    if let Ok(value) = MetadataValue::try_from(value) {
        metadata.insert(name, value);
    }
}

/// The version that a caller insists on; an empty text is none.
fn version(version: &str) -> Result<Option<i32>, Problem> {
    if version.is_empty() { Ok(None) } else { crate::predict::version_number(version).map(Some) }
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    async fn server_live(
        &self,
        _request: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _request: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.state.is_ready() }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let call = self.call("ModelReady", &request).await;
        let ModelReadyRequest { name, version: asked } = request.into_inner();
        let ready = || {
            let permit = call.permit::<verbs::View>(name)?;
            match served(&self.state, &permit, version(&asked)?) {
                Ok(_) => Ok(true),
                Err(problem) if problem.code == ErrorCode::Unavailable => Ok(false),
                Err(problem) => Err(problem),
            }
        };
        call.answer(ready().map(|ready| Response::new(ModelReadyResponse { ready })))
    }

    async fn server_metadata(
        &self,
        request: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let call = self.call("ServerMetadata", &request).await;
        call.answer(call.caller.clone().map(|_| Response::new(metadata::server().into())))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let call = self.call("ModelMetadata", &request).await;
        let ModelMetadataRequest { name, version: asked } = request.into_inner();
        let show = || {
            let permit = call.permit::<verbs::View>(name)?;
            metadata::endpoint(&self.state, &permit, version(&asked)?)
        };
        call.answer(show().map(|metadata| Response::new(metadata.into())))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let call = self.call("ModelInfer", &request).await;
        let asked_id = text(request.metadata(), ASKED_ID).map(str::to_owned);
        let mut request = request.into_inner();
        let endpoint = std::mem::take(&mut request.model_name);
        call.answer(infer(&call, endpoint, request, asked_id.as_deref()).await)
    }
}

async fn infer(
    call: &Call<'_>,
    endpoint: String,
    request: ModelInferRequest,
    asked_id: Option<&str>,
) -> Result<Response<ModelInferResponse>, Problem> {
    let permit = call.permit::<verbs::Invoke>(endpoint)?;
    let bytes_in = request.encoded_len();
    let (version, contents) = (version(&request.model_version)?, Contents::of(&request));
    let mut prediction =
        predict(call.state, &permit, version, bytes_in, |signature| decode(request, signature))
            .await?;
    let (outputs, own_id) = (std::mem::take(&mut prediction.outputs), prediction.id.take());
    let labels = &prediction.served.labels;
    let id = inference_id(asked_id, own_id.as_deref());
    let name = permit.resource().name();
    let message = encode(name, labels.version.as_str(), own_id, outputs, contents)?;
    prediction.count(call.state, &permit, message.encoded_len());
    let mut answer = Response::new(message);
    for (name, value) in labels.with_id(&id) {
        put(answer.metadata_mut(), name, value);
    }
    Ok(answer)
}
