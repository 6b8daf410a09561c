//! Bytes that do not pass through this server: clients send parts straight to S3, and read by a
//! signed address. Only where the store is S3, and clients are let there ([`Outside`]).
//!
//! What comes so is no blob until it was read once and has a digest. The address of a download is
//! given for blobs only, whose objects never change.
//!
//! [`Outside`]: crate::Outside

use std::{collections::BTreeMap, pin::pin, time::Duration};

use chrono::TimeDelta;
use domain::{
    Actor, BlobKey, Digest, ErrorCode, FileEntry, FilePath, Problem, UploadId,
    tracking::ExperimentId,
};
use futures_util::TryStreamExt as _;
use store::{
    blobs,
    tracking::direct::{self, Claim, Parts as Claimed},
};

use crate::{
    Artifacts, Error, Result,
    objects::{Direct, Joined},
    parts::Parts,
    upload::Hashing,
};

/// How long the parts of an upload may be sent; a slow line takes hours.
const SENT_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// How long an upload may be completed: an hour more.
const OPEN: TimeDelta = TimeDelta::hours(25);
/// How long the address of a download is good. Collected objects stay for longer.
const READ_WITHIN: Duration = Duration::from_secs(15 * 60);
/// How long a claim outlives whoever completes an upload.
const CLAIM: TimeDelta = TimeDelta::seconds(60);
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// How long to wait for somebody else who completes it: less than clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How much is read at once to take the digest.
const PART: usize = 1 << 20;

/// S3's limit on the number of parts of one object.
pub const MOST_PARTS: u16 = 10_000;

/// An upload whose parts may be sent now.
#[derive(Debug)]
pub struct DirectUpload {
    /// What it is completed by.
    pub id: UploadId,
    /// Where each part is to be PUT, in order.
    pub urls: Vec<String>,
}

impl Artifacts {
    /// Whether clients may send and read straight.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.objects.direct().is_some()
    }

    /// The address that reads a blob, for a short while, as a file of this name. Absent where
    /// clients read through this server alone.
    ///
    /// # Errors
    /// No such blob; one that is damaged; the database is away.
    pub async fn address(
        &self,
        digest: &Digest,
        name: &str,
        media_type: &str,
    ) -> Result<Option<String>> {
        let Some(direct) = self.objects.direct() else { return Ok(None) };
        let blob = self.find(digest).await?;
        direct.read_url(blob.key, name, media_type, READ_WITHIN).await.map(Some)
    }

    /// Begins an upload of a file in so many parts. Absent where clients send through this server
    /// alone.
    ///
    /// # Errors
    /// No part, or more than [`MOST_PARTS`]; a database or a store that is away.
    pub async fn begin_direct(
        &self,
        by: &Actor,
        path: &FilePath,
        parts: i64,
    ) -> Result<Option<DirectUpload>> {
        let Some(s3) = self.objects.direct() else { return Ok(None) };
        let parts = u16::try_from(parts)
            .ok()
            .filter(|parts| (1..=MOST_PARTS).contains(parts))
            .ok_or_else(|| {
                let message = format!("there are {parts} parts: expected 1 to {MOST_PARTS}");
                Problem::invalid("num_parts", message)
                    .hint("set MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE so that they are fewer")
            })?;
        let (id, key) = blobs::begin_upload(&self.database, by, OPEN).await?;
        let begun = self.begin_parts(s3, id, key, path, parts).await;
        if begun.is_err()
            && let Err(error) = blobs::abandon_upload(&self.database, id).await
        {
            tracing::warn!(%error, upload.id = %id, "an upload is left to its lease");
        }
        Ok(Some(DirectUpload { id, urls: begun? }))
    }

    async fn begin_parts(
        &self,
        s3: &dyn Direct,
        id: UploadId,
        key: BlobKey,
        path: &FilePath,
        parts: u16,
    ) -> Result<Vec<String>> {
        let multipart_id = s3.begin_parts(key).await?;
        blobs::note_multipart(&self.database, id, &multipart_id).await?;
        direct::begin(&self.database, id, path, parts, OPEN).await?;
        s3.part_urls(key, &multipart_id, parts, SENT_WITHIN).await
    }

    /// Puts the parts of an upload together, reads them once for their digest, and puts the file at
    /// its path. Who asks again, since the answer was lost, is told the same.
    ///
    /// # Errors
    /// No such upload to that path; parts that are missing, double or not those that were sent; a
    /// path that would be file and folder at once; a database or a store that is away.
    pub async fn complete_direct(
        &self,
        id: UploadId,
        experiment: ExperimentId,
        path: &FilePath,
        etags: &[(i64, String)],
    ) -> Result<()> {
        let Some(s3) = self.objects.direct() else { return Err(absent(id).into()) };
        let Some(claimed) = self.claim(id, path).await? else { return Ok(()) };
        let etags = in_order(etags, claimed.parts);
        let completed = tokio::select! {
            completed = async { self.complete(s3, id, &claimed, experiment, path, etags?).await } => completed,
            () = self.keep_claim(id) => Err(absent(id).into()),
        };
        if completed.is_err()
            && let Err(error) = direct::release(&self.database, id).await
        {
            tracing::debug!(%error, upload.id = %id, "a claim is left to its lease");
        }
        completed
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// No such upload to that path in progress; the database is away.
    pub async fn abort_direct(&self, id: UploadId, path: &FilePath) -> Result<()> {
        if direct::abandon(&self.database, id, path).await? {
            return Ok(());
        }
        Err(absent(id).into())
    }

    /// The parts, as soon as nobody else is at them; absent if the file is there already.
    async fn claim(&self, id: UploadId, path: &FilePath) -> Result<Option<Claimed>> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            match direct::claim(&self.database, id, path, CLAIM).await? {
                Claim::Ours(parts) => return Ok(Some(parts)),
                Claim::Done => return Ok(None),
                Claim::Absent => return Err(absent(id).into()),
                Claim::Busy if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Claim::Busy => {
                    let message = format!("the upload `{id}` is being completed");
                    return Err(Problem::new(ErrorCode::Unavailable, message)
                        .hint("ask again in a moment")
                        .into());
                }
            }
        }
    }

    async fn complete(
        &self,
        s3: &dyn Direct,
        id: UploadId,
        claimed: &Claimed,
        experiment: ExperimentId,
        path: &FilePath,
        etags: Vec<String>,
    ) -> Result<()> {
        let Claimed { key, multipart_id, .. } = claimed;
        match s3.join_parts(*key, multipart_id, etags).await? {
            Joined::Now => {}
            // Whoever joined them before us died before they had a digest.
            Joined::Gone => tracing::debug!(upload.id = %id, "parts joined before, or given up"),
        }
        let Some(entry) = self.take_digest(*key).await? else { return Err(absent(id).into()) };
        if direct::finish(&self.database, id, experiment, path, &entry).await? {
            return Ok(());
        }
        if self.claim(id, path).await.is_ok_and(|claimed| claimed.is_none()) {
            return Ok(());
        }
        // It was given up meanwhile, and its key may have been deleted before we wrote there.
        self.objects.delete(*key, None).await?;
        Err(absent(id).into())
    }

    /// Digest and size of an object, read from its place.
    async fn take_digest(&self, key: BlobKey) -> Result<Option<FileEntry>> {
        let Some(object) = self.objects.read(key, None).await? else { return Ok(None) };
        let body = pin!(object.body.map_err(Error::from));
        let (mut parts, mut hashing, mut size) = (Parts::new(body, PART), Hashing::begin(), 0);
        loop {
            let part = parts.next().await?;
            if part.is_empty() {
                break;
            }
            size += part.len() as u64;
            hashing.update(part).await?;
        }
        Ok(Some(FileEntry { digest: hashing.finish(None).await?, size }))
    }

    /// Renews a claim for as long as that is possible.
    async fn keep_claim(&self, id: UploadId) {
        loop {
            tokio::time::sleep(RENEWED_EVERY).await;
            match direct::renew(&self.database, id, CLAIM).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, upload.id = %id, "claim not renewed"),
            }
        }
    }
}

/// What S3 called the parts, from the first to the last: each once.
fn in_order(etags: &[(i64, String)], parts: u16) -> Result<Vec<String>, Problem> {
    let wrong = |message: String| {
        Problem::invalid("parts", message)
            .hint("name each part once, with the ETag that S3 answered when it was sent")
    };
    let mut ordered = BTreeMap::new();
    for (number, etag) in etags {
        if !(1..=i64::from(parts)).contains(number) {
            return Err(wrong(format!("there is no part {number}: the upload has {parts}")));
        }
        if etag.is_empty() || etag.len() > 200 || !etag.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong(format!("the etag of part {number} is none")));
        }
        if ordered.insert(*number, etag.clone()).is_some() {
            return Err(wrong(format!("part {number} stands there twice")));
        }
    }
    if let Some(missing) = (1..=i64::from(parts)).find(|number| !ordered.contains_key(number)) {
        return Err(wrong(format!("part {missing} of {parts} is missing")));
    }
    Ok(ordered.into_values().collect())
}

fn absent(id: UploadId) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("no upload `{id}` to this path is in progress"))
        .at("upload_id")
        .hint("begin another one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_stands_there_once_in_any_order() {
        let part = |number, etag: &str| (number, etag.to_owned());
        assert_eq!(in_order(&[part(2, "b"), part(1, "a")], 2).unwrap(), ["a", "b"]);
        for (parts, words) in [
            (vec![], "part 1 of 2 is missing"),
            (vec![part(2, "b")], "part 1 of 2 is missing"),
            (vec![part(1, "a"), part(1, "a")], "part 1 stands there twice"),
            (vec![part(1, "a"), part(2, "b"), part(3, "c")], "there is no part 3"),
            (vec![part(0, "a"), part(1, "b")], "there is no part 0"),
            (vec![part(1, ""), part(2, "b")], "the etag of part 1 is none"),
            (vec![part(1, "a\n"), part(2, "b")], "the etag of part 1 is none"),
        ] {
            let problem = in_order(&parts, 2).unwrap_err();
            assert!(problem.message.contains(words), "{problem}");
            assert_eq!(problem.field.as_deref(), Some("parts"));
        }
    }
}
