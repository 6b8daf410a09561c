//! Bodies that stream.

use actix_web::{HttpRequest, error::PayloadError, http::header::CONTENT_LENGTH, web::Bytes};
use domain::{ErrorCode, Problem};
use futures_util::{Stream, TryStreamExt as _};

use crate::{Paced, Patience};

/// A request's body as it comes in, however long it is, if it does not come too slowly.
pub fn stream(
    payload: impl Stream<Item = Result<Bytes, PayloadError>>,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    Paced::new(Box::pin(payload), Patience::default()).map_err(|error: PayloadError| {
        tracing::debug!(%error, "an upload broke off");
        Problem::new(ErrorCode::Invalid, "the body broke off before its end").hint("send it again")
    })
}

/// How long the caller says that the body is.
pub fn length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
