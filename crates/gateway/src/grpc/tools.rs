//! The services that load balancers and tools call: health for everybody, reflection for whoever has
//! a token.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use tokio_util::sync::CancellationToken;
use tonic::{
    body::Body,
    codegen::{BoxFuture, Service as Tower, http},
    metadata::MetadataMap,
    server::NamedService,
    transport::server::TcpConnectInfo,
};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::call::Service;
use crate::State;

/// What reflection tells of.
pub(super) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inference.binpb"));

/// The names under which clients ask for our health; the empty one is the server.
const NAMES: [&str; 2] = ["", "inference.GRPCInferenceService"];

/// Keeps what the health service says in step with the node's readiness.
pub(super) async fn follow(state: State, reporter: HealthReporter, stop: CancellationToken) {
    let mut ready = state.readiness();
    loop {
        let is_ready = *ready.borrow_and_update();
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in NAMES {
            reporter.set_service_status(name, status).await;
        }
        match stop.run_until_cancelled(ready.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// A service for whoever has a token.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    pub(super) service: S,
    pub(super) by: Service,
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Tower<http::Request<Body>> for Guarded<S>
where
    S: Tower<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let by = self.by.clone();
        let next = self.service.clone();
        // The one that said that it is ready.
        let mut service = std::mem::replace(&mut self.service, next);
        Box::pin(async move {
            let metadata = MetadataMap::from_headers(request.headers().clone());
            let peer = request.extensions().get::<TcpConnectInfo>();
            let address = peer.and_then(TcpConnectInfo::remote_addr).map(|address| address.ip());
            let call = by.call_from("ServerReflectionInfo", &metadata, address).await;
            let known = call.caller.clone().map(|_| tonic::Response::new(()));
            match call.answer(known) {
                Ok(_) => service.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}
