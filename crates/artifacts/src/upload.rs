//! Bytes on their way in.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use chrono::TimeDelta;
use domain::{Actor, BlobKey, Digest, Hasher, Problem, UploadId};
use futures_util::{Stream, TryStreamExt as _};
use store::blobs;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Artifacts, Error, Result, parts::Parts};

/// How long an upload outlives whoever carries it, or the database's absence.
const LEASE: TimeDelta = TimeDelta::minutes(2);
const RENEWED_EVERY: Duration = Duration::from_secs(10);

/// A blob that is here now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// What it is.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// Whether it was here before, so that nothing was added.
    pub existed: bool,
}

impl Artifacts {
    /// Takes bytes in, of any length, in constant memory. When this answers they are durable; when
    /// it fails, whether by the stream's error, by a digest that was not `expected` or by our own
    /// fault, nothing of them is kept.
    ///
    /// # Errors
    /// What the stream says; bytes that are not those expected; a database or a store that is away.
    pub async fn upload<S, E>(
        &self,
        by: &Actor,
        expected: Option<Digest>,
        stream: S,
    ) -> Result<Stored>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Problem>,
    {
        let (upload, key) = blobs::begin_upload(&self.database, by, LEASE).await?;
        let written = tokio::select! {
            written = self.write(upload, key, expected, stream) => written,
            () = self.keep_alive(upload) => Err(Error::GivenUp),
        };
        let stored = match written {
            Ok((digest, size)) => self.finish(upload, key, digest, size).await,
            Err(error) => Err(error),
        };
        if stored.is_err()
            && let Err(error) = blobs::abandon_upload(&self.database, upload).await
        {
            tracing::warn!(%error, upload.id = %upload, "an upload is left to its lease");
        }
        stored
    }

    async fn write<S, E>(
        &self,
        upload: UploadId,
        key: BlobKey,
        expected: Option<Digest>,
        stream: S,
    ) -> Result<(Digest, u64)>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Problem>,
    {
        let stream = pin!(stream.map_err(|error| Error::Refused(error.into())));
        let part_size = self.objects.part_size();
        let mut parts = Parts::new(stream, part_size);
        let mut hashing = Hashing::begin();
        let first = parts.next().await?;
        if first.len() < part_size {
            let size = first.len() as u64;
            hashing.update(first.clone()).await?;
            let digest = hashing.finish(expected).await?;
            self.objects.put(key, first).await?;
            return Ok((digest, size));
        }

        let mut writer = self.objects.begin(key).await?;
        let work = async {
            if let Some(id) = writer.multipart_id()
                && !blobs::note_multipart(&self.database, upload, id).await?
            {
                return Err(Error::GivenUp);
            }
            let (mut part, mut size) = (first, 0);
            while !part.is_empty() {
                size += part.len() as u64;
                hashing.update(part.clone()).await?;
                writer.write(part).await?;
                part = parts.next().await?;
            }
            let digest = hashing.finish(expected).await?;
            writer.finish().await?;
            Ok((digest, size))
        };
        let written = work.await;
        if written.is_err() {
            writer.abort().await;
        }
        written
    }

    /// From here on the blob is here.
    async fn finish(
        &self,
        upload: UploadId,
        key: BlobKey,
        digest: Digest,
        size: u64,
    ) -> Result<Stored> {
        match blobs::finish_upload(&self.database, upload, &digest, size).await? {
            Some(kept) => Ok(Stored { digest, size, existed: kept != key }),
            None => {
                // Its lease was over, and its key may have been deleted before we wrote there.
                self.objects.delete(key, None).await?;
                Err(Error::GivenUp)
            }
        }
    }

    /// Renews the lease for as long as that is possible.
    async fn keep_alive(&self, upload: UploadId) {
        loop {
            tokio::time::sleep(RENEWED_EVERY).await;
            match blobs::renew_upload(&self.database, upload, LEASE).await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease outlives a short absence of the database.
                Err(error) => tracing::debug!(%error, upload.id = %upload, "lease not renewed"),
            }
        }
    }
}

/// The digest of all parts, taken on another thread while they are written.
pub(crate) struct Hashing(JoinHandle<Hasher>);

impl Hashing {
    pub fn begin() -> Self {
        Self(spawn_blocking(Hasher::default))
    }

    /// Waits for the part before, and begins with this one.
    pub async fn update(&mut self, part: Bytes) -> Result<()> {
        let mut hasher = (&mut self.0).await?;
        self.0 = spawn_blocking(move || {
            hasher.update(&part);
            hasher
        });
        Ok(())
    }

    pub async fn finish(self, expected: Option<Digest>) -> Result<Digest> {
        let digest = self.0.await?.finish();
        match expected.filter(|expected| *expected != digest) {
            None => Ok(digest),
            Some(expected) => Err(Problem::invalid(
                "digest",
                format!("the bytes have the digest {digest}, not {expected}"),
            )
            .hint("the file changed, or was damaged on the way: upload it again")
            .into()),
        }
    }
}
