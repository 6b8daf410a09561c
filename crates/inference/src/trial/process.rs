//! The worker's process, seen from outside.

use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::oneshot,
};

use super::{Order, Outcome, TrialLimits, Work, verdict};
use crate::{Error, worker};

/// Of what the worker complains, as much is kept.
const MAX_COMPLAINTS: u64 = 16 << 10;
/// Beside its outputs a report has a signature, which for a model of a thousand inputs is long.
const MAX_REPORT: u64 = 4 << 20;

/// What a worker left behind.
#[derive(Default)]
pub(super) struct Remains {
    /// How it ended by itself; absent where it had to be killed.
    pub(super) status: Option<ExitStatus>,
    pub(super) reports: Vec<u8>,
    pub(super) complaints: Vec<u8>,
}

/// Starts a worker and stays with it to its end, or till nobody wants to know.
pub(super) fn watch(
    exe: &Path,
    work: &Work,
    limits: &TrialLimits,
    mut reply: oneshot::Sender<Result<Outcome, Error>>,
) {
    let remains = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(try_out(exe, work, limits, &mut reply)));
    let outcome = match remains {
        Ok(remains) => verdict::judge(&remains),
        Err(error) => Err(Error::Worker(error.to_string())),
    };
    // Whoever asked may have left.
    drop(reply.send(outcome));
}

/// Has a worker do it, and kills one that takes too long or that nobody waits for.
async fn try_out(
    exe: &Path,
    work: &Work,
    limits: &TrialLimits,
    reply: &mut oneshot::Sender<Result<Outcome, Error>>,
) -> io::Result<Remains> {
    let order = serde_json::to_vec(&Order {
        parent: std::process::id(),
        work: work.clone(),
        limits: limits.clone(),
    })?;
    // Base64 makes four bytes of three.
    let max_reports = limits.output_bytes as u64 / 3 * 4 + MAX_REPORT;
    let mut child = start(exe)?;
    let mut remains = Remains::default();
    let ended = tokio::select! {
        ended = converse(&mut child, order, max_reports, &mut remains) => Some(ended),
        () = tokio::time::sleep(limits.time) => None,
        () = reply.closed() => None,
    };
    if !matches!(ended, Some(Ok(()))) {
        kill(&mut child).await?;
    }
    ended.transpose()?;
    Ok(remains)
}

fn start(exe: &Path) -> io::Result<Child> {
    Command::from(worker::command(exe, "--trial"))
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Hands the order over and listens until the worker ends.
async fn converse(
    child: &mut Child,
    order: Vec<u8>,
    max_reports: u64,
    remains: &mut Remains,
) -> io::Result<()> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let tell = async move {
        if let Some(mut stdin) = stdin {
            // A worker that dies before it has read everything says so by its status.
            let _ = stdin.write_all(&order).await;
        }
    };
    let ((), reports, complaints) = tokio::join!(
        tell,
        listen(stdout, max_reports, &mut remains.reports),
        listen(stderr, MAX_COMPLAINTS, &mut remains.complaints)
    );
    reports.and(complaints)?;
    remains.status = Some(child.wait().await?);
    Ok(())
}

/// Kills the worker and whatever it might have started.
async fn kill(child: &mut Child) -> io::Result<()> {
    // A worker that has been waited for has no number any more, so none of another is killed.
    if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) {
        match killpg(Pid::from_raw(group), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    child.wait().await.map(drop)
}

/// Hears all that comes, but keeps no more than `most`.
async fn listen(
    from: Option<impl AsyncRead + Unpin>,
    most: u64,
    heard: &mut Vec<u8>,
) -> io::Result<()> {
    if let Some(mut from) = from {
        (&mut from).take(most).read_to_end(heard).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(())
}
