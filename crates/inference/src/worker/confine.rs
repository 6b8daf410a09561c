//! What a worker gives up before it touches a model.
//!
//! It moves into namespaces of its own: no network, and a root directory that holds what it is shown
//! and nothing else. As root it then becomes another user. Its threads, processes, files, memory and
//! processor time are limited, it can ask the kernel for less ([`guard`](super::guard)), and it dies
//! with the process that started it. Where a machine does not allow namespaces or another user (a
//! container without privileges), the rest still holds, and what is missing is told.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::{
        prctl::{set_no_new_privs, set_pdeathsig},
        resource::{Resource, setrlimit},
        signal::Signal,
        statvfs::{FsFlags, statvfs},
    },
    unistd::{Gid, Uid, chdir, chroot, getegid, geteuid, setgroups, setresgid, setresuid},
};

use super::guard::{self, Sockets};

/// The user that owns nothing.
pub(super) const NOBODY: u32 = 65534;
/// Where the new root is put together. What lies there is needed by nobody meanwhile.
const ROOT: &str = "/sys";
/// Where the version's files are in it.
const MODEL: &str = "/model";
/// Where a worker may write in it, if anywhere.
const SCRATCH: &str = "/scratch";
const NONE: Option<&str> = None;

/// What a worker may see and take.
pub(super) struct Walls<'a> {
    /// The version's folder.
    pub(super) folder: &'a Path,
    /// What else it sees, at its own place.
    pub(super) readable: &'a [PathBuf],
    /// How many bytes it may write, if it may.
    pub(super) scratch: Option<u64>,
    /// Whether it may talk to itself over the network that it has to itself.
    pub(super) talks: bool,
    /// Whether it has processes of its own, which nobody outside sees and which see nobody.
    pub(super) own_processes: bool,
    /// Who it is to be, if it may be somebody else.
    pub(super) user: u32,
    /// Memory for each process.
    pub(super) memory_bytes: u64,
    /// Threads and processes besides itself.
    pub(super) processes: u64,
    /// Open files for each process.
    pub(super) files: u64,
    /// Processor time for each process.
    pub(super) time: Option<Duration>,
}

/// Where a worker finds itself.
pub(super) struct Confined {
    /// The version's folder.
    pub(super) model: PathBuf,
    /// Where it may write.
    pub(super) scratch: Option<PathBuf>,
    /// What this machine did not allow.
    pub(super) without: Vec<&'static str>,
}

/// How a process has moved out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It may not.
    Not,
    /// Its users are those of the machine.
    AsRoot,
    /// It has users of its own, by which it may do what root may, inside.
    WithUsers,
}

/// Moves into namespaces of its own, if the machine allows that, and into others besides. Must come
/// before the first thread is started: only a process of one thread may take a user namespace, which is
/// how this is allowed to others than root. They are `inside` there.
pub(super) fn leave(others: CloneFlags, inside: Option<u32>) -> io::Result<Left> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let mut spaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | others;
    if user != 0 {
        spaces |= CloneFlags::CLONE_NEWUSER;
    }
    if !if_allowed("moving into namespaces", unshare(spaces))? {
        return Ok(Left::Not);
    }
    if user == 0 {
        return Ok(Left::AsRoot);
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {user} 1", inside.unwrap_or(user)))?;
    fs::write("/proc/self/gid_map", format!("{} {group} 1", inside.unwrap_or(group)))?;
    Ok(Left::WithUsers)
}

/// Gives up the rest. Afterwards the model's folder is the present one.
pub(super) fn confine(walls: &Walls<'_>, left: Left) -> io::Result<Confined> {
    let mut without = Vec::new();
    chdir(walls.folder)?;
    let is_shut_in = match left {
        Left::Not => {
            without.push("namespaces");
            false
        }
        Left::AsRoot | Left::WithUsers => match shut_in(walls, left, &mut without) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "a root directory of its own is not possible here");
                without.push("a root directory of its own");
                false
            }
        },
    };
    limit(walls)?;
    if geteuid().is_root() && !become_another(walls.user)? {
        without.push("another user");
    }
    // Those of the same user elsewhere do not matter at zero, and nobody else is the others.
    setrlimit(Resource::RLIMIT_NPROC, walls.processes, walls.processes)?;
    set_no_new_privs()?;
    // Only now: becoming another user forgets it.
    set_pdeathsig(Signal::SIGKILL)?;
    let scratch = walls.scratch.filter(|_| is_shut_in).map(|_| PathBuf::from(SCRATCH));
    let model = if is_shut_in { PathBuf::from(MODEL) } else { walls.folder.to_owned() };
    let shown = if is_shut_in {
        vec![PathBuf::from("/")]
    } else {
        let proc = PathBuf::from("/proc");
        walls.readable.iter().cloned().chain([model.clone(), proc]).collect()
    };
    let sockets = match (left, walls.talks) {
        (Left::Not, _) => Sockets::None,
        (Left::AsRoot | Left::WithUsers, false) => Sockets::Local,
        (Left::AsRoot | Left::WithUsers, true) => Sockets::ItsOwn,
    };
    if !guard::files(&shown, scratch.as_deref(), sockets)? {
        without.push("Landlock");
    }
    guard::calls(sockets)?;
    Ok(Confined { model, scratch, without })
}

fn limit(walls: &Walls<'_>) -> io::Result<()> {
    for (resource, most) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, walls.scratch.unwrap_or_default()),
        (Resource::RLIMIT_NOFILE, walls.files),
        (Resource::RLIMIT_DATA, walls.memory_bytes),
    ] {
        setrlimit(resource, most, most)?;
    }
    if let Some(time) = walls.time {
        let seconds = time.as_secs() + 1;
        setrlimit(Resource::RLIMIT_CPU, seconds, seconds + 1)?;
    }
    Ok(())
}

/// Takes a root directory that holds what is shown, the version's folder as `/model`, and goes there.
fn shut_in(walls: &Walls<'_>, left: Left, without: &mut Vec<&'static str>) -> io::Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    if walls.talks
        && let Err(error) = talk()
    {
        tracing::debug!(%error, "no interface to itself is possible here");
        without.push("an interface to itself");
    }
    let empty = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), ROOT, Some("tmpfs"), empty, Some("size=1m,mode=755"))?;
    show(Path::new("."), Path::new(MODEL))?;
    for path in outermost(walls.readable) {
        show(path, path)?;
    }
    show_processes(walls)?;
    if let Some(bytes) = walls.scratch {
        let owner = match left {
            Left::AsRoot => format!(",uid={0},gid={0}", walls.user),
            Left::WithUsers | Left::Not => String::new(),
        };
        let options = format!("size={bytes},nr_inodes=16k,mode=700{owner}");
        let to = inside(Path::new(SCRATCH));
        fs::create_dir_all(&to)?;
        mount(Some("tmpfs"), &to, Some("tmpfs"), empty, Some(options.as_str()))?;
        // What programs expect to find and to write into.
        fs::create_dir_all(inside(Path::new("/dev")))?;
        for name in ["/tmp", "/dev/shm"] {
            match symlink(SCRATCH, inside(Path::new(name))) {
                // Something that is shown lies there: then programs go by TMPDIR.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
        }
        fs::create_dir_all(inside(Path::new("/etc")))?;
        let user = format!("model:x:{0}:{0}::{SCRATCH}:/bin/false\n", walls.user);
        fs::write(inside(Path::new("/etc/passwd")), user)?;
    }
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | empty;
    mount(NONE, ROOT, NONE, read_only, NONE)?;
    if left == Left::WithUsers && walls.own_processes {
        // Whoever is root in the worker's own users becomes nobody in others, before what is needed for it
        // is out of sight.
        unshare(CloneFlags::CLONE_NEWUSER)?;
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/self/{map}"), format!("{NOBODY} 0 1"))?;
        }
    }
    chroot(ROOT)?;
    chdir(MODEL)?;
    Ok(())
}

/// Lets what is in this network talk to itself. Without a socket: the kernel shows each network's interfaces
/// as files, and this one's only to whoever mounts them from inside.
fn talk() -> io::Result<()> {
    mount(Some("sysfs"), ROOT, Some("sysfs"), MsFlags::MS_NOSUID, NONE)?;
    let up = fs::write(inside(Path::new("/class/net/lo/flags")), "0x1");
    umount2(ROOT, MntFlags::MNT_DETACH)?;
    up
}

/// Where something of the new root lies as long as that is not the root.
fn inside(path: &Path) -> PathBuf {
    Path::new(ROOT).join(path.strip_prefix("/").unwrap_or(path))
}

/// Those that no other one holds.
fn outermost(paths: &[PathBuf]) -> impl Iterator<Item = &Path> {
    let is_in = |path: &Path, other: &Path| path != other && path.starts_with(other);
    let mut paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    paths.sort_unstable();
    paths.dedup();
    let all = paths.clone();
    paths.into_iter().filter(move |path| !all.iter().any(|other| is_in(path, other)))
}

/// Shows a file or folder of the machine, read-only. What is not there is not shown.
fn show(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(from) else { return Ok(()) };
    let to = inside(to);
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    if found.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if found.is_dir() {
        fs::create_dir_all(&to)?;
    } else {
        fs::write(&to, "")?;
    }
    mount(Some(from), &to, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    flags |= MsFlags::MS_NOSUID;
    if !from.starts_with("/dev") {
        flags |= MsFlags::MS_NODEV;
    }
    // What it was mounted with may not be taken away in users of one's own.
    let was = statvfs(&to)?.flags();
    for (had, has) in [
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if was.contains(had) {
            flags |= has;
        }
    }
    Ok(mount(NONE, &to, NONE, flags, NONE)?)
}

/// The worker's processes as `/proc`, or at least its own files, where ONNX Runtime looks them up to see
/// that weights do not lead out of the model's folder.
fn show_processes(walls: &Walls<'_>) -> io::Result<()> {
    let to = inside(Path::new("/proc"));
    fs::create_dir_all(&to)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if walls.own_processes && mount(Some("proc"), &to, Some("proc"), flags, NONE).is_ok() {
        return Ok(());
    }
    let to = to.join("self/fd");
    fs::create_dir_all(&to)?;
    Ok(mount(Some("/proc/self/fd"), &to, NONE, MsFlags::MS_BIND, NONE)?)
}

/// Whether root could become this user, or at least nobody.
fn become_another(user: u32) -> io::Result<bool> {
    let become_user = |user: u32| {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(user));
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)
    };
    Ok(if_allowed("becoming another user", become_user(user))?
        || user != NOBODY && if_allowed("becoming nobody", become_user(NOBODY))?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_something_shown_is_not_shown_twice() {
        let paths = ["/usr/lib/x", "/usr", "/opt/a", "/opt/ab", "/usr"].map(PathBuf::from);
        let shown: Vec<_> = outermost(&paths).collect();
        assert_eq!(shown, ["/opt/a", "/opt/ab", "/usr"].map(Path::new));
    }
}
