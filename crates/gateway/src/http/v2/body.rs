//! Reads a request's body within its limit, and without a copy where it comes in one piece.

use actix_web::{
    HttpRequest,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap},
    web::{Bytes, BytesMut, Payload},
};
use domain::{ErrorCode, Problem};
use futures_util::StreamExt as _;

/// What says how many bytes at the beginning of a body are JSON, before tensors in binary.
const BINARY: &str = "inference-header-content-length";

/// No more is set aside on the word of a header.
const FIRST_CAPACITY: usize = 1 << 20;

/// Reads the whole body, if it is plain JSON as far as its headers tell.
///
/// # Errors
/// An encoding or a form that is not taken, a body larger than the limit or cut off.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
) -> Result<Bytes, Problem> {
    let headers = request.headers();
    check_form(headers)?;
    let length = header(headers, CONTENT_LENGTH.as_str()).and_then(|it| it.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| broken_off())?;
    if Some(first.len()) == length {
        return Ok(first);
    }
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

fn check_form(headers: &HeaderMap) -> Result<(), Problem> {
    let encoding = header(headers, CONTENT_ENCODING.as_str()).unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        return Err(Problem::invalid("content-encoding", "compressed bodies are not taken yet")
            .hint("send the body as it is, without `content-encoding`"));
    }
    if headers.contains_key(BINARY) {
        return Err(Problem::invalid(BINARY, "tensors in binary behind the JSON are not taken yet")
            .hint("send the elements in `data` (tritonclient: `set_data_from_numpy(…, binary_data=False)`), or call by gRPC"));
    }
    Ok(())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("the body is larger than {limit} bytes"))
        .hint("send fewer rows at a time")
}

fn broken_off() -> Problem {
    Problem::new(ErrorCode::Invalid, "the body broke off before its end")
}
