//! The worker's process, seen from outside.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::oneshot,
    time::timeout,
};

use super::{Order, TrialJob, TrialLimits, TrialOutcome, verdict};
use crate::Error;

/// Of what the worker complains, as much is kept.
const MAX_COMPLAINTS: u64 = 16 << 10;
/// Beside its outputs a report has a signature, which for a model of a thousand inputs is long.
const MAX_REPORT: u64 = 4 << 20;

/// What a worker left behind.
pub(super) struct Remains {
    pub(super) status: ExitStatus,
    pub(super) reports: Vec<u8>,
    pub(super) complaints: String,
}

/// Starts a worker and stays with it to its end.
pub(super) fn watch(
    exe: &Path,
    job: &TrialJob,
    limits: &TrialLimits,
    mut reply: oneshot::Sender<Result<TrialOutcome, Error>>,
) {
    let outcome =
        tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            runtime.block_on(async {
                let trial = try_out(exe, job, limits);
                tokio::select! {
                    outcome = trial => outcome.map(Some),
                    () = reply.closed() => Ok(None),
                }
            })
        });
    match outcome {
        Ok(Some(outcome)) => drop(reply.send(outcome)),
        Ok(None) => {}
        Err(error) => drop(reply.send(Err(Error::Worker(error.to_string())))),
    }
}

async fn try_out(
    exe: &Path,
    job: &TrialJob,
    limits: &TrialLimits,
) -> io::Result<Result<TrialOutcome, Error>> {
    let order = serde_json::to_vec(&Order {
        parent: std::process::id(),
        job: job.clone(),
        limits: limits.clone(),
    })?;
    let mut group = Group::start(exe)?;
    // Base64 makes four bytes of three.
    let max_reports = limits.output_bytes as u64 / 3 * 4 + MAX_REPORT;
    let remains = match timeout(limits.time, group.converse(order, max_reports)).await {
        Ok(remains) => Some(remains?),
        Err(_) => None,
    };
    Ok(verdict::judge(remains, limits))
}

/// A worker and whatever it might have started; killed when dropped.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn start(exe: &Path) -> io::Result<Self> {
        let mut command = Command::new(exe);
        command
            .args(["worker", "--trial"])
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Where the C++ library that ONNX Runtime needs lies in an unusual place.
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", path);
        }
        let child = command.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child, id })
    }

    /// Hands the order over and listens until the worker ends.
    async fn converse(&mut self, order: Vec<u8>, max_reports: u64) -> io::Result<Remains> {
        let (stdin, stdout, stderr) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let tell = async move {
            if let Some(mut stdin) = stdin {
                // A worker that dies before it has read everything says so by its status.
                let _ = stdin.write_all(&order).await;
            }
        };
        let ((), reports, complaints) =
            tokio::join!(tell, listen(stdout, max_reports), listen(stderr, MAX_COMPLAINTS));
        let status = self.child.wait().await?;
        self.id = None;
        let complaints = String::from_utf8_lossy(&complaints?).into_owned();
        Ok(Remains { status, reports: reports?, complaints })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Until it is waited for, its number cannot be another process's.
        if let Some(id) = self.id {
            let _ = killpg(id, Signal::SIGKILL);
            // Reaped by the runtime's signal handling once it is dead.
            let _ = self.child.start_kill();
        }
    }
}

/// All that comes, but keeps no more than `most`.
async fn listen(from: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(most).read_to_end(&mut heard).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(heard)
}
