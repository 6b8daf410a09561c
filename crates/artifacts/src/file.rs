//! Files that are durable once they are finished.
//!
//! All that may wait for the disk runs on the pool for blocking work.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::{Error, Result, objects::Writer};

/// How much is best written at once.
pub(crate) const PART: usize = 4 << 20;
/// How many parts are written at a time: a disk is idle between two of them that wait for each other.
const AT_ONCE: usize = 2;
/// How much of what went through the cache may be left to sync at the end.
const UNSYNCED: usize = 32 << 20;

/// Runs work in this folder that may wait for the disk.
pub(crate) async fn run<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    ended(folder, spawn_blocking(work).await)
}

/// What came of work in this folder.
pub(crate) fn ended<T>(folder: &Path, work: Result<io::Result<T>, JoinError>) -> Result<T> {
    work?.map_err(|source| Error::folder(folder, source))
}

/// Makes what was done to the entries of this folder durable.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file that is being written, a few parts at a time, while the caller gathers the next.
pub(crate) struct FileWriter {
    folder: Arc<Path>,
    path: PathBuf,
    file: Arc<File>,
    /// Whether parts go to the disk at once, past the cache.
    direct: Arc<AtomicBool>,
    /// Where the next part goes.
    end: u64,
    /// At most [`AT_ONCE`] parts.
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
        let (direct, writing, syncing) = (Arc::default(), JoinSet::new(), JoinSet::new());
        Ok(Self { folder, path, file, direct, end: 0, writing, syncing, unsynced: 0 })
    }

    /// From here on parts go past the cache, where the file system can do that: half the work for
    /// a long file that must be on the disk in the end, and the cache keeps what others read.
    pub fn past_the_cache(self) -> Self {
        let direct = fcntl(&self.file, FcntlArg::F_SETFL(OFlag::O_DIRECT)).is_ok();
        self.direct.store(direct, Ordering::Relaxed);
        self
    }

    /// Waits until so few parts are being written.
    async fn settle(&mut self, left: usize) -> Result<()> {
        while self.writing.len() > left
            && let Some(written) = self.writing.join_next().await
        {
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
        self.settle(AT_ONCE - 1).await?;
        self.sync_early()?;
        let (file, direct) = (Arc::clone(&self.file), Arc::clone(&self.direct));
        if !direct.load(Ordering::Relaxed) {
            self.unsynced += part.len();
        }
        let at = self.end;
        self.end += part.len() as u64;
        self.writing.spawn_blocking(move || write_all(&file, &direct, at, &part));
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.settle(0).await?;
        // An early sync may have been told of an error that this one would not be told again.
        while let Some(synced) = self.syncing.join_next().await {
            ended(&self.folder, synced)?;
        }
        let (file, folder) = (Arc::clone(&self.file), Arc::clone(&self.folder));
        run(&self.folder, move || file.sync_all().and_then(|()| sync(&folder))).await
    }

    async fn abort(&mut self) {
        let path = self.path.clone();
        // Parts that are still being written go with the file: only its name is deleted.
        let _ = run(&self.folder, move || fs::remove_file(path)).await;
    }
}

fn write_all(file: &File, direct: &AtomicBool, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
    let mut was_cached = false;
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                bytes = &bytes[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Only whole blocks go past the cache: the end of a file seldom does.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && !was_cached => {
                was_cached = true;
                direct.store(false, Ordering::Relaxed);
                fcntl(file, FcntlArg::F_SETFL(OFlag::empty()))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
