//! The node's copies of versions' files: `DIR/HEX/…`, one folder for each manifest.
//!
//! A folder is filled beside its place and renamed into it when every file in it is whole, has its
//! digest and is on disk: what is in its place is complete. Nothing in it changes after, and
//! several processes may share one cache. Disks rot, so a folder that is there is verified before
//! it is served from, unless that is switched off; a rotten one is fetched anew, once.
//!
//! The cache is bounded ([`room`]): what was not used for longest goes first. Whoever uses a folder
//! holds a shared lock on it, so that no process removes what another one is about to load.

pub(crate) mod room;

use std::{
    collections::HashMap,
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Read},
    ops::Deref,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use artifacts::Artifacts;
use domain::{Digest, FileEntry, FilePath, Hasher, Manifest};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::{Error, ModelFolder, sync::lock};

/// What an unfinished folder's name begins with.
const UNFINISHED: &str = ".unfinished-";
/// An unfinished folder of this age belongs to a process that died.
const ABANDONED: Duration = Duration::from_hours(24);

/// What may be set of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// Whether all files of a folder are read again before it is used (about 1.5 GB/s).
    pub verify: bool,
    /// How many bytes it may take. One version that is larger is kept while it is used.
    pub limit: u64,
}

impl Default for CacheSettings {
    /// Verified, 20 GiB.
    fn default() -> Self {
        Self { verify: true, limit: 20 << 30 }
    }
}

/// A version's files in the cache. They stay there for as long as this is held.
#[derive(Debug)]
pub struct CachedFolder {
    folder: ModelFolder,
    /// Locked by all who use it.
    _held: File,
}

impl Deref for CachedFolder {
    type Target = ModelFolder;

    fn deref(&self) -> &ModelFolder {
        &self.folder
    }
}

/// The cache of one node.
pub struct ModelCache {
    folder: PathBuf,
    artifacts: Artifacts,
    settings: CacheSettings,
    /// Who looks after a folder holds its turn; the others wait and find it there.
    turns: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl ModelCache {
    /// The cache in this folder, which is made if it is absent.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn new(
        folder: PathBuf,
        artifacts: Artifacts,
        settings: CacheSettings,
    ) -> Result<Self, Error> {
        fs::create_dir_all(&folder)
            .and_then(|()| remove_abandoned(&folder))
            .map_err(|error| broken(&folder, error))?;
        Ok(Self { folder, artifacts, settings, turns: Mutex::default() })
    }

    /// A version's files on this node's disk, fetched if they are not there yet. `file` is the one
    /// to load.
    ///
    /// # Errors
    /// The manifest has no such file; a blob is gone or damaged; the disk is full or broken.
    pub async fn folder(
        &self,
        manifest: &Manifest,
        file: &FilePath,
    ) -> Result<CachedFolder, Error> {
        let digest = manifest.digest();
        let turn = Arc::clone(lock(&self.turns).entry(digest).or_default());
        let held = turn.lock().await;
        let fetch = |digest: Digest, to: PathBuf| async move {
            self.artifacts.fetch(&digest, &to).await.map(drop).map_err(Error::from)
        };
        let folder = provide(&self.folder, manifest, file, self.settings, fetch).await;
        drop(held);
        drop(turn);
        lock(&self.turns).retain(|_, turn| Arc::strong_count(turn) > 1);
        folder
    }

    /// Files in a folder of their own, which is deleted with the answer.
    ///
    /// # Errors
    /// A blob is gone or damaged; the disk is full or broken.
    pub async fn lent(&self, files: &Manifest) -> Result<TempDir, Error> {
        let folder = beside(&self.folder).map_err(|error| broken(&self.folder, error))?;
        let fetch = |digest: Digest, to: PathBuf| async move {
            self.artifacts.fetch(&digest, &to).await.map(drop).map_err(Error::from)
        };
        fetch_all(&self.folder, folder.path(), files, fetch).await?;
        Ok(folder)
    }
}

async fn provide<F: Future<Output = Result<(), Error>>>(
    cache: &Path,
    manifest: &Manifest,
    file: &FilePath,
    CacheSettings { verify, limit }: CacheSettings,
    fetch: impl Fn(Digest, PathBuf) -> F,
) -> Result<CachedFolder, Error> {
    let digest = manifest.digest();
    if manifest.get(file).is_none() {
        return Err(Error::Model(format!("its files hold no `{file}`")));
    }
    let place = cache.join(digest.hex());
    let folder = ModelFolder { path: place, file: file.clone(), bytes: manifest.size() };
    let present = hold(&folder.path).map_err(|error| broken(cache, error))?;
    let damaged = match present {
        Some(held) if !verify || is_sound(&folder.path, manifest).await => {
            return Ok(CachedFolder { folder, _held: held });
        }
        present => present.is_some(),
    };
    if damaged {
        tracing::warn!(version.digest = %digest, "cached files are damaged: fetching them anew");
        remove(cache, &digest).await?;
    }
    fill(cache, manifest, fetch).await?;
    if damaged && !is_sound(&folder.path, manifest).await {
        remove(cache, &digest).await?;
        let what = io::Error::other("files are damaged as soon as they are written");
        return Err(broken(cache, what));
    }
    let gone = || io::Error::other("files are removed as soon as they are written");
    let held = hold(&folder.path).and_then(|held| held.ok_or_else(gone));
    let held = held.map_err(|error| broken(cache, error))?;
    let place = cache.to_owned();
    blocking(cache.to_owned(), move || room::make(&place, limit)).await?;
    Ok(CachedFolder { folder, _held: held })
}

/// Locks a folder for use, and notes that it is used now; none if it is not there.
pub(crate) fn hold(place: &Path) -> io::Result<Option<File>> {
    loop {
        let held = match File::open(place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        held.lock_shared()?;
        held.set_modified(SystemTime::now())?;
        // Whoever removes a folder takes it out of its place: then this is another one, or none.
        let there = match fs::metadata(place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        if there.ino() == held.metadata()?.ino() {
            return Ok(Some(held));
        }
    }
}

/// Makes a version's folder.
async fn fill<F: Future<Output = Result<(), Error>>>(
    cache: &Path,
    manifest: &Manifest,
    fetch: impl Fn(Digest, PathBuf) -> F,
) -> Result<(), Error> {
    let unfinished = beside(cache).map_err(|error| broken(cache, error))?;
    fetch_all(cache, unfinished.path(), manifest, fetch).await?;
    let (cache, place) = (cache.to_owned(), cache.join(manifest.digest().hex()));
    blocking(cache.clone(), move || {
        sync_folders(unfinished.path())?;
        match fs::rename(unfinished.path(), place) {
            // Another process was faster, with the same files.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            renamed => renamed.and_then(|()| File::open(cache)?.sync_all()),
        }
    })
    .await
}

/// Fetches files into a folder within the cache.
async fn fetch_all<F: Future<Output = Result<(), Error>>>(
    cache: &Path,
    folder: &Path,
    manifest: &Manifest,
    fetch: impl Fn(Digest, PathBuf) -> F,
) -> Result<(), Error> {
    for (path, entry) in manifest.files() {
        let to = folder.join(path.as_str());
        make_folders(folder, path).map_err(|error| broken(cache, error))?;
        fetch(entry.digest, to.clone()).await?;
        let size = fs::metadata(&to).map_err(|error| broken(cache, error))?.len();
        if size != entry.size {
            let expected = entry.size;
            return Err(Error::Model(format!(
                "its file `{path}` has {size} bytes, but its manifest says {expected}"
            )));
        }
        fs::set_permissions(&to, Permissions::from_mode(0o444))
            .map_err(|error| broken(cache, error))?;
    }
    Ok(())
}

/// Whether all files are there and have their digests. What cannot be read is not sound.
async fn is_sound(folder: &Path, manifest: &Manifest) -> bool {
    let files: Vec<(PathBuf, FileEntry)> =
        manifest.files().map(|(path, entry)| (folder.join(path.as_str()), *entry)).collect();
    let sound = move || files.iter().all(|(path, entry)| has_content(path, entry).unwrap_or(false));
    spawn_blocking(sound).await.unwrap_or(false)
}

fn has_content(path: &Path, entry: &FileEntry) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != entry.size {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut buffer)?;
        let Some(bytes @ [_, ..]) = buffer.get(..count) else { break };
        hasher.update(bytes);
    }
    Ok(hasher.finish() == entry.digest)
}

/// Takes a folder out of its place first, so that none is ever half there.
pub(crate) async fn remove(cache: &Path, digest: &Digest) -> Result<(), Error> {
    let (cache, place) = (cache.to_owned(), cache.join(digest.hex()));
    blocking(cache.clone(), move || {
        let bin = beside(&cache)?;
        match fs::rename(place, bin.path().join("removed")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            renamed => renamed.and_then(|()| bin.close()),
        }
    })
    .await
}

/// A folder beside the places of finished ones, deleted unless it is renamed into one.
pub(crate) fn beside(cache: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(cache)
}

/// The folders that a file is in. Whoever may enter the cache may read them, as a trial must.
fn make_folders(root: &Path, file: &FilePath) -> io::Result<()> {
    let mut folder = root.to_owned();
    fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
    for part in file.parent().split('/').filter(|part| !part.is_empty()) {
        folder.push(part);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                made.and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(0o755)))?
            }
        }
    }
    Ok(())
}

/// Puts a folder's names on disk; its files' contents are there already.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

pub(crate) fn remove_abandoned(cache: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        // Another process may be at work on a young one, or have just removed it.
        let age = entry.metadata().and_then(|file| file.modified()).map(|time| time.elapsed());
        if unfinished && matches!(age, Ok(Ok(age)) if age > ABANDONED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

pub(crate) async fn blocking(
    cache: PathBuf,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
        .map_err(|error| broken(&cache, error))
}

pub(crate) fn broken(folder: &Path, error: io::Error) -> Error {
    Error::Cache { folder: folder.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
