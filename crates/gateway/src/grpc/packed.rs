//! Messages that are packed on their way: gzip and deflate, which gRPC's own clients know.
//!
//! tonic unpacks them, up to the limit for messages and no further. Those clients also say in each call
//! that they could read packed answers; answers are packed only for callers who pack their requests, since
//! it takes longer than most models.
//! A message that cannot be unpacked is its caller's fault; tonic takes it for one of its own.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::Map};
use tonic::{
    Code,
    body::Body,
    codec::CompressionEncoding,
    codegen::{Service, http},
};

/// What is taken and sent.
pub(super) const ENCODINGS: [CompressionEncoding; 2] =
    [CompressionEncoding::Gzip, CompressionEncoding::Deflate];

const ENCODING: http::HeaderName = http::HeaderName::from_static("grpc-encoding");
const ACCEPTED: http::HeaderName = http::HeaderName::from_static("grpc-accept-encoding");
const STATUS: &str = "grpc-status";

type Answer = Result<http::Response<Body>, Infallible>;

/// A service that packs answers as above.
#[derive(Clone)]
pub(super) struct Packed<S>(pub(super) S);

impl<S> Service<http::Request<Body>> for Packed<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Map<S::Future, fn(Answer) -> Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let is_packed = request.headers().get(&ENCODING).is_some_and(|it| it != "identity");
        let told: fn(Answer) -> Answer = if is_packed {
            |answer| answer.map(refused)
        } else {
            request.headers_mut().remove(&ACCEPTED);
            |answer| answer
        };
        self.0.call(request).map(told)
    }
}

/// The answer, by whose status it is the caller who is to blame for what could not be unpacked.
fn refused(mut answer: http::Response<Body>) -> http::Response<Body> {
    let has = |name: &str, right: fn(&[u8]) -> bool| {
        answer.headers().get(name).is_some_and(|value| right(value.as_bytes()))
    };
    if has(STATUS, |status| status == b"13")
        && has("grpc-message", |message| message.starts_with(b"Error%20decompressing:"))
    {
        let invalid = http::HeaderValue::from(Code::InvalidArgument as i32);
        answer.headers_mut().insert(STATUS, invalid);
    }
    answer
}
