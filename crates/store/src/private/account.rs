//! Whom Postgres runs as: it refuses root, so a root Bottega must find somebody else.

use std::{
    fmt,
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::{
    sys::signal::Signal,
    unistd::{Gid, Uid, User, fchown, getegid, geteuid},
};

use super::{
    Error,
    binaries::Binaries,
    child::Child,
    cluster::{Cluster, Layout},
};

/// `nobody`: the same number everywhere.
pub(super) const NOBODY: u32 = 65534;

/// Whom Postgres runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// As ourselves, who are not root.
    Oneself,
    /// We are root: as this user.
    Other(Uid, Gid),
    /// We are root: in a user namespace where root is called `nobody`. The files stay root's and
    /// directories that are closed to others are no hindrance, but not every host allows it.
    Renamed,
}

impl Account {
    /// Chooses: an existing cluster's owner decides, else what works.
    pub fn choose(
        cluster: Option<&Cluster>,
        layout: &Layout,
        binaries: &Binaries,
    ) -> Result<Self, Error> {
        let root = geteuid().is_root();
        let account = match cluster {
            Some(cluster) if !root && cluster.uid != geteuid().as_raw() => {
                return Err(Error::Owner { data: layout.data(), owner: cluster.uid });
            }
            None | Some(_) if !root => Self::Oneself,
            Some(Cluster { uid: 0, .. }) => Self::Renamed,
            Some(cluster) => Self::Other(Uid::from_raw(cluster.uid), Gid::from_raw(cluster.gid)),
            None => Self::servant(),
        };
        match account.try_out(layout, binaries) {
            Ok(()) => Ok(account),
            Err(_)
                if root && cluster.is_none() && Self::Renamed.try_out(layout, binaries).is_ok() =>
            {
                Ok(Self::Renamed)
            }
            Err(Error::Run { source, .. }) if account == Self::Renamed => {
                Err(Error::OwnedByRoot { data: layout.data(), source })
            }
            Err(error) => Err(error),
        }
    }

    /// Debian's user for this very purpose, else the one that every system has.
    fn servant() -> Self {
        match User::from_name("postgres") {
            Ok(Some(user)) => Self::Other(user.uid, user.gid),
            Ok(None) | Err(_) => Self::Other(Uid::from_raw(NOBODY), Gid::from_raw(NOBODY)),
        }
    }

    /// Whether this account can enter our directory and run the binaries: the kernel knows best,
    /// with its access lists and security modules.
    pub fn try_out(self, layout: &Layout, binaries: &Binaries) -> Result<(), Error> {
        let program = binaries.postgres();
        let mut child = Child::new(&program, self, &layout.root, Signal::SIGKILL)?;
        match child.command.arg("--version").output() {
            Ok(output) if output.status.success() => Ok(()),
            Err(error) if error.raw_os_error() != Some(libc::EACCES) => {
                Err(Error::Run { program, account: self.to_string(), source: error })
            }
            Ok(_) | Err(_) => Err(self.blocked(&layout.root, &program)),
        }
    }

    /// Names what is in the way, as far as modes tell.
    fn blocked(self, dir: &Path, program: &Path) -> Error {
        let blocking = [dir, program].iter().find_map(|path| {
            let mut ancestors: Vec<&Path> = path.ancestors().collect();
            ancestors.reverse();
            let blocking = ancestors.into_iter().find(|ancestor| !self.may_execute(ancestor))?;
            Some((path.to_path_buf(), blocking.to_path_buf()))
        });
        let (path, blocking) = blocking.unwrap_or_else(|| (dir.to_owned(), dir.to_owned()));
        Error::Blocked { account: self.to_string(), path, blocking }
    }

    fn may_execute(self, path: &Path) -> bool {
        let (uid, gid) = self.ids();
        fs::metadata(path).is_ok_and(|metadata| {
            let bit = if metadata.uid() == uid.as_raw() {
                0o100
            } else if metadata.gid() == gid.as_raw() {
                0o010
            } else {
                0o001
            };
            metadata.mode() & bit != 0
        })
    }

    /// As whom its files are seen from outside.
    pub fn ids(self) -> (Uid, Gid) {
        match self {
            Self::Oneself | Self::Renamed => (geteuid(), getegid()),
            Self::Other(uid, gid) => (uid, gid),
        }
    }

    /// Makes a directory its own, closed to all others.
    pub fn own(self, dir: &Path) -> Result<(), Error> {
        let (uid, gid) = self.ids();
        // What lies in its place may not be a link that leads root to somebody else's directory.
        let mut open = OpenOptions::new();
        open.read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW);
        let opened = open.open(dir).map_err(Error::at("open directory", dir))?;
        fchown(&opened, Some(uid), Some(gid))
            .map_err(|error| Error::at("chown", dir)(error.into()))?;
        opened.set_permissions(Permissions::from_mode(0o700)).map_err(Error::at("chmod", dir))
    }

    /// initdb (alone) wants its user to have a name.
    pub fn require_name(self) -> Result<(), Error> {
        match self {
            Self::Oneself => match User::from_uid(geteuid()) {
                Ok(Some(_)) => Ok(()),
                Ok(None) | Err(_) => Err(Error::NoPasswdLine { uid: geteuid().as_raw() }),
            },
            Self::Other(..) | Self::Renamed => Ok(()),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uid, _) = self.ids();
        match User::from_uid(uid) {
            Ok(Some(user)) => write!(f, "user {}", user.name)?,
            Ok(None) | Err(_) => write!(f, "uid {uid}")?,
        }
        match self {
            Self::Renamed => f.write_str(" in a user namespace"),
            Self::Oneself | Self::Other(..) => Ok(()),
        }
    }
}
