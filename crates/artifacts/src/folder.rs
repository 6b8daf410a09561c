//! Objects as files of one folder.
//!
//! Files are written in place: until the row is there nobody looks at them. Each is synced once, at
//! its end, and the folder after it, so that a row never names bytes that a loss of power can take.
//! All calls that may wait for the disk run on the pool for blocking work.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use domain::BlobKey;
use futures_util::{StreamExt as _, stream};
use tokio::task::{JoinSet, spawn_blocking};

use crate::{
    Error, Result,
    objects::{Object, Objects, Writer},
};

const PART: usize = 1 << 20;
const CHUNK: u64 = 256 << 10;
const SYNCED_EVERY: usize = 32 << 20;

/// A folder of blobs.
#[derive(Clone)]
pub(crate) struct Folder {
    blobs: Arc<Path>,
}

impl Folder {
    /// The folder `blobs` in `root`; both are made if they are absent.
    pub fn open(root: &Path) -> Result<Self> {
        let blobs = root.join("blobs");
        let made = fs::create_dir_all(&blobs).and_then(|()| sync(root));
        made.map_err(|source| Error::folder(root, source))?;
        Ok(Self { blobs: blobs.into() })
    }

    fn path(&self, key: BlobKey) -> PathBuf {
        self.blobs.join(key.to_string())
    }

    /// Runs what may wait for the disk.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        spawn_blocking(work).await?.map_err(|source| self.fault(source))
    }

    fn fault(&self, source: io::Error) -> Error {
        Error::folder(&self.blobs, source)
    }
}

/// Makes what was done to the entries of this folder durable.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[async_trait]
impl Objects for Folder {
    fn place(&self) -> String {
        format!("the folder {}", self.blobs.display())
    }

    fn part_size(&self) -> usize {
        PART
    }

    async fn put(&self, key: BlobKey, bytes: Bytes) -> Result<()> {
        let mut writer = self.begin(key).await?;
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
        let path = self.path(key);
        let create = {
            let path = path.clone();
            move || File::create_new(path)
        };
        let file = Arc::new(self.run(create).await?);
        Ok(Box::new(FileWriter {
            folder: self.clone(),
            path,
            file,
            writing: JoinSet::new(),
            unsynced: 0,
            syncing: JoinSet::new(),
        }))
    }

    async fn read(&self, key: BlobKey, range: Option<Range<u64>>) -> Result<Option<Object>> {
        let (path, blobs) = (self.path(key), Arc::clone(&self.blobs));
        let opened = self.run(move || match File::open(path) {
            Ok(mut file) => {
                let size = file.metadata()?.len();
                let range = range.unwrap_or(0..size);
                file.seek(SeekFrom::Start(range.start))?;
                Ok(Some((file, size, range.end.saturating_sub(range.start))))
            }
            // An absent file in an absent folder is a disk that is not mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(&blobs).map(|_| None)
            }
            Err(error) => Err(error),
        });
        let Some((file, size, length)) = opened.await? else { return Ok(None) };
        let folder = self.clone();
        let body = stream::try_unfold((file, length), move |(file, left)| {
            let folder = folder.clone();
            async move { folder.run(move || next_chunk(file, left)).await }
        });
        Ok(Some(Object { size, body: body.boxed() }))
    }

    async fn delete(&self, key: BlobKey, _multipart_id: Option<&str>) -> Result<()> {
        let path = self.path(key);
        self.run(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        })
        .await
    }
}

type Chunk = Option<(Bytes, (File, u64))>;

/// Reads on. A file that ends too early ends the stream too early, which whoever verifies it sees.
fn next_chunk(file: File, left: u64) -> io::Result<Chunk> {
    let length = left.min(CHUNK);
    let mut chunk = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    (&file).take(length).read_to_end(&mut chunk)?;
    let left = left - chunk.len() as u64;
    Ok((!chunk.is_empty()).then(|| (chunk.into(), (file, left))))
}

/// A file that is being written: one part at a time, while the caller gathers the next.
struct FileWriter {
    folder: Folder,
    path: PathBuf,
    file: Arc<File>,
    /// At most one part.
    writing: JoinSet<io::Result<()>>,
    /// Bytes that were written since the last sync began.
    unsynced: usize,
    /// At most one sync, beside the writing, so that little is left to do at the end.
    syncing: JoinSet<io::Result<()>>,
}

impl FileWriter {
    async fn settle(&mut self) -> Result<()> {
        while let Some(written) = self.writing.join_next().await {
            written?.map_err(|source| self.folder.fault(source))?;
        }
        Ok(())
    }

    fn sync_early(&mut self) -> Result<()> {
        if let Some(synced) = self.syncing.try_join_next() {
            synced?.map_err(|source| self.folder.fault(source))?;
        }
        if self.unsynced >= SYNCED_EVERY && self.syncing.is_empty() {
            self.unsynced = 0;
            let file = Arc::clone(&self.file);
            self.syncing.spawn_blocking(move || file.sync_data());
        }
        Ok(())
    }
}

#[async_trait]
impl Writer for FileWriter {
    fn multipart_id(&self) -> Option<&str> {
        None
    }

    async fn write(&mut self, part: Bytes) -> Result<()> {
        self.settle().await?;
        self.sync_early()?;
        self.unsynced += part.len();
        let file = Arc::clone(&self.file);
        self.writing.spawn_blocking(move || (&*file).write_all(&part));
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.settle().await?;
        let (file, folder) = (Arc::clone(&self.file), Arc::clone(&self.folder.blobs));
        self.folder.run(move || file.sync_all().and_then(|()| sync(&folder))).await
    }

    async fn abort(&mut self) {
        let path = self.path.clone();
        // A part that is still being written goes with the file: only its name is deleted.
        let _ = self.folder.run(move || fs::remove_file(path)).await;
    }
}
