//! What a worker gives up before it touches a model.
//!
//! It moves into namespaces of its own: no network, and a root directory that holds the model's
//! folder and nothing else. As root it then becomes nobody. It cannot start threads or processes
//! nor write files, its memory and processor time are limited, and it dies with the process that
//! started it. Where a machine does not allow namespaces or another user (a container without
//! privileges), the rest still holds.

use std::{fs, io, os::unix::process::parent_id};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl::{set_no_new_privs, set_pdeathsig},
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::{Gid, Uid, chdir, chroot, getegid, geteuid, setgroups, setresgid, setresuid},
};

use crate::trial::Order;

/// The user that owns nothing.
const NOBODY: u32 = 65534;

/// Moves into namespaces of its own, if the machine allows that. Must come before the first thread
/// is started: only a process of one thread may take a user namespace, which is how this is
/// allowed to others than root.
pub(super) fn leave() -> io::Result<bool> {
    let (user, group) = (geteuid(), getegid());
    let mut spaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    if !user.is_root() {
        spaces |= CloneFlags::CLONE_NEWUSER;
    }
    let left = if_allowed("moving into namespaces", unshare(spaces))?;
    if left && !user.is_root() {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    Ok(left)
}

/// Gives up the rest. Afterwards the model's folder is the present one.
pub(super) fn confine(order: &Order, left: bool) -> io::Result<()> {
    chdir(order.work.folder())?;
    if left && let Err(error) = shut_in() {
        tracing::debug!(%error, "a root directory of its own is not possible here");
    }
    let limits = &order.limits;
    let seconds = limits.time.as_secs() + 1;
    for (resource, most) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, 64),
        (Resource::RLIMIT_DATA, limits.memory_bytes),
    ] {
        setrlimit(resource, most, most)?;
    }
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds + 1)?;
    if geteuid().is_root() {
        if_allowed("becoming nobody", become_nobody())?;
    }
    // No further threads or processes; those of the same user elsewhere do not matter at zero.
    setrlimit(Resource::RLIMIT_NPROC, 0, 0)?;
    set_no_new_privs()?;
    // Only now: becoming another user forgets it.
    set_pdeathsig(Signal::SIGKILL)?;
    if parent_id() != order.parent {
        return Err(io::Error::other("the process that started it is gone"));
    }
    // The runtime looks weights up from the root down; better our fault now than the model's.
    std::env::current_dir().and_then(fs::symlink_metadata).map(drop).map_err(|error| {
        let what = "the user nobody must be able to enter the folders above the model's";
        io::Error::new(error.kind(), format!("{what}: {error}"))
    })
}

/// Takes a root directory that holds the present one as `/model`, and the process's own files
/// where ONNX Runtime looks them up to see that weights do not lead out of the model's folder.
fn shut_in() -> io::Result<()> {
    const ROOT: &str = "/tmp";
    const NONE: Option<&str> = None;
    let inside = |path: &str| format!("{ROOT}/{path}");
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    let empty = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), ROOT, Some("tmpfs"), empty, Some("size=64k,mode=755"))?;
    for (from, to) in [(".", "model"), ("/proc/self/fd", "proc/self/fd")] {
        fs::create_dir_all(inside(to))?;
        mount(Some(from), inside(to).as_str(), NONE, MsFlags::MS_BIND, NONE)?;
    }
    chroot(ROOT)?;
    chdir("/model")?;
    Ok(())
}

fn become_nobody() -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

/// What is not allowed on this machine is done without; anything else that goes wrong is an error.
fn if_allowed(what: &str, result: nix::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        // No privilege; no such user in this container; no user namespaces to be had.
        Err(error @ (Errno::EPERM | Errno::EINVAL | Errno::ENOSPC)) => {
            tracing::debug!(%error, "{what} is not possible here");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
