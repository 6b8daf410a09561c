//! Control groups (version 2): what bounds a version's processes together, where a machine has them.
//!
//! Resource limits hold for each process by itself; only a group's hold for all of them at once, and for the
//! processor. The node makes a group of its own below the one that it was started in, and a group in that for
//! each process that it starts. A group that holds both processes and groups with limits is not allowed, so
//! the node moves itself into one of them too: `bottega.NUMBER/node`, beside `bottega.NUMBER/1` and so on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::id,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::{Bounds, tree};

/// What limits what: of a group's memory, its share of the processor, its number of processes.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// What begins the name of a node's group; its number among the machine's processes ends it.
const NODE: &str = "bottega.";
/// The node's weight where the processor is short; a process of a version has 100.
const WEIGHT: &str = "1000";
/// In how many microseconds a group may use up its time of the processor.
const PERIOD: u64 = 100_000;
/// A worker's keeper and the program's first process, which are not counted among those it may start.
const OURS: u64 = 2;

/// The groups that a node makes.
#[derive(Debug)]
pub(super) struct Groups {
    folder: PathBuf,
    /// What of [`CONTROLLERS`] there is.
    controllers: Vec<&'static str>,
    made: AtomicU64,
}

impl Groups {
    /// Makes the node's own group, and moves the node there.
    ///
    /// # Errors
    /// This machine has no such groups, or does not give this process one that it may divide.
    pub(super) fn make() -> io::Result<Self> {
        let cgroup = fs::read_to_string("/proc/self/cgroup")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let within = folder(&cgroup, &mounts)
            .ok_or_else(|| io::Error::other("control groups of version 2 are not mounted"))?;
        sweep(&within);
        let folder = within.join(format!("{NODE}{}", id()));
        fs::create_dir(&folder)?;
        // Only the first one of all groups may hold processes beside others.
        if within.join("cgroup.type").exists()
            && let Err(error) = move_into(&within, &folder.join("node"))
        {
            let _ = fs::remove_dir(folder.join("node"));
            let _ = fs::remove_dir(&folder);
            return Err(error);
        }
        let has = |controller: &&str| {
            [&within, &folder].iter().all(|group| {
                let enabled = format!("+{controller}");
                fs::write(group.join("cgroup.subtree_control"), enabled).is_ok()
            })
        };
        let controllers: Vec<_> = CONTROLLERS.into_iter().filter(has).collect();
        // The first one of all groups has none.
        let _ = fs::write(folder.join("node/cpu.weight"), WEIGHT);
        Ok(Self { folder, controllers, made: AtomicU64::new(0) })
    }

    /// What cannot be limited for a group here.
    pub(super) fn without(&self) -> Option<String> {
        let lacks = |it: &&str| !self.controllers.contains(it);
        let missing: Vec<_> = CONTROLLERS.into_iter().filter(lacks).collect();
        (!missing.is_empty()).then(|| format!("control groups' {}", missing.join(", ")))
    }

    /// Makes a group for a process that may have this.
    pub(super) fn group(&self, bounds: &Bounds) -> io::Result<Group> {
        let folder = self.folder.join(self.made.fetch_add(1, Relaxed).to_string());
        fs::create_dir(&folder)?;
        let has = |controller| self.controllers.contains(&controller);
        let group = Group { folder, bounds_memory: has("memory") };
        let set = |file: &str, value: String| fs::write(group.folder.join(file), value);
        if has("memory") {
            // What it writes lies in memory too.
            set("memory.max", (bounds.memory_bytes + bounds.scratch_bytes).to_string())?;
            set("memory.oom.group", "1".to_owned())?;
            // There is none where the machine does not swap.
            let _ = set("memory.swap.max", "0".to_owned());
        }
        if has("cpu") {
            let time = u64::from(bounds.processors.max(1)) * PERIOD;
            set("cpu.max", format!("{time} {PERIOD}"))?;
        }
        if has("pids") {
            set("pids.max", (bounds.processes + OURS).to_string())?;
        }
        Ok(group)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // A node that has moved there stays till it ends, and the next one clears that away.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where one process of a version lives, with all that it starts.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
    bounds_memory: bool,
}

impl Group {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it sees to what its processes take.
    pub(super) fn bounds_memory(&self) -> bool {
        self.bounds_memory
    }

    /// Whether it was ended since it took more memory than it may.
    pub(super) fn is_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|kills| kills != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        // Those that were ended are there for a moment.
        for _ in 0..200 {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(()) | Err(_) => return,
            }
        }
    }
}

/// Moves this process there, with all that it started, if nobody else is where it is.
fn move_into(from: &Path, to: &Path) -> io::Result<()> {
    let (processes, ours) = (fs::read_to_string(from.join("cgroup.procs"))?, tree::below(id()));
    let processes: Vec<u32> = processes.lines().filter_map(|it| it.parse().ok()).collect();
    if processes.iter().any(|process| !ours.contains(process)) {
        return Err(io::Error::other("the control group is shared with other programs"));
    }
    fs::create_dir(to)?;
    for process in processes {
        match fs::write(to.join("cgroup.procs"), process.to_string()) {
            Err(error) if process == id() => return Err(error),
            // It may have ended.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Removes what nodes left that are gone. A node's number may be that of one before.
fn sweep(within: &Path) {
    for group in fs::read_dir(within).into_iter().flatten().flatten() {
        let name = group.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(NODE)?.parse::<u32>().ok());
        let Some(number) = number else { continue };
        if number != id() && Path::new(&format!("/proc/{number}")).exists() {
            continue;
        }
        for inner in fs::read_dir(group.path()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(inner.path());
        }
        let _ = fs::remove_dir(group.path());
    }
}

/// Where the group that this process is in lies, by `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn folder(cgroup: &str, mounts: &str) -> Option<PathBuf> {
    let group = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(group).strip_prefix(root).ok()?;
        kind.starts_with("cgroup2 ").then(|| Path::new(point).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_whatever_part_of_them_is_mounted() {
        let mounts = |root: &str, point: &str| {
            format!(
                "24 1 0:5 / /proc rw - proc proc rw\n\
                 31 24 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup none rw,cpu\n\
                 32 24 0:28 {root} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
            )
        };
        let unified = "/sys/fs/cgroup";
        for (cgroup, root, point, expected) in [
            (
                "0::/system.slice/bottega.service\n",
                "/",
                unified,
                Some("system.slice/bottega.service"),
            ),
            ("0::/\n", "/", unified, Some("")),
            ("9:cpu:/x\n0::/docker/1f\n", "/docker/1f", unified, Some("")),
            ("0::/docker/1f/a\n", "/docker/1f", unified, Some("a")),
            ("0::/elsewhere\n", "/docker/1f", unified, None),
            ("9:cpu:/x\n", "/", unified, None),
        ] {
            let found = folder(cgroup, &mounts(root, point));
            assert_eq!(found, expected.map(|it| Path::new(point).join(it)), "{cgroup}");
        }
        assert_eq!(folder("0::/\n", "24 1 0:5 / /proc rw - proc proc rw\n"), None);
    }
}
