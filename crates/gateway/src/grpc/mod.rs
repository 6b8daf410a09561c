//! The Open Inference Protocol V2 over gRPC, on a port of its own.

mod service;
mod status;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use self::{
    generated::grpc_inference_service_server::GrpcInferenceServiceServer, service::Service,
};
use crate::State;

/// The service's trait and client, generated from `protocol`'s definition.
mod generated {
    tonic::include_proto!("inference");
}

/// How long requests in flight may take after a stop; clients that stay idle are left then.
const GRACE: Duration = Duration::from_secs(10);

/// Answers on this listener until told to stop; then finishes what it has begun.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    state: State,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let limit = state.given.settings.body_limit;
    let service = GrpcInferenceServiceServer::new(Service::new(state))
        .max_decoding_message_size(limit)
        .max_encoding_message_size(usize::MAX);
    let server = Server::builder().add_service(service).serve_with_incoming_shutdown(
        TcpListenerStream::new(listener),
        stop.clone().cancelled_owned(),
    );
    tokio::select! {
        ended = server => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
