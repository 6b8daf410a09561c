//! What a server that could not say good-bye leaves behind: `postmaster.pid`.
//!
//! Postgres itself takes over from a dead process. It refuses where that number is alive, also when
//! the number has gone to a stranger by now: usual in containers, where few numbers go round. We
//! hold the data directory's lock, so whoever is alive is a server that outlived its Bottega, or
//! such a stranger.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Error;

const PATIENCE: Duration = Duration::from_secs(30);

/// Clears the way for a new server.
pub(super) async fn clear(data: &Path) -> Result<(), Error> {
    let file = data.join("postmaster.pid");
    let content = match fs::read_to_string(&file) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::at("read", &file)(error)),
    };
    match pid_in(&content) {
        Some(pid) if serves(pid, data) => stop(pid, data).await,
        Some(pid) if !is_alive(pid) => Ok(()),
        // A stranger's number, or nothing that Postgres could read either.
        Some(_) | None => remove(&file),
    }
}

/// The number in the first line; a server in single-user mode writes it as negative.
fn pid_in(content: &str) -> Option<i32> {
    let pid: i32 = content.lines().next()?.trim().parse().ok()?;
    pid.checked_abs().filter(|pid| *pid > 0)
}

fn process_dir(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn is_alive(pid: i32) -> bool {
    process_dir(pid).exists()
}

/// Whether a process is the server of this cluster. Postgres works in its cluster's directory.
fn serves(pid: i32, data: &Path) -> bool {
    match fs::read_link(process_dir(pid).join("cwd")) {
        Ok(dir) => dir == data,
        // In a container even root may not look at another user's processes so closely. We start
        // servers as `postgres -D DATA`.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::read(process_dir(pid).join("cmdline")).is_ok_and(|arguments| {
                arguments
                    .split(|byte| *byte == 0)
                    .any(|argument| argument == data.as_os_str().as_encoded_bytes())
            })
        }
        // It is gone, or a zombie.
        Err(_) => false,
    }
}

async fn stop(pid: i32, data: &Path) -> Result<(), Error> {
    tracing::warn!(postgres.pid = pid, "stopping the Postgres of an earlier run");
    let orphan = || Error::Orphan { pid, data: data.to_owned() };
    kill(Pid::from_raw(pid), Signal::SIGINT).map_err(|_| orphan())?;
    let deadline = Instant::now() + PATIENCE;
    while serves(pid, data) {
        if Instant::now() > deadline {
            return Err(orphan());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn remove(file: &Path) -> Result<(), Error> {
    tracing::warn!("removing a postmaster.pid whose process is no Postgres of ours");
    fs::remove_file(file).map_err(Error::at("remove", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_is_the_first_line_whatever_its_sign() {
        assert_eq!(pid_in("123\n/data\n"), Some(123));
        assert_eq!(pid_in("-123\n/data\n"), Some(123));
        assert_eq!(pid_in(""), None);
        assert_eq!(pid_in("0\n"), None);
        assert_eq!(pid_in("-2147483648\n"), None);
        assert_eq!(pid_in("garbage\n"), None);
    }

    #[test]
    fn process_that_works_elsewhere_does_not_serve_the_cluster() {
        let me = std::process::id().cast_signed();
        assert!(serves(me, &std::env::current_dir().unwrap()));
        assert!(!serves(me, Path::new("/")));
    }
}
