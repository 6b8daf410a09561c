//! Environments for Python versions: `FOLDER/HEX`, one for each locked list of packages.
//!
//! `uv` finds the packages and builds the environment from wheels: beside its place, renamed when it is
//! whole, its files hard links into uv's own cache, so that a second one with the same packages costs
//! little. Nothing in it changes after. The folder is bounded as that of models' files is, and whoever
//! uses an environment holds a shared lock on it.
//!
//! No interpreter is downloaded: a version runs on the machine's own.

mod interpreter;
mod uv;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    Digest,
    python::{Lock, PythonVersion, Requirement},
};
use tokio::sync::Semaphore;

use self::{interpreter::Interpreter, uv::Uv};
use crate::{
    Error,
    cache::{beside, blocking, broken, hold, remove, remove_abandoned, room},
    sync::lock,
};

/// Environments that are built at once; each takes a core while its modules are compiled.
const BUILDS_AT_ONCE: usize = 2;
/// A longer list of packages is refused.
const LONGEST_LOCK: usize = 4 << 20;

/// Where packages and interpreters come from.
#[derive(Debug, Clone)]
pub struct EnvironmentSettings {
    /// The program `uv`; absent: looked for on the path.
    pub uv: Option<PathBuf>,
    /// The index of packages: a URL, or `none`; absent: PyPI.
    pub index: Option<String>,
    /// Folders or pages of wheels besides.
    pub find_links: Vec<String>,
    /// Whether packages that come as source are built, which runs their code with this process's rights.
    pub builds: bool,
    /// Folders of interpreters besides those on the path.
    pub pythons: Vec<PathBuf>,
    /// uv's own cache; absent: beside the environments.
    pub uv_cache: Option<PathBuf>,
    /// How many bytes environments may take.
    pub limit: u64,
    /// How long one step of a build may take.
    pub time: Duration,
}

impl Default for EnvironmentSettings {
    /// PyPI, wheels alone, 20 GiB, 10 minutes.
    fn default() -> Self {
        Self {
            uv: None,
            index: None,
            find_links: Vec::new(),
            builds: false,
            pythons: Vec::new(),
            uv_cache: None,
            limit: 20 << 30,
            time: Duration::from_mins(10),
        }
    }
}

/// Why there is no environment.
#[derive(Debug)]
pub enum Unbuilt {
    /// What was asked for cannot be had here, in words for the version's author.
    Reason(String),
    /// The index did not answer: perhaps later.
    Away(String),
    /// A fault of ours.
    Fault(Error),
}

/// An environment on this node. It stays for as long as this is held.
#[derive(Debug)]
pub struct Environment {
    /// Its folder.
    pub folder: PathBuf,
    /// Its interpreter.
    pub python: PathBuf,
    /// The installation that the interpreter is a part of.
    pub base: PathBuf,
    /// Locked by all who use it.
    _held: File,
}

/// The environments of one node.
pub struct Environments {
    folder: PathBuf,
    settings: EnvironmentSettings,
    /// Who builds an environment holds its turn; the others wait and find it there.
    turns: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    builds: Semaphore,
}

impl Environments {
    /// Those in this folder, which is made if it is absent.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn new(folder: PathBuf, settings: EnvironmentSettings) -> Result<Self, Error> {
        fs::create_dir_all(&folder)
            .and_then(|()| remove_abandoned(&folder))
            .map_err(|error| broken(&folder, error))?;
        let builds = Semaphore::new(BUILDS_AT_ONCE);
        Ok(Self { folder, settings, turns: Mutex::default(), builds })
    }

    /// The packages that a model gets that wants these, on the machine's Python that is nearest to the
    /// one it was made with.
    ///
    /// # Errors
    /// No such Python is here; a requirement does not exist, conflicts with another one or has no wheel
    /// for this Python.
    pub async fn lock(
        &self,
        python: PythonVersion,
        requirements: &[Requirement],
    ) -> Result<Lock, Unbuilt> {
        let uv = self.uv()?;
        let interpreter = Interpreter::find(&uv, python).await?;
        let listed: String = requirements.iter().map(|it| format!("{it}\n")).collect();
        let mut arguments = words([
            "pip",
            "compile",
            "--quiet",
            "-",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
        ]);
        arguments.extend(["--python".into(), interpreter.path.into_os_string()]);
        arguments.extend(uv.sources());
        let packages = uv.run(arguments, Some(listed)).await?;
        if packages.len() > LONGEST_LOCK {
            return Err(Unbuilt::Reason("it needs more packages than can be listed".to_owned()));
        }
        Ok(Lock { python: interpreter.version, packages })
    }

    /// Whether an environment is here already.
    #[must_use]
    pub fn has(&self, lock: &Lock) -> bool {
        is_sound(&self.folder.join(lock.digest().hex()))
    }

    /// The environment of these packages, built if it is not here yet.
    ///
    /// # Errors
    /// As for [`Self::lock`]; the disk is full or broken.
    pub async fn provide(&self, list: &Lock) -> Result<Environment, Unbuilt> {
        let digest = list.digest();
        let turn = Arc::clone(lock(&self.turns).entry(digest).or_default());
        let held = turn.lock().await;
        let environment = self.find_or_build(list, &digest).await;
        drop(held);
        drop(turn);
        lock(&self.turns).retain(|_, turn| Arc::strong_count(turn) > 1);
        environment
    }

    async fn find_or_build(&self, list: &Lock, digest: &Digest) -> Result<Environment, Unbuilt> {
        let place = self.folder.join(digest.hex());
        let fault = |error| Unbuilt::Fault(broken(&self.folder, error));
        if let Some(held) = hold(&place).map_err(fault)? {
            if is_sound(&place) {
                return Environment::at(place, held).map_err(fault);
            }
            // Its interpreter was removed or replaced.
            tracing::warn!(environment = %place.display(), "an environment does not run: building it anew");
            drop(held);
            remove(&self.folder, digest).await.map_err(Unbuilt::Fault)?;
        }
        let _permit = self.builds.acquire().await;
        self.build(list, &place).await?;
        let gone = || io::Error::other("environments are removed as soon as they are built");
        let held = hold(&place).and_then(|held| held.ok_or_else(gone)).map_err(fault)?;
        let (folder, limit) = (self.folder.clone(), self.settings.limit);
        let made = blocking(self.folder.clone(), move || room::make(&folder, limit)).await;
        made.map_err(Unbuilt::Fault)?;
        Environment::at(place, held).map_err(fault)
    }

    async fn build(&self, list: &Lock, place: &Path) -> Result<(), Unbuilt> {
        let fault = |error| Unbuilt::Fault(broken(&self.folder, error));
        let uv = self.uv()?;
        let interpreter = Interpreter::find(&uv, list.python).await?;
        let unfinished = beside(&self.folder).map_err(fault)?;
        let mut arguments = words([
            "venv",
            "--quiet",
            "--relocatable",
            "--allow-existing",
            "--no-project",
            "--python",
        ]);
        arguments.extend([interpreter.path.into_os_string(), unfinished.path().into()]);
        uv.run(arguments, None).await?;
        let packages = unfinished.path().join("packages.txt");
        fs::write(&packages, &list.packages).map_err(fault)?;
        // The worker may not write beside the modules, so they are compiled now.
        let mut arguments = words([
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--compile-bytecode",
            "--link-mode",
            "hardlink",
        ]);
        arguments
            .extend(["--python".into(), unfinished.path().join("bin/python").into_os_string()]);
        arguments.extend(uv.sources());
        arguments.push(packages.into_os_string());
        uv.run(arguments, None).await?;
        match fs::rename(unfinished.path(), place) {
            // Another process was faster, with the same packages.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            renamed => renamed.map_err(fault),
        }
    }

    fn uv(&self) -> Result<Uv<'_>, Unbuilt> {
        Uv::find(&self.settings, &self.folder)
    }
}

impl Environment {
    fn at(folder: PathBuf, held: File) -> io::Result<Self> {
        let told = fs::read_to_string(folder.join("pyvenv.cfg"))?;
        let home = told.lines().find_map(|line| line.strip_prefix("home = ")).unwrap_or_default();
        let base = Path::new(home.trim()).parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { python: folder.join("bin/python"), base, folder, _held: held })
    }
}

/// Whether it is whole and its interpreter is still there.
fn is_sound(folder: &Path) -> bool {
    folder.join("pyvenv.cfg").is_file() && folder.join("bin/python").is_file()
}

fn words<const N: usize>(arguments: [&str; N]) -> Vec<std::ffi::OsString> {
    arguments.map(Into::into).to_vec()
}

#[cfg(test)]
mod tests;
