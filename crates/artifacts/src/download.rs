//! Bytes on their way out.

use std::{mem, ops::Range, path::Path, pin::pin, sync::Arc};

use bytes::Bytes;
use domain::{Digest, Hasher, Problem};
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream, Fuse},
};
use store::blobs::{self, Blob};
use tempfile::TempPath;
use uuid::Uuid;

use crate::{
    Artifacts, Error, Result,
    file::{self, FileWriter},
    objects::{Object, Writer as _},
    parts::Parts,
};

/// Bytes that are being read.
pub struct Download {
    /// How many there are.
    pub size: u64,
    /// They; an error is the last item.
    pub body: BoxStream<'static, Result<Bytes>>,
}

impl Artifacts {
    /// Reads a blob. It is verified while it streams: its last bytes come only if all of them have
    /// the digest. Otherwise an error comes in their place, and the blob counts as damaged from
    /// then on, until someone uploads the same bytes again. Whoever must not act on the beginning
    /// of a damaged file either uses [`Artifacts::fetch`].
    ///
    /// # Errors
    /// No such blob; one that is damaged; a database or a store that is away.
    pub async fn open(&self, digest: &Digest) -> Result<Download> {
        let blob = self.find(digest).await?;
        let (blob, object) = self.read(digest, blob, None).await?;
        Ok(self.checked(*digest, blob, object, blob.size, Some(Hasher::default())))
    }

    /// Reads a range of a blob. A part has no digest: of what comes only the length is certain.
    ///
    /// # Errors
    /// As [`Artifacts::open`]; a range that is not within the blob.
    pub async fn open_range(&self, digest: &Digest, range: Range<u64>) -> Result<Download> {
        let blob = self.find(digest).await?;
        let Range { start, end } = range;
        if start > end || end > blob.size {
            let message = format!("bytes {start} to {end} are not within {} bytes", blob.size);
            return Err(Problem::invalid("range", message).into());
        }
        if start == end {
            return Ok(Download { size: 0, body: stream::empty().boxed() });
        }
        let (blob, object) = self.read(digest, blob, Some(range)).await?;
        Ok(self.checked(*digest, blob, object, end - start, None))
    }

    /// Copies a blob into a file, which appears whole, verified and durable, or not at all. Answers
    /// its size. `to` is an absolute path, and its folder exists.
    ///
    /// # Errors
    /// As [`Artifacts::open`]; a folder that cannot be written to.
    pub async fn fetch(&self, digest: &Digest, to: &Path) -> Result<u64> {
        let Download { size, body } = self.open(digest).await?;
        let folder: Arc<Path> = to.parent().unwrap_or(Path::new("/")).into();
        let name = format!(".fetching-{}", Uuid::now_v7());
        // Deletes the file unless it gets its name, even if nobody waits for us any more.
        let unfinished = TempPath::try_from_path(folder.join(&name))
            .map_err(|source| Error::folder(&folder, source))?;
        let mut file = FileWriter::create(Arc::clone(&folder), &name).await?;
        let body = pin!(body);
        let mut parts = Parts::new(body, file::PART);
        loop {
            let part = parts.next().await?;
            if part.is_empty() {
                break;
            }
            file.write(part).await?;
        }
        file.finish().await?;
        let to = to.to_owned();
        let rename = {
            let folder = Arc::clone(&folder);
            move || {
                unfinished.persist(to)?;
                file::sync(&folder)
            }
        };
        file::run(&folder, rename).await?;
        Ok(size)
    }

    pub(crate) async fn find(&self, digest: &Digest) -> Result<Blob> {
        let found = blobs::get(&self.database, digest).await?;
        let blob = found.ok_or_else(|| Problem::not_found("blob", digest))?;
        if blob.corrupt { Err(Error::Damaged(*digest)) } else { Ok(blob) }
    }

    /// The object of a blob, if it is as long as it should be, and the blob, if it moved meanwhile.
    async fn read(
        &self,
        digest: &Digest,
        mut blob: Blob,
        range: Option<Range<u64>>,
    ) -> Result<(Blob, Object)> {
        loop {
            let found = self.objects.read(blob.key, range.clone()).await?;
            if let Some(object) = found.filter(|object| object.size == blob.size) {
                return Ok((blob, object));
            }
            // Unless it was collected, or repaired under another key, since we looked.
            let now = self.find(digest).await?;
            if now.key == blob.key {
                return Err(self.damaged(digest, blob).await);
            }
            blob = now;
        }
    }

    /// Notes that a blob is damaged: nobody opens it any more.
    async fn damaged(&self, digest: &Digest, blob: Blob) -> Error {
        match blobs::mark_corrupt(&self.database, digest, blob.key).await {
            Ok(true) => tracing::error!(
                blob.digest = %digest,
                blob.key = %blob.key,
                "the stored bytes of {digest} are gone or changed: upload the same file again to repair it"
            ),
            // Another reader noted it before, or it was collected.
            Ok(false) => {}
            Err(error) => tracing::error!(%error, blob.digest = %digest, "damaged blob not marked"),
        }
        Error::Damaged(*digest)
    }

    fn checked(
        &self,
        digest: Digest,
        blob: Blob,
        object: Object,
        size: u64,
        hasher: Option<Hasher>,
    ) -> Download {
        let body = object.body.fuse();
        let artifacts = self.clone();
        let checked =
            Checked { artifacts, digest, blob, body, left: size, hasher, held: Bytes::new() };
        let body = stream::try_unfold(checked, |mut checked| async move {
            Ok(checked.next().await?.map(|chunk| (chunk, checked)))
        });
        Download { size, body: body.boxed() }
    }
}

/// A body that keeps its last chunk back until all of it was checked.
struct Checked {
    artifacts: Artifacts,
    digest: Digest,
    blob: Blob,
    body: Fuse<BoxStream<'static, Result<Bytes>>>,
    left: u64,
    hasher: Option<Hasher>,
    held: Bytes,
}

impl Checked {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(chunk) = self.body.try_next().await? {
            let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
                return Err(self.artifacts.damaged(&self.digest, self.blob).await);
            };
            self.left = left;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&chunk);
            }
            let ready = mem::replace(&mut self.held, chunk);
            if !ready.is_empty() {
                return Ok(Some(ready));
            }
        }
        let hasher = self.hasher.take();
        if self.left > 0 || hasher.is_some_and(|hasher| hasher.finish() != self.digest) {
            return Err(self.artifacts.damaged(&self.digest, self.blob).await);
        }
        Ok(Some(mem::take(&mut self.held)).filter(|last| !last.is_empty()))
    }
}
