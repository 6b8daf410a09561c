//! Which models were running in this process when it died.
//!
//! A model that ends the process it runs in leaves nothing behind that could tell. So each engine has a file
//! of one byte, mapped into memory: 1 while it loads or runs, 0 else. That is a store into memory and no
//! call to the kernel, and the kernel keeps it when the process dies. The next process in the same data
//! directory counts what was running, by digest: a model that was at two deaths is run apart from then
//! on.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use domain::{Digest, Signature, Tensor};
use memmap2::MmapMut;

use crate::{Engine, Error, sync::lock};

/// A model that was running at so many deaths is run apart.
const DEATHS: u32 = 2;

/// What is known of models that were running at deaths.
pub struct Journal {
    folder: PathBuf,
    /// By whom it was found running.
    deaths: BTreeMap<Digest, u32>,
    /// Those that have become suspect by the last death, until somebody says so.
    news: Mutex<Vec<Digest>>,
    next: AtomicU64,
    /// Held for as long as this process lives.
    _lock: File,
}

impl Journal {
    /// Reads what the process before left in this data directory, and begins anew.
    ///
    /// # Errors
    /// Another process is at work in it, or it cannot be read or written.
    pub fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join("running");
        fs::create_dir_all(&folder)?;
        let held = File::create(data.join("running.lock"))?;
        held.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process is at work in it"),
            TryLockError::Error(error) => error,
        })?;
        let path = data.join("crashes.json");
        let mut deaths: BTreeMap<Digest, u32> = match fs::read(&path) {
            // What somebody broke counts for nothing.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let running = left(&folder)?;
        let mut news = Vec::new();
        for &digest in &running {
            let count = deaths.entry(digest).or_default();
            *count = count.saturating_add(1);
            if *count == DEATHS {
                news.push(digest);
            }
        }
        if !running.is_empty() {
            let written = data.join("crashes.json.new");
            fs::write(&written, serde_json::to_vec_pretty(&deaths)?)?;
            fs::rename(written, path)?;
        }
        for entry in fs::read_dir(&folder)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self { folder, deaths, news: Mutex::new(news), next: AtomicU64::new(0), _lock: held })
    }

    /// Whether a model is to be run apart, as it was running at too many deaths.
    #[must_use]
    pub fn suspects(&self, digest: &Digest) -> bool {
        self.deaths.get(digest).is_some_and(|&deaths| deaths >= DEATHS)
    }

    /// Whether it became suspect by the last death, and nobody was told so far.
    #[must_use]
    pub fn is_news(&self, digest: &Digest) -> bool {
        let mut news = lock(&self.news);
        let before = news.len();
        news.retain(|it| it != digest);
        news.len() < before
    }

    /// Loads an engine that computes in this process, and keeps account of when it does.
    ///
    /// # Errors
    /// What `load` says, or [`Error::Cache`]: there is no place for its file.
    pub fn watch<E: Engine>(
        &self,
        digest: &Digest,
        load: impl FnOnce() -> Result<E, Error>,
    ) -> Result<Watched<E>, Error> {
        let place = self.next.fetch_add(1, Relaxed);
        let path = self.folder.join(format!("{}.{place}", digest.hex()));
        let mark = Mark::new(path).map_err(|error| Error::Cache {
            folder: self.folder.clone(),
            reason: error.to_string(),
        })?;
        let mut mark = mark;
        let engine = mark.during(load)?;
        Ok(Watched { engine, mark })
    }
}

/// The models that were running, each once.
fn left(folder: &Path) -> io::Result<Vec<Digest>> {
    let mut running = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let digest = entry.file_name().to_str().and_then(|name| {
            let (hex, _) = name.split_once('.')?;
            format!("sha256:{hex}").parse().ok()
        });
        let was_running = fs::read(entry.path())?.first() == Some(&1);
        running.extend(digest.filter(|_: &Digest| was_running));
    }
    running.sort_unstable();
    running.dedup();
    Ok(running)
}

/// The byte of one engine.
struct Mark {
    byte: MmapMut,
    path: PathBuf,
}

impl Mark {
    #[expect(unsafe_code, reason = "nobody else writes into this file while it is mapped")]
    fn new(path: PathBuf) -> io::Result<Self> {
        fs::write(&path, [0])?;
        let file = File::options().read(true).write(true).open(&path)?;
        // SAFETY: the folder is ours alone, by its lock; what is mapped is one byte, of which every value
        // is one.
        let byte = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { byte, path })
    }

    fn set(&mut self, value: u8) {
        if let Some(byte) = self.byte.first_mut() {
            *byte = value;
        }
    }

    /// Does this while it is marked as running. One that panics is not: the process goes on.
    fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        struct Marked<'a>(&'a mut Mark);
        impl Drop for Marked<'_> {
            fn drop(&mut self) {
                self.0.set(0);
            }
        }
        self.set(1);
        let _marked = Marked(self);
        work()
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // What stays says that nothing ran.
        drop(fs::remove_file(&self.path));
    }
}

/// An engine of which is known when it computes.
pub struct Watched<E> {
    engine: E,
    mark: Mark,
}

impl<E: Engine> Engine for Watched<E> {
    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn ends_runs_early(&self) -> bool {
        self.engine.ends_runs_early()
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let Self { engine, mark } = self;
        mark.during(|| engine.infer(inputs, deadline))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Copying(PathBuf, PathBuf);

    /// Runs by copying the journal as it is meanwhile: what a death would leave.
    impl Engine for Copying {
        fn signature(&self) -> &Signature {
            unreachable!("nobody asks")
        }

        fn infer(&mut self, _: &[Tensor], _: Instant) -> Result<Vec<Tensor>, Error> {
            copy(&self.0, &self.1);
            Ok(Vec::new())
        }
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to.join("running")).unwrap();
        for entry in fs::read_dir(from.join("running")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join("running").join(entry.file_name())).unwrap();
        }
    }

    #[test]
    fn what_ran_at_two_deaths_is_run_apart() {
        let (bad, good) = (Digest::of(b"bad"), Digest::of(b"good"));
        let folder = tempfile::tempdir().unwrap();
        let (mut data, mut deaths) = (folder.path().join("0"), Vec::new());
        fs::create_dir(&data).unwrap();
        for life in 1..=3 {
            let journal = Journal::open(&data).unwrap();
            assert!(Journal::open(&data).is_err());
            deaths.push((journal.suspects(&bad), journal.is_news(&bad), journal.is_news(&bad)));
            assert!(!journal.suspects(&good));
            let next = folder.path().join(life.to_string());
            let engine = |digest| {
                let engine = Copying(data.clone(), next.clone());
                journal.watch(digest, || Ok(engine)).unwrap()
            };
            let (mut bad, _idle) = (engine(&bad), engine(&good));
            bad.infer(&[], Instant::now()).unwrap();
            drop(bad);
            assert_eq!(left(&data.join("running")).unwrap(), []);
            if data.join("crashes.json").exists() {
                fs::copy(data.join("crashes.json"), next.join("crashes.json")).unwrap();
            }
            data = next;
        }
        assert_eq!(deaths, [(false, false, false), (false, false, false), (true, true, false)]);
    }

    #[test]
    fn a_failed_load_and_a_stop_leave_nothing() {
        let (folder, digest) = (tempfile::tempdir().unwrap(), Digest::of(b"x"));
        for _ in 0..3 {
            let journal = Journal::open(folder.path()).unwrap();
            let failed = journal.watch(&digest, || Err::<Copying, _>(Error::Memory));
            assert!(matches!(failed, Err(Error::Memory)));
            assert!(!journal.suspects(&digest));
        }
        fs::write(folder.path().join("crashes.json"), "broken").unwrap();
        assert!(!Journal::open(folder.path()).unwrap().suspects(&digest));
    }
}
