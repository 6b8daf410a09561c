//! The calls. Each converts, asks what HTTP asks too, and converts back.

use auth::verbs;
use domain::{ErrorCode, Problem};
use protocol::v2::{
    grpc::messages::*,
    repository::{ControlRequest, IndexRequest},
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use super::{
    call::Service, deadline, forward::Client,
    generated::grpc_inference_service_server::GrpcInferenceService, infer, stream,
};
use crate::{
    identity::ASKED_ID,
    metadata, predict,
    repository::{self, Unsupported},
};

/// The version that a caller insists on; an empty text is none.
fn version(version: &str) -> Result<Option<i32>, Problem> {
    if version.is_empty() { Ok(None) } else { crate::predict::version_number(version).map(Some) }
}

/// Answers by another node where the endpoint that a message names is held there.
macro_rules! elsewhere {
    ($service:ident, $request:ident, $method:literal, $name:ident, $call:ident) => {
        let named = &$request.get_ref().$name;
        if let Some(route) = $service.elsewhere(named, $request.metadata()).await {
            let ask = async |mut client: Client, request| client.$call(request).await;
            let address = $request.remote_addr().map(|address| address.ip());
            let (metadata, _, message) = $request.into_parts();
            let asked = (message, metadata, address);
            return Box::pin($service.forward(&route, $method, asked, ask)).await;
        }
    };
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
        elsewhere!(self, request, "ModelReady", name, model_ready);
        let call = self.call("ModelReady", &request).await;
        let ModelReadyRequest { name, version: asked } = request.into_inner();
        let ready = || {
            let permit = call.permit::<verbs::View>(name)?;
            match predict::ready(&self.state, &permit, version(&asked)?) {
                Ok(()) => Ok(true),
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
        elsewhere!(self, request, "ModelMetadata", name, model_metadata);
        let call = self.call("ModelMetadata", &request).await;
        let ModelMetadataRequest { name, version: asked } = request.into_inner();
        let show = async {
            let permit = call.permit::<verbs::View>(name)?;
            metadata::endpoint(&self.state, &permit, version(&asked)?).await
        };
        call.answer(show.await.map(|metadata| Response::new(metadata.into())))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        elsewhere!(self, request, "ModelInfer", model_name, model_infer);
        let mut call = self.call("ModelInfer", &request).await;
        let (metadata, _, message) = request.into_parts();
        let until = deadline::until(&metadata);
        let asked_id = metadata.get(ASKED_ID).map(MetadataValue::as_encoded_bytes);
        let message = Box::new(message);
        let answer = infer::infer(&mut call, message, &metadata, asked_id, until).await;
        call.answer(answer)
    }

    type ModelStreamInferStream = stream::Answers;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let call = self.call("ModelStreamInfer", &request).await;
        let opened =
            call.caller.clone().map(|_| Response::new(stream::answers(self.clone(), request)));
        call.answer(opened)
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        elsewhere!(self, request, "ModelConfig", name, model_config);
        let call = self.call("ModelConfig", &request).await;
        let ModelConfigRequest { name, version: asked } = request.into_inner();
        let show = async {
            let permit = call.permit::<verbs::View>(name)?;
            metadata::config(&self.state, &permit, version(&asked)?).await
        };
        let config = show.await.map(|config| ModelConfigResponse { config: Some(config.into()) });
        call.answer(config.map(Response::new))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        elsewhere!(self, request, "ModelStatistics", name, model_statistics);
        let call = self.call("ModelStatistics", &request).await;
        let ModelStatisticsRequest { name, version: asked } = request.into_inner();
        let show = || {
            if name.is_empty() {
                return repository::all_statistics(&self.state, &call.caller.clone()?);
            }
            let permit = call.permit::<verbs::View>(name)?;
            repository::statistics(&self.state, &permit, version(&asked)?)
        };
        call.answer(show().map(|answer| Response::new(answer.into())))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let call = self.call("RepositoryIndex", &request).await;
        let RepositoryIndexRequest { repository_name, ready } = request.into_inner();
        let list = || {
            one_repository(&repository_name)?;
            repository::index(&self.state, &call.caller.clone()?, &IndexRequest { ready })
        };
        let models = list().map(|models| models.into_iter().map(Into::into).collect());
        call.answer(models.map(|models| Response::new(RepositoryIndexResponse { models })))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        elsewhere!(self, request, "RepositoryModelLoad", model_name, repository_model_load);
        let call = self.call("RepositoryModelLoad", &request).await;
        let RepositoryModelLoadRequest { repository_name, model_name, parameters } =
            request.into_inner();
        let load = async {
            let permit = call.permit::<verbs::Deploy>(model_name)?;
            one_repository(&repository_name)?;
            repository::load(
                &self.state,
                &permit,
                &ControlRequest::of_names(parameters.into_keys()),
            )
            .await
        };
        call.answer(load.await.map(|()| Response::new(RepositoryModelLoadResponse {})))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        elsewhere!(self, request, "RepositoryModelUnload", model_name, repository_model_unload);
        let call = self.call("RepositoryModelUnload", &request).await;
        let RepositoryModelUnloadRequest { model_name, parameters, .. } = request.into_inner();
        let unload = || {
            let permit = call.permit::<verbs::Deploy>(model_name)?;
            let asked = ControlRequest::of_names(parameters.into_keys());
            repository::unload(&self.state, &permit, &asked)
        };
        call.answer(unload().map(|()| Response::new(RepositoryModelUnloadResponse {})))
    }

    async fn system_shared_memory_status(
        &self,
        request: Request<SystemSharedMemoryStatusRequest>,
    ) -> Result<Response<SystemSharedMemoryStatusResponse>, Status> {
        self.unsupported("SystemSharedMemoryStatus", &request, Unsupported::SharedMemory).await
    }

    async fn system_shared_memory_register(
        &self,
        request: Request<SystemSharedMemoryRegisterRequest>,
    ) -> Result<Response<SystemSharedMemoryRegisterResponse>, Status> {
        self.unsupported("SystemSharedMemoryRegister", &request, Unsupported::SharedMemory).await
    }

    async fn system_shared_memory_unregister(
        &self,
        request: Request<SystemSharedMemoryUnregisterRequest>,
    ) -> Result<Response<SystemSharedMemoryUnregisterResponse>, Status> {
        self.unsupported("SystemSharedMemoryUnregister", &request, Unsupported::SharedMemory).await
    }

    async fn cuda_shared_memory_status(
        &self,
        request: Request<CudaSharedMemoryStatusRequest>,
    ) -> Result<Response<CudaSharedMemoryStatusResponse>, Status> {
        self.unsupported("CudaSharedMemoryStatus", &request, Unsupported::SharedMemory).await
    }

    async fn cuda_shared_memory_register(
        &self,
        request: Request<CudaSharedMemoryRegisterRequest>,
    ) -> Result<Response<CudaSharedMemoryRegisterResponse>, Status> {
        self.unsupported("CudaSharedMemoryRegister", &request, Unsupported::SharedMemory).await
    }

    async fn cuda_shared_memory_unregister(
        &self,
        request: Request<CudaSharedMemoryUnregisterRequest>,
    ) -> Result<Response<CudaSharedMemoryUnregisterResponse>, Status> {
        self.unsupported("CudaSharedMemoryUnregister", &request, Unsupported::SharedMemory).await
    }

    async fn trace_setting(
        &self,
        request: Request<TraceSettingRequest>,
    ) -> Result<Response<TraceSettingResponse>, Status> {
        self.unsupported("TraceSetting", &request, Unsupported::Trace).await
    }

    async fn log_settings(
        &self,
        request: Request<LogSettingsRequest>,
    ) -> Result<Response<LogSettingsResponse>, Status> {
        self.unsupported("LogSettings", &request, Unsupported::Logging).await
    }
}

/// There is one repository, and it has no name.
fn one_repository(name: &str) -> Result<(), Problem> {
    if name.is_empty() {
        return Ok(());
    }
    let name: String = name.chars().take(100).collect();
    Err(Problem::not_found("repository", name).at("repository_name").hint("leave it out"))
}
