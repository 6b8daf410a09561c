//! Reads a request's body within its limit, unpacked, and without a copy where it comes in one piece.

use actix_web::{
    HttpRequest,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue},
    web::{Bytes, BytesMut, Payload},
};
use domain::{ErrorCode, Problem, serving::BodyLimit};
use futures_util::StreamExt as _;
use rest::Paced;

use super::encoding::Encoding;
use crate::{State, admission::body_limit, identity, refusal::too_large};

/// No more is set aside on the word of a header.
const FIRST_CAPACITY: usize = 1 << 20;

/// Reads the whole body of a request for an endpoint.
///
/// # Errors
/// As for [`read`].
pub(super) fn read_for<'r>(
    state: &State,
    endpoint: &str,
    request: &'r HttpRequest,
    payload: Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<'r> {
    let headers = request.headers();
    let is_small = length(headers).is_some_and(|length| length as u64 <= BodyLimit::MIN)
        && !headers.contains_key(CONTENT_ENCODING);
    let limit =
        if is_small { state.given.settings.body_limit } else { body_limit(state, endpoint) };
    read(request, payload, limit)
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok())
}

/// Reads the whole body.
///
/// # Errors
/// An encoding that is not known, a body that is larger than the limit, packed or unpacked, is cut
/// off, or is not what its encoding says.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(super) fn read(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> impl Future<Output = Result<Bytes, Problem>> + use<'_> {
    async move {
        let headers = request.headers();
        let encoding = Encoding::of_body(headers)?;
        let length = length(headers);
        if length.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let patience = request.app_data().copied().unwrap_or_default();
        let mut payload = Paced::new(payload, patience);
        let body = match payload.next().await.transpose().map_err(|_| broken_off())? {
            None => Bytes::new(),
            Some(all) if Some(all.len()) == length => all,
            // Boxed, as most bodies are small and come in one piece.
            Some(first) => Box::pin(whole(first, payload, length, limit)).await?,
        };
        let Some(encoding) = encoding else { return Ok(body) };
        // It takes longer than other requests on this thread should wait.
        let unpacked = tokio::task::spawn_blocking(move || encoding.unpack(&body, limit));
        unpacked.await.map_err(|_| Problem::internal())?.map(Bytes::from)
    }
}

/// The whole body, of which this is the first piece.
async fn whole(
    first: Bytes,
    mut payload: Paced<Payload>,
    length: Option<usize>,
    limit: usize,
) -> Result<Bytes, Problem> {
    let mut body = BytesMut::with_capacity(length.unwrap_or(0).min(FIRST_CAPACITY));
    let mut next = Some(Ok(first));
    while let Some(chunk) = next {
        let chunk = chunk.map_err(|_| broken_off())?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(body.freeze())
}

/// What a header says, if it is there.
///
/// # Errors
/// It is no text.
pub(super) fn header<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let no_text = |_| {
        let message = format!("`{name}` has other characters than those of ASCII");
        Problem::invalid(name.as_str(), message)
    };
    value.to_str().map(Some).map_err(no_text)
}

/// What the caller calls the answer, if they say.
///
/// # Errors
/// As for [`asked_id`](identity::asked_id).
pub(super) fn asked_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    const NAME: HeaderName = HeaderName::from_static(identity::ASKED_ID);
    identity::asked_id(headers.get(&NAME).map(HeaderValue::as_bytes))
}

pub(super) fn broken_off() -> Problem {
    Problem::new(ErrorCode::Invalid, "the body broke off before its end")
}
