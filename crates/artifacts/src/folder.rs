//! Objects as files of one folder.
//!
//! Files are written in place: until the row is there nobody looks at them. Each is synced before
//! that, and the folder after it, so that a row never names bytes that a loss of power can take.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use domain::BlobKey;
use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use crate::{
    Error, Result,
    file::{self, FileWriter},
    objects::{Object, Objects, Writer},
    reading::{CHUNK, Reading},
};

/// A folder of blobs.
pub(crate) struct Folder {
    blobs: Arc<Path>,
}

impl Folder {
    /// The folder `blobs` in `root`; both are made if they are absent.
    pub fn open(root: &Path) -> Result<Self> {
        let blobs = root.join("blobs");
        let made = fs::create_dir_all(&blobs).and_then(|()| file::sync(root));
        made.map_err(|source| Error::folder(root, source))?;
        Ok(Self { blobs: blobs.into() })
    }

    fn path(&self, key: BlobKey) -> PathBuf {
        self.blobs.join(key.to_string())
    }

    async fn create(&self, key: BlobKey) -> Result<FileWriter> {
        FileWriter::create(Arc::clone(&self.blobs), &key.to_string()).await
    }
}

#[async_trait]
impl Objects for Folder {
    fn place(&self) -> String {
        format!("the folder {}", self.blobs.display())
    }

    fn part_size(&self) -> usize {
        file::PART
    }

    async fn put(&self, key: BlobKey, bytes: Bytes) -> Result<()> {
        let mut writer = self.create(key).await?;
        let written = match writer.write(bytes).await {
            Ok(()) => writer.finish().await,
            failed => failed,
        };
        if written.is_err() {
            writer.abort().await;
        }
        written
    }

    async fn begin(&self, key: BlobKey) -> Result<Box<dyn Writer>> {
        Ok(Box::new(self.create(key).await?.past_the_cache()))
    }

    async fn read(&self, key: BlobKey, range: Option<Range<u64>>) -> Result<Option<Object>> {
        let (path, folder) = (self.path(key), Arc::clone(&self.blobs));
        let opened = file::run(&self.blobs, move || match Reading::open(&path, range) {
            Ok(reading) => Ok(Some(Arc::new(reading))),
            // An absent file in an absent folder is a disk that is not mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(&folder).map(|_| None)
            }
            Err(error) => Err(error),
        });
        let Some(reading) = opened.await? else { return Ok(None) };
        let (folder, step) = (Arc::clone(&self.blobs), CHUNK as u64);
        let (size, start) = (reading.size, reading.range.start);
        let begin = move |from: u64| {
            let reading = Arc::clone(&reading);
            (from < reading.range.end).then(|| spawn_blocking(move || reading.chunk(from)))
        };
        let first = (begin(start), start + step);
        let body = stream::unfold(first, move |(reading, next)| {
            let (begin, folder) = (begin.clone(), Arc::clone(&folder));
            async move {
                let read = file::ended(&folder, reading?.await);
                let ahead = read.is_ok().then(|| begin(next)).flatten();
                Some((read, (ahead, next + step)))
            }
        });
        Ok(Some(Object { size, body: body.boxed() }))
    }

    async fn delete(&self, key: BlobKey, _multipart_id: Option<&str>) -> Result<()> {
        let path = self.path(key);
        let delete = move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        file::run(&self.blobs, delete).await
    }
}
