//! Files that are durable once they are finished.
//!
//! All that may wait for the disk runs on the pool for blocking work.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::{Error, Result, objects::Writer};

/// How much is best written at once.
pub(crate) const PART: usize = 4 << 20;

/// Runs work in this folder that may wait for the disk.
pub(crate) async fn run<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    ended(folder, spawn_blocking(work).await)
}

fn ended<T>(folder: &Path, work: Result<io::Result<T>, JoinError>) -> Result<T> {
    work?.map_err(|source| Error::folder(folder, source))
}

/// Makes what was done to the entries of this folder durable.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file that is being written: one part at a time, while the caller gathers the next.
pub(crate) struct FileWriter {
    folder: Arc<Path>,
    path: PathBuf,
    file: Arc<File>,
    /// How much was given so far.
    length: u64,
    /// At most one part.
    writing: JoinSet<io::Result<()>>,
}

impl FileWriter {
    /// Makes a file of this name, which must be a new one.
    pub async fn create(folder: Arc<Path>, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let create = {
            let path = path.clone();
            move || File::create_new(path)
        };
        let file = Arc::new(run(&folder, create).await?);
        Ok(Self { folder, path, file, length: 0, writing: JoinSet::new() })
    }

    async fn settle(&mut self) -> Result<()> {
        while let Some(written) = self.writing.join_next().await {
            ended(&self.folder, written)?;
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
        let (file, from) = (Arc::clone(&self.file), self.length);
        self.length += part.len() as u64;
        self.writing.spawn_blocking(move || {
            file.write_all_at(&part, from)?;
            begin_writeback(&file, from, part.len());
            Ok(())
        });
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.settle().await?;
        let (file, folder) = (Arc::clone(&self.file), Arc::clone(&self.folder));
        run(&self.folder, move || file.sync_all().and_then(|()| sync(&folder))).await
    }

    async fn abort(&mut self) {
        let path = self.path.clone();
        // A part that is still being written goes with the file: only its name is deleted.
        let _ = run(&self.folder, move || fs::remove_file(path)).await;
    }
}

/// Has the disk begin with these bytes, so that the sync at the end finds little left to wait for.
/// They stay in the cache: whoever sends a model has it tried, loaded or fetched next.
#[expect(unsafe_code, reason = "nix does not offer it")]
fn begin_writeback(file: &File, from: u64, length: usize) {
    let (Ok(from), Ok(length)) = (from.try_into(), length.try_into()) else { return };
    // Where it fails, the sync does all of the work, and is told of all errors anyway.
    // SAFETY: the descriptor is open as long as `file` is borrowed; no memory is handed over.
    let _begun = unsafe {
        libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE)
    };
}
