//! A program of Postgres' that is about to be run: as whom, where, and never longer than we live.

use std::{
    ffi::CString,
    io,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    fcntl::{OFlag, open},
    sys::{prctl, signal::Signal, stat::Mode},
    unistd::{self, Pid},
};

use super::{Error, account::Account, cluster::Layout};

/// A program with all that is the same for each of them. Arguments are still to be added.
pub(super) struct Child {
    pub program: PathBuf,
    pub account: Account,
    pub command: Command,
    /// What it gets when we die, or lose interest.
    pub farewell: Signal,
}

impl Child {
    /// Prepares a program to run in a directory, as an account, with nothing of our environment
    /// (which holds secrets, and variables that Postgres heeds) and out of reach of Ctrl-C.
    pub fn new(
        program: &Path,
        account: Account,
        dir: &Path,
        farewell: Signal,
    ) -> Result<Self, Error> {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
        if let Account::Other(uid, gid) = account {
            // This drops the supplementary groups as well.
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        let dir = CString::new(dir.as_os_str().as_bytes())
            .map_err(|_| Error::at("enter", dir)(io::ErrorKind::InvalidInput.into()))?;
        prepare(&mut command, account, dir, farewell);
        Ok(Self { program: program.to_owned(), account, command, farewell })
    }

    /// Lets it write into the (emptied) log.
    pub fn log_to(&mut self, layout: &Layout) -> Result<(), Error> {
        let log = layout.open_log()?;
        let second = log.try_clone().map_err(Error::at("write", &layout.root))?;
        self.command.stdout(log).stderr(second);
        Ok(())
    }
}

/// What happens in the child, between fork and exec, after the switch of user.
#[expect(unsafe_code, reason = "there is no safe way to act between fork and exec")]
fn prepare(command: &mut Command, account: Account, dir: CString, farewell: Signal) {
    let parent = Pid::this();
    let act = move || {
        match account {
            Account::Renamed => rename_root()?,
            Account::Oneself | Account::Other(..) => {}
        }
        // As the account, so that the kernel tells whether it can get there.
        unistd::chdir(dir.as_c_str())?;
        // The kernel sends this when the *thread* that spawned us ends: see process.rs. The switch
        // of user above would have cleared it.
        prctl::set_pdeathsig(farewell)?;
        // It died before we asked to be told.
        if unistd::getppid() != parent {
            return Err(nix::Error::ESRCH.into());
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only and allocates nothing, so it does not matter
    // what the other threads of the forked process held.
    unsafe {
        command.pre_exec(act);
    }
}

/// Enters a user namespace where root's number is nobody's, without any capability after exec.
#[expect(unsafe_code, reason = "nix's unshare needs one more feature of it")]
fn rename_root() -> io::Result<()> {
    // SAFETY: a system call without pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // The kernel wants setgroups given up before the groups are mapped.
    for (file, content) in [
        (c"/proc/self/setgroups", "deny"),
        (c"/proc/self/uid_map", "65534 0 1"),
        (c"/proc/self/gid_map", "65534 0 1"),
    ] {
        let file = open(file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        unistd::write(&file, content.as_bytes())?;
    }
    Ok(())
}
