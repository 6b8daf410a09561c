//! The cluster's place on disk, and how a new one is made: whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    Error, account::Account, binaries::Binaries, bootstrap, child::Child, process::Process,
};

/// Where everything of the private Postgres lies.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// `DATA_DIR/postgres`: ours, whoever the server runs as.
    pub root: PathBuf,
}

/// What an existing cluster decides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    /// The major version that made it.
    pub major: u32,
    /// Whose it is.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Layout {
    /// Makes the directory that holds all others.
    pub fn prepare(data_dir: &Path) -> Result<Self, Error> {
        let root = data_dir.join("postgres");
        // As root, another user must be able to pass; what lies inside is closed to all but that one.
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        make_dir(&root, mode)?;
        Ok(Self { root })
    }

    /// The cluster.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// A cluster that is being made.
    fn unfinished(&self) -> PathBuf {
        self.root.join("data.new")
    }

    /// What the programs write.
    fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The existing cluster, if there is one.
    pub fn cluster(&self) -> Result<Option<Cluster>, Error> {
        let data = self.data();
        let metadata = match fs::metadata(&data) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::at("read", &data)(error)),
        };
        let (uid, gid) = (metadata.uid(), metadata.gid());
        match fs::read_to_string(data.join("PG_VERSION")) {
            Ok(version) => match version.trim().parse() {
                Ok(major) => Ok(Some(Cluster { major, uid, gid })),
                Err(_) => Err(Error::NotACluster { data }),
            },
            // A stranger's cluster cannot be read: say whose it is, rather than that it is broken.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::Owner { data, owner: uid })
            }
            Err(_) => Err(Error::NotACluster { data }),
        }
    }

    /// The log, emptied: it tells of one run, and so cannot grow for ever.
    pub fn open_log(&self) -> Result<File, Error> {
        let path = self.log();
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(Error::at("write", &path))
    }

    /// The end of the log.
    pub fn last_words(&self) -> String {
        const AT_MOST: u64 = 2000;
        let read = || -> io::Result<String> {
            let mut file = File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(AT_MOST)))?;
            let mut bytes = Vec::new();
            file.take(AT_MOST).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

/// Makes a cluster. It gets its name when it is complete and on disk, so a crash on the way leaves
/// only something to remove.
pub(super) async fn create(
    layout: &Layout,
    binaries: &Binaries,
    account: Account,
) -> Result<(), Error> {
    account.require_name()?;
    let (unfinished, data) = (layout.unfinished(), layout.data());
    remove_leftovers(&unfinished).await?;
    make_dir(&unfinished, 0o700)?;
    account.own(&unfinished)?;
    let made = fill(layout, binaries, account).await;
    if made.is_err() {
        remove_leftovers(&unfinished).await?;
        return made;
    }
    fs::rename(&unfinished, &data).map_err(Error::at("create", &data))?;
    let root = File::open(&layout.root).map_err(Error::at("read", &layout.root))?;
    root.sync_all().map_err(Error::at("write", &layout.root))
}

async fn fill(layout: &Layout, binaries: &Binaries, account: Account) -> Result<(), Error> {
    // Writing first and syncing once is twice as fast as syncing on the way.
    const MAKE: &[&str] =
        &["--auth=trust", "--no-locale", "--encoding=UTF8", "--no-instructions", "--no-sync"];
    let username = format!("--username={}", bootstrap::SUPERUSER);
    let make: Vec<&str> = MAKE.iter().copied().chain([username.as_str()]).collect();
    for arguments in [make.as_slice(), &["--sync-only"]] {
        // Half a cluster is of no use to anybody.
        let mut initdb = Child::new(&binaries.initdb(), account, &layout.root, Signal::SIGKILL)?;
        initdb.command.arg("-D").arg(layout.unfinished()).args(arguments);
        initdb.log_to(layout)?;
        let exit = Process::spawn(initdb).await?.exited().await;
        if !exit.success {
            let log = layout.last_words();
            return Err(Error::Initdb { data: layout.data(), status: exit.status, log });
        }
    }
    Ok(())
}

/// A program that initdb had running when it was killed may write on for a moment.
async fn remove_leftovers(path: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty
                    && Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(Error::at("remove", path)(error)),
        }
    }
}

/// A directory of exactly this mode, whatever the umask; one that exists is left as it is.
pub(super) fn make_dir(path: &Path, mode: u32) -> Result<(), Error> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(Error::at("prepare", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::at("create", path)(error)),
    }
}
