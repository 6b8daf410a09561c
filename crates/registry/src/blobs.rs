//! Blobs: the bytes that versions are made of, uploaded before the versions that name them.

use auth::{Permit, verbs};
use bytes::Bytes;
use domain::{Digest, ErrorCode, Problem};
use futures_util::{Stream, StreamExt as _};
use store::blobs;

use crate::{Result, State};

pub use artifacts::Stored;

/// How many bytes a blob has.
///
/// # Errors
/// It is not here.
pub async fn size(
    state: &State,
    _permit: &Permit<verbs::Register>,
    digest: &Digest,
) -> Result<u64> {
    let blob = blobs::get(&state.database, digest).await?.filter(|blob| !blob.corrupt);
    Ok(blob.ok_or_else(|| Problem::not_found("blob", digest))?.size)
}

/// Which of these blobs must be uploaded.
///
/// # Errors
/// The database is away.
pub async fn missing(
    state: &State,
    _permit: &Permit<verbs::Register>,
    digests: &[Digest],
) -> Result<Vec<Digest>> {
    Ok(state.artifacts.missing(digests).await?)
}

/// Takes a blob in while it streams. `length` is how long the caller says that it is.
///
/// # Errors
/// Other bytes than the digest says, more of them than are allowed, or a stream that breaks off;
/// then nothing is kept.
pub async fn upload<E: Into<Problem>>(
    state: &State,
    permit: &Permit<verbs::Register>,
    digest: Digest,
    length: Option<u64>,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Stored> {
    let most = state.limits.blob_bytes;
    if length.is_some_and(|length| length > most) {
        return Err(too_large("file", most).into());
    }
    let body = limited(body, "file", most);
    Ok(state.artifacts.upload(permit.actor(), Some(digest), body).await?)
}

/// The same stream, which ends with an error where more than `most` bytes come.
pub(crate) fn limited<E: Into<Problem>>(
    body: impl Stream<Item = Result<Bytes, E>>,
    what: &'static str,
    most: u64,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    let mut left = most;
    body.map(move |chunk| {
        let chunk = chunk.map_err(Into::into)?;
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| too_large(what, most))?;
        Ok(chunk)
    })
}

pub(crate) fn too_large(what: &str, most: u64) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("the {what} has more than {most} bytes"))
}
