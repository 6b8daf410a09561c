//! Keeps the processors awake while one request at a time is timed.
//!
//! In a virtual machine a processor that has nothing to do is halted, and waking it takes longer than a short
//! request: who wakes more threads on the way then looks faster. Idle loops of the least priority on each
//! processor run only where nothing else does.

use std::process::{Child, Command, Stdio};

use crate::Result;

/// The loops, until it is dropped.
pub struct Awake(Vec<Child>);

impl Awake {
    /// Starts them for one connection; with more of them no processor sleeps.
    pub fn for_connections(connections: usize) -> Result<Self> {
        let mut awake = Self(Vec::new());
        if connections == 1 {
            for _ in 0..std::thread::available_parallelism()?.get() {
                let mut command = Command::new("chrt");
                command.args(["--idle", "0", "sh", "-c", "while :; do :; done"]);
                awake.0.push(command.stdin(Stdio::null()).spawn()?);
            }
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended is as good.
            drop(child.kill().and_then(|()| child.wait()));
        }
    }
}
