//! A running program, and the thread that it hangs on.

use std::{process::ExitStatus, thread};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tokio::sync::{oneshot, watch};

use super::{Error, child::Child};

/// A running program. It is told to end when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pid: i32,
    exit: watch::Receiver<Option<Exit>>,
    farewell: Signal,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub(super) struct Exit {
    pub success: bool,
    pub status: String,
}

impl Process {
    /// Runs a program.
    ///
    /// The kernel sends the farewell when the *thread* that spawned the program ends. So it gets
    /// one of its own, which does nothing but wait for it: a thread of the runtime's blocking pool
    /// ends whenever it has been idle, and would take the server along.
    pub async fn spawn(child: Child) -> Result<Self, Error> {
        let Child { program, account, mut command, farewell } = child;
        let failed =
            |source| Error::Run { program: program.clone(), account: account.to_string(), source };
        let (started, pid) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        thread::Builder::new()
            .name("private-postgres".to_owned())
            .spawn(move || match command.spawn() {
                Ok(mut child) => {
                    let pid = child.id().cast_signed();
                    if started.send(Ok(pid)).is_err() {
                        // Nobody waits for it any more.
                        send(pid, farewell);
                    }
                    ended.send_replace(Some(Exit::from(child.wait())));
                }
                Err(error) => drop(started.send(Err(error))),
            })
            .map_err(failed)?;
        let pid = match pid.await {
            Ok(spawned) => spawned.map_err(failed)?,
            Err(_) => return Err(failed(std::io::ErrorKind::Other.into())),
        };
        Ok(Self { pid, exit, farewell })
    }

    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until it has ended.
    pub async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|exit| exit.clone()).unwrap_or_else(Exit::unknown)
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.exit.borrow().is_none() {
            send(self.pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(self.farewell);
    }
}

/// A process that has just ended is no failure: that is what was wanted.
fn send(pid: i32, signal: Signal) {
    if let Err(error) = signal::kill(Pid::from_raw(pid), signal) {
        tracing::debug!(process.pid = pid, %signal, %error, "no process to signal");
    }
}

impl Exit {
    fn unknown() -> Self {
        Self { success: false, status: "it is not known how".to_owned() }
    }
}

impl From<std::io::Result<ExitStatus>> for Exit {
    fn from(waited: std::io::Result<ExitStatus>) -> Self {
        match waited {
            Ok(status) => Self { success: status.success(), status: status.to_string() },
            Err(_) => Self::unknown(),
        }
    }
}
