//! One Bottega for each data directory.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::Error;

const FILE: &str = "bottega.lock";

/// The right to use a data directory, held until it is dropped or the process ends, however.
#[derive(Debug)]
pub struct DataDirLock {
    dir: PathBuf,
    _file: File,
}

impl DataDirLock {
    /// Takes a data directory, making it where it is missing.
    ///
    /// # Errors
    /// Another process has it, or it can be neither made nor written.
    pub fn acquire(dir: &Path) -> Result<Self, Error> {
        make(dir)?;
        let dir = fs::canonicalize(dir).map_err(Error::at("enter", dir))?;
        let path = dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(Error::at("write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(file, dir)),
            Err(TryLockError::Error(error)) => return Err(Error::at("lock", &path)(error)),
        }
        // The file stays when we end: removing it would let two hold "the" lock, old and new.
        write_pid(&mut file).map_err(Error::at("write", &path))?;
        Ok(Self { dir, _file: file })
    }

    /// The data directory, absolute and without symbolic links.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Others get to pass through a data directory of root's, but not to look: Postgres must pass.
fn make(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(Error::at("create", parent))?;
    }
    let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().mode(mode).create(dir).map_err(Error::at("create", dir))?;
    // Whatever the umask took away.
    fs::set_permissions(dir, Permissions::from_mode(mode)).map_err(Error::at("prepare", dir))
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(mut file: File, dir: PathBuf) -> Error {
    let mut pid = String::new();
    // A holder that has not written yet is a holder all the same.
    let pid = match file.read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => pid.trim().to_owned(),
        Ok(_) | Err(_) => "unknown".to_owned(),
    };
    Error::InUse { pid, dir }
}
