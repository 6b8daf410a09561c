//! Room in the cache: what was not used for longest goes.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{UNFINISHED, beside};

/// One finished folder.
struct Finished {
    path: PathBuf,
    used_at: SystemTime,
    bytes: u64,
}

/// Removes folders that nobody uses, the longest unused first, until all take no more than `limit`
/// bytes. Several processes may do so at once.
pub(crate) fn make(cache: &Path, limit: u64) -> io::Result<()> {
    let mut finished = Vec::new();
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        // Another process may just have removed it.
        if let Some(folder) = present(look(entry.path()))? {
            finished.push(folder);
        }
    }
    finished.sort_by_key(|folder| folder.used_at);
    let mut total: u64 = finished.iter().map(|folder| folder.bytes).sum();
    for folder in finished {
        if total <= limit {
            break;
        }
        if present(remove_unused(cache, &folder.path))?.unwrap_or(true) {
            tracing::info!(folder = %folder.path.display(), bytes = folder.bytes, "removed from the cache");
            total -= folder.bytes;
        }
    }
    Ok(())
}

fn look(path: PathBuf) -> io::Result<Finished> {
    let used_at = fs::metadata(&path)?.modified()?;
    let bytes = size(&path)?;
    Ok(Finished { path, used_at, bytes })
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let (kind, entry) = entry.and_then(|entry| Ok((entry.file_type()?, entry)))?;
        bytes += if kind.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Whether the folder was removed: not if somebody uses it.
fn remove_unused(cache: &Path, path: &Path) -> io::Result<bool> {
    let folder = File::open(path)?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Out of its place first, so that none is ever half there.
    let bin = beside(cache)?;
    fs::rename(path, bin.path().join("removed"))?;
    bin.close()?;
    Ok(true)
}

/// What came of looking at something, if it was there.
fn present<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        looked => looked.map(Some),
    }
}
