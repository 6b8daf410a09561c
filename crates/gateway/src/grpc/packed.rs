//! Messages that are packed on their way: gzip and deflate, which gRPC's own clients know.
//!
//! tonic unpacks them, up to the limit for messages and no further. Those clients also say in each call
//! that they could read packed answers; answers are packed only for callers who pack their requests, since
//! it takes longer than most models.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::future::Either;
use tonic::{
    Code,
    body::Body,
    codec::CompressionEncoding,
    codegen::{BoxFuture, Service, http},
    server::NamedService,
};

/// What is taken and sent.
pub(super) const ENCODINGS: [CompressionEncoding; 2] =
    [CompressionEncoding::Gzip, CompressionEncoding::Deflate];

const ENCODING: http::HeaderName = http::HeaderName::from_static("grpc-encoding");
const ACCEPTED: http::HeaderName = http::HeaderName::from_static("grpc-accept-encoding");
const STATUS: &str = "grpc-status";

/// A service that packs answers as above.
#[derive(Clone)]
pub(super) struct Packed<S>(pub(super) S);

impl<S: NamedService> NamedService for Packed<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Packed<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let is_packed = request.headers().get(&ENCODING).is_some_and(|it| it != "identity");
        if !is_packed {
            request.headers_mut().remove(&ACCEPTED);
        }
        let answer = self.0.call(request);
        if !is_packed {
            return Either::Left(answer);
        }
        Either::Right(Box::pin(async move {
            let mut answer = answer.await?;
            if could_not_unpack(answer.headers()) {
                let invalid = http::HeaderValue::from(Code::InvalidArgument as i32);
                answer.headers_mut().insert(STATUS, invalid);
            }
            Ok(answer)
        }))
    }
}

/// tonic takes a message that cannot be unpacked for a fault of its own.
fn could_not_unpack(headers: &http::HeaderMap) -> bool {
    let is = |name: &str, right: fn(&[u8]) -> bool| {
        headers.get(name).is_some_and(|value| right(value.as_bytes()))
    };
    is(STATUS, |status| status == b"13")
        && is("grpc-message", |message| message.starts_with(b"Error%20decompressing:"))
}
