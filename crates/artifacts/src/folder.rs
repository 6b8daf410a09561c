//! Objects as files of one folder.
//!
//! Files are written in place: until the row is there nobody looks at them. Each is synced before
//! that, and the folder after it, so that a row never names bytes that a loss of power can take.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use domain::BlobKey;
use futures_util::{StreamExt as _, stream};

use crate::{
    Error, Result,
    file::{self, FileWriter},
    objects::{Object, Objects, Writer},
};

/// How much is read at once.
const CHUNK: u64 = 256 << 10;

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
        let opened = file::run(&self.blobs, move || match File::open(path) {
            Ok(mut file) => {
                let size = file.metadata()?.len();
                let range = range.unwrap_or(0..size);
                file.seek(SeekFrom::Start(range.start))?;
                Ok(Some((file, size, range.end.saturating_sub(range.start))))
            }
            // An absent file in an absent folder is a disk that is not mounted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(&folder).map(|_| None)
            }
            Err(error) => Err(error),
        });
        let Some((file, size, length)) = opened.await? else { return Ok(None) };
        let folder = Arc::clone(&self.blobs);
        let body = stream::try_unfold((file, length), move |(file, left)| {
            let folder = Arc::clone(&folder);
            async move { file::run(&folder, move || next_chunk(file, left)).await }
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

type Chunk = Option<(Bytes, (File, u64))>;

/// Reads on. A file that ends too early ends the stream too early, which whoever verifies it sees.
fn next_chunk(file: File, left: u64) -> io::Result<Chunk> {
    let length = left.min(CHUNK);
    let mut chunk = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    (&file).take(length).read_to_end(&mut chunk)?;
    let left = left - chunk.len() as u64;
    Ok((!chunk.is_empty()).then(|| (chunk.into(), (file, left))))
}
