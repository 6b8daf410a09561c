//! What a process and all that it started use: CPU and memory, out of `/proc`.

use std::collections::HashMap;

use crate::Result;

/// A process and those below it.
fn tree(root: u32) -> Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended since.
        let Ok(fields) = fields(pid) else { continue };
        if let Some(parent) = fields.get(1).and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut at) = (vec![root], 0);
    while let Some(pid) = found.get(at) {
        found.extend(children.get(pid).into_iter().flatten().copied().collect::<Vec<_>>());
        at += 1;
    }
    Ok(found)
}

/// The fields of `/proc/PID/stat` from the state on.
fn fields(pid: u32) -> Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').ok_or("no stat")?.1;
    Ok(after_name.split_whitespace().map(str::to_owned).collect())
}

/// Seconds of CPU that they all used so far, user and system.
pub fn cpu(root: u32) -> Result<f64> {
    // One may have ended since.
    Ok(tree(root)?.into_iter().flat_map(own_cpu).sum())
}

/// The same of one process alone.
pub fn own_cpu(pid: u32) -> Result<f64> {
    let fields = fields(pid)?;
    let times = fields.get(11..13).ok_or("no times")?;
    let ticks: u64 = times.iter().flat_map(|it| it.parse::<u64>()).sum();
    Ok(ticks as f64 / 100.0)
}

/// How much of them all is in memory, in MiB: what is theirs, and their share of what several have.
pub fn resident_mib(root: u32) -> Result<f64> {
    // One may have ended since.
    Ok(tree(root)?.into_iter().filter_map(rolled_up).map(|(_, share)| share).sum())
}

/// What of a process is in memory, and how much of that is its own or its share, in MiB.
fn rolled_up(pid: u32) -> Option<(f64, f64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let mib = |name: &str| {
        let line = maps.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
    };
    Some((mib("Rss:")?, mib("Pss:")?))
}

/// Of those with this in their command lines: how much is in memory, in MiB, and how much of it is theirs or
/// their share of what several have.
pub fn memory(root: u32, command: &str) -> Result<Vec<(f64, f64)>> {
    let mut found = Vec::new();
    for pid in tree(root)? {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !String::from_utf8_lossy(&line).contains(command) {
            continue;
        }
        found.extend(rolled_up(pid));
    }
    Ok(found)
}
