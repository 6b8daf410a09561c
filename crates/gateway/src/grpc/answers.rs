//! Which service answers a call.

use std::convert::Infallible;

use futures_util::future::Either;
use hyper::body::Incoming;
use tonic::{
    body::Body,
    codegen::{Service, http},
    server::NamedService,
    service::Routes,
    transport::server::TcpConnectInfo,
};
use tonic_health::pb::health_server::{Health, HealthServer};

use super::{
    call,
    deadline::Timely,
    generated::grpc_inference_service_server::GrpcInferenceServiceServer,
    packed::{ENCODINGS, Packed},
    tools::{self, Guarded},
};
use crate::State;

type Inference = GrpcInferenceServiceServer<call::Service>;

/// What a service answers a call with, in time.
type Answer<S> = <S as Service<http::Request<Body>>>::Future;

/// All services of a node.
pub(super) struct Answers {
    service: call::Service,
    /// All but the inference service.
    others: Routes,
}

impl Answers {
    pub(super) fn new(state: State, health: HealthServer<impl Health>) -> Self {
        let service = call::Service::new(state);
        let mut others = Routes::new(health);
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(tools::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // The descriptors are ours: should they be wrong, what they describe still works.
        match (reflection().build_v1(), reflection().build_v1alpha()) {
            (Ok(v1), Ok(v1alpha)) => {
                let by = service.clone();
                others = others
                    .add_service(Guarded { service: v1, by: by.clone() })
                    .add_service(Guarded { service: v1alpha, by });
            }
            (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no gRPC reflection"),
        }
        Self { service, others: others.prepare() }
    }

    /// The answers to one connection.
    pub(super) fn to(&self, ends: TcpConnectInfo) -> Answering {
        let limit = self.service.state.given.settings.body_limit;
        // Each connection has its own: what all share, all threads would count their use of.
        let mut inference = Inference::new(self.service.clone())
            .max_decoding_message_size(limit)
            .max_encoding_message_size(usize::MAX);
        for encoding in ENCODINGS {
            inference = inference.accept_compressed(encoding).send_compressed(encoding);
        }
        Answering {
            inference: Timely(Packed(inference)),
            others: Timely(self.others.clone()),
            ends,
        }
    }
}

/// Answers the calls of one connection.
pub(super) struct Answering {
    inference: Timely<Packed<Inference>>,
    others: Timely<Routes>,
    ends: TcpConnectInfo,
}

impl hyper::service::Service<http::Request<Incoming>> for Answering {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<Answer<Timely<Packed<Inference>>>, Answer<Timely<Routes>>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.ends.clone());
        // None of them has to be waited for until it is ready.
        if service(request.uri().path()) == Some(Inference::NAME) {
            Either::Left(self.inference.clone().call(request))
        } else {
            Either::Right(self.others.clone().call(request))
        }
    }
}

/// The service that a path names: `/package.Service/Method`.
fn service(path: &str) -> Option<&str> {
    Some(path.strip_prefix('/')?.split_once('/')?.0)
}
