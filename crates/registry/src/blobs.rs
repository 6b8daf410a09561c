//! Blobs: the bytes that versions are made of, uploaded before the versions that name them.

use auth::{Permit, verbs};
use bytes::Bytes;
use domain::{
    Actor, Digest, ErrorCode, Problem,
    access::Subject,
    quota::{Amount, Key, Spent},
};
use futures_util::{Stream, StreamExt as _};
use store::{blobs, quotas};

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
/// Other bytes than the digest says, more of them than are allowed or than the caller's quota has
/// room for, or a stream that breaks off; then nothing is kept.
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
    // What is over the quota would be refused as a version: so it is not even sent.
    let (room, over) = match room(state, permit.actor()).await? {
        Some(spent) => (spent.limit.saturating_sub(spent.used), Some(spent.refusal())),
        None => (u64::MAX, None),
    };
    if let Some(over) = over.clone().filter(|_| length.is_some_and(|length| length > room)) {
        return Err(over.into());
    }
    let body = within(body, room, move || over.clone().unwrap_or_else(Problem::internal));
    Ok(state.artifacts.upload(permit.actor(), Some(digest), body).await?)
}

/// How much of their quota of bytes an account uses, if it has one.
async fn room(state: &State, actor: &Actor) -> Result<Option<Spent>> {
    let (database, quota) = (&state.database, Key::ArtifactBytes);
    let Ok(subject) = Subject::try_from(actor) else { return Ok(None) };
    let Some(known) = quotas::find(database, &subject).await? else { return Ok(None) };
    let limits = quotas::of(database, known.id).await?;
    let Some((Amount::AtMost(limit), _)) = limits.get(quota.as_str()).copied() else {
        return Ok(None);
    };
    let used = quotas::used(database, &subject, known.id, &[quota]).await?;
    let used = used.get(quota.as_str()).map_or(0, |used| used.unsigned_abs());
    let subject = subject.to_string();
    Ok(Some(Spent { subject, quota, limit, used, resets_at: None, pace: None }))
}

/// The same stream, which ends with an error where more than `most` bytes come.
pub(crate) fn limited<E: Into<Problem>>(
    body: impl Stream<Item = Result<Bytes, E>>,
    what: &'static str,
    most: u64,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    within(body, most, move || too_large(what, most))
}

/// The same stream, which ends with this problem where more than `most` bytes come.
fn within<E: Into<Problem>>(
    body: impl Stream<Item = Result<Bytes, E>>,
    most: u64,
    problem: impl Fn() -> Problem,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    let mut left = most;
    body.map(move |chunk| {
        let chunk = chunk.map_err(Into::into)?;
        left = left.checked_sub(chunk.len() as u64).ok_or_else(&problem)?;
        Ok(chunk)
    })
}

pub(crate) fn too_large(what: &str, most: u64) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("the {what} has more than {most} bytes"))
}
