//! A process and what it started, as `/proc` tells it.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};

/// More processes than this are not looked at: none is allowed so many.
const MOST: usize = 4096;

/// A process and those below it, it first.
pub(super) fn below(process: u32) -> Vec<u32> {
    let (mut found, mut next) = (vec![process], 0);
    while let Some(&parent) = found.get(next).filter(|_| found.len() < MOST) {
        next += 1;
        found.extend(children(parent));
    }
    found
}

fn children(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let lists = tasks.into_iter().flatten().flatten().filter_map(|task| {
        // It may have ended since.
        fs::read_to_string(task.path().join("children")).ok()
    });
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// How much memory of their own these processes have.
pub(super) fn memory(processes: &[u32]) -> u64 {
    let page =
        sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| u64::try_from(size).ok());
    let pages = processes.iter().filter_map(|process| {
        let told = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
        let mut told = told.split_whitespace().skip(1).map(str::parse::<u64>);
        let (resident, shared) = (told.next()?.ok()?, told.next()?.ok()?);
        Some(resident.saturating_sub(shared))
    });
    pages.sum::<u64>() * page.unwrap_or(4096)
}

/// Whether a process is made to stand still.
pub(super) fn is_stopped(process: u32) -> bool {
    let told = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Its name is in parentheses, and may hold any.
    let state = told.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    matches!(state, Some("T" | "t"))
}

/// Ends a process at once.
pub(super) fn end(process: u32) {
    // It may have ended by itself.
    let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_a_process_started_is_found_with_its_memory_and_state() {
        let mut shell =
            Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let mut found = Vec::new();
        while found.len() < 3 {
            found = below(shell.id());
        }
        assert_eq!(found[0], shell.id());
        assert!(memory(&found) > memory(&found[1..2]));
        assert!(!is_stopped(found[1]));
        kill(Pid::from_raw(found[1].cast_signed()), Signal::SIGSTOP).unwrap();
        while !is_stopped(found[1]) {}
        found.iter().for_each(|&process| end(process));
        shell.wait().unwrap();
    }
}
