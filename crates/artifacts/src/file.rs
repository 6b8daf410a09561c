//! Files that are durable once they are finished.
//!
//! All that may wait for the disk runs on the pool for blocking work.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::{Error, Result, objects::Writer};

/// How much is best written at once.
pub(crate) const PART: usize = 1 << 20;
/// How much may be left to sync at the end.
const UNSYNCED: usize = 32 << 20;

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
    /// At most one part.
    writing: JoinSet<io::Result<()>>,
    /// At most one sync beside it, so that the disk does not only begin to work at the end.
    syncing: JoinSet<io::Result<()>>,
    unsynced: usize,
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
        let (writing, syncing) = (JoinSet::new(), JoinSet::new());
        Ok(Self { folder, path, file, writing, syncing, unsynced: 0 })
    }

    async fn settle(&mut self) -> Result<()> {
        while let Some(written) = self.writing.join_next().await {
            ended(&self.folder, written)?;
        }
        Ok(())
    }

    fn sync_early(&mut self) -> Result<()> {
        if let Some(synced) = self.syncing.try_join_next() {
            ended(&self.folder, synced)?;
        }
        if self.unsynced >= UNSYNCED && self.syncing.is_empty() {
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
        // An early sync may have been told of an error that this one would not be told again.
        while let Some(synced) = self.syncing.join_next().await {
            ended(&self.folder, synced)?;
        }
        let (file, folder) = (Arc::clone(&self.file), Arc::clone(&self.folder));
        run(&self.folder, move || file.sync_all().and_then(|()| sync(&folder))).await
    }

    async fn abort(&mut self) {
        let path = self.path.clone();
        // A part that is still being written goes with the file: only its name is deleted.
        let _ = run(&self.folder, move || fs::remove_file(path)).await;
    }
}
