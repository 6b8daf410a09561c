//! The deadline that a caller sends with a call.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::future::Either;
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    metadata::MetadataMap,
};

use super::call::text;

/// gRPC's header: digits and a unit.
const TIMEOUT: http::HeaderName = http::HeaderName::from_static("grpc-timeout");

/// A service whose answers begin in time or are `DEADLINE_EXCEEDED`.
#[derive(Clone)]
pub(super) struct Timely<S>(pub(super) S);

impl<S> Service<http::Request<Body>> for Timely<S>
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

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // Its clock starts here and not when the answer is first asked for.
        let expired =
            request.headers().get(&TIMEOUT).and_then(|value| timeout(value.to_str().ok()?));
        let expired = expired.map(tokio::time::sleep);
        let answer = self.0.call(request);
        let Some(expired) = expired else { return Either::Left(answer) };
        Either::Right(Box::pin(async move {
            tokio::select! {
                biased;
                answer = answer => answer,
                () = expired => Ok(late().into_http()),
            }
        }))
    }
}

/// What a call is told whose deadline is over.
pub(super) fn late() -> Status {
    Status::deadline_exceeded(
        "there was no answer before the deadline of the call; give it more time",
    )
}

/// When the caller gives up, if they say so.
pub(super) fn until(metadata: &MetadataMap) -> Option<Instant> {
    Instant::now().checked_add(text(metadata, &TIMEOUT).and_then(timeout)?)
}

fn timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count.checked_mul(3600)?),
        "M" => Duration::from_secs(count.checked_mul(60)?),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::future::{Pending, Ready, pending, ready};

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_deadline_is_read_in_every_unit() {
        for (value, millis) in [
            ("2H", 7_200_000),
            ("3M", 180_000),
            ("90S", 90_000),
            ("5000m", 5000),
            ("3000000u", 3000),
            ("9000000n", 9),
        ] {
            assert_eq!(timeout(value), Some(Duration::from_millis(millis)), "{value}");
        }
        for wrong in ["", "S", "5", "5x", "5é", "-1S", "1.5S", "99999999999999999999H"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }

    type Answer = Result<http::Response<Body>, Infallible>;

    /// Answers at once, or never.
    struct At(bool);

    impl Service<http::Request<Body>> for At {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = Either<Ready<Answer>, Pending<Answer>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<Body>) -> Self::Future {
            if self.0 {
                ready(Ok(http::Response::default())).left_future()
            } else {
                pending().right_future()
            }
        }
    }

    /// The status in the headers.
    async fn status(answers: bool, value: &'static str) -> Option<String> {
        let mut request = http::Request::new(Body::empty());
        request.headers_mut().insert(TIMEOUT, http::HeaderValue::from_static(value));
        let Ok(answer) = Timely(At(answers)).call(request).await;
        answer.headers().get("grpc-status").map(|it| String::from_utf8_lossy(it.as_bytes()).into())
    }

    #[tokio::test]
    async fn what_is_late_is_told_to_be_late() {
        for value in ["1n", "1m", "20m"] {
            assert_eq!(status(false, value).await.as_deref(), Some("4"), "DEADLINE_EXCEEDED");
            assert_eq!(status(true, value).await, None, "what is there is answered");
        }
    }
}
