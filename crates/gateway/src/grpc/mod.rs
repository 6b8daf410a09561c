//! The Open Inference Protocol V2 over gRPC, on a port of its own.

mod call;
mod codec;
mod connections;
mod deadline;
mod forward;
mod infer;
mod packed;
mod service;
mod status;
mod stream;
mod tools;

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use self::{
    call::Service, deadline::Timely,
    generated::grpc_inference_service_server::GrpcInferenceServiceServer, packed::Packed,
    tools::Guarded,
};
use crate::State;

pub use self::codec::Codec;

/// The service's trait and client, generated from `protocol`'s definition.
mod generated {
    tonic::include_proto!("inference");
}

/// How often a connection without calls is asked whether somebody is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// The longest headers of a call, unpacked.
const HEADERS: u32 = 16 << 10;

/// Answers on this listener until told to stop; then finishes what it has begun.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    state: State,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    // It never ends before it is told to.
    let following = tools::follow(state.clone(), reporter, stop.clone());
    let by = Service::new(state.clone());
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tools::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (limit, limits) = (state.given.settings.body_limit, state.given.settings.limits);
    let mut service = GrpcInferenceServiceServer::new(Service::new(state))
        .max_decoding_message_size(limit)
        .max_encoding_message_size(usize::MAX);
    for encoding in packed::ENCODINGS {
        service = service.accept_compressed(encoding).send_compressed(encoding);
    }
    let mut router = Server::builder()
        .max_concurrent_streams(limits.streams)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(limits.patience))
        .http2_max_header_list_size(HEADERS)
        .add_service(Timely(Packed(service)))
        .add_service(health);
    // The descriptors are ours: should they be wrong, what they describe still works.
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            router = router
                .add_service(Guarded { service: v1, by: by.clone() })
                .add_service(Guarded { service: v1alpha, by });
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no gRPC reflection"),
    }
    let server = router.serve_with_incoming_shutdown(
        connections::incoming(listener, limits.connections, limits.patience),
        stop.clone().cancelled_owned(),
    );
    let server = async { tokio::join!(server, following).0 };
    tokio::select! {
        ended = server => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(limits.drain).await } => Ok(()),
    }
}
