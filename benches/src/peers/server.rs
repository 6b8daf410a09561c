//! A peer's server, from its start to its end.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::Peer;
use crate::{Result, http::Server, processes, repository};

/// How long one may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Installs what a peer needs, where it is missing.
pub fn install(name: &str) -> Result<()> {
    let status = Command::new(repository("tools/install")).arg(name).status()?;
    if status.success() { Ok(()) } else { Err(format!("tools/install {name}: {status}").into()) }
}

/// It and all that it started, ended when dropped.
pub struct Running {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Running {
    /// Starts it with a model. Answers how long it took to its first answer to this request, too.
    pub fn start(peer: &Peer, model: &Path, body: &str) -> Result<(Self, Duration)> {
        let python = std::env::var_os(peer.variable).ok_or(peer.variable)?;
        let folder = tempfile::Builder::new().prefix("bottega-peer-").tempdir()?;
        // Those that want more ports take the next ones.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let begun = Instant::now();
        let process = Command::new(python)
            .arg("-B")
            .arg(repository("benches/src/peers").join(peer.script))
            .arg(model.canonicalize()?)
            .arg(port.to_string())
            .arg(folder.path())
            .env("OMP_NUM_THREADS", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, which can be ended as a whole.
            .process_group(0)
            .spawn()?;
        let mut running = Self { process, port, _folder: folder };
        loop {
            match running.server().call("POST", peer.path, body) {
                Ok(_) => return Ok((running, begun.elapsed())),
                Err(error) if begun.elapsed() > PATIENCE => {
                    return Err(format!("{} does not answer: {error}", peer.name).into());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
            if let Some(status) = running.process.try_wait()? {
                return Err(format!("{} ended: {status}", peer.name).into());
            }
        }
    }

    /// It, asked as anybody.
    pub fn server(&self) -> Server {
        Server::new(&format!("127.0.0.1:{}", self.port), None)
    }

    /// Where it speaks gRPC, if it does.
    pub fn grpc(&self) -> String {
        format!("127.0.0.1:{}", self.port + 1)
    }

    /// Seconds of CPU that all its processes used so far.
    pub fn cpu(&self) -> Result<f64> {
        processes::cpu(self.process.id())
    }

    /// Memory of all its processes.
    pub fn resident_mib(&self) -> Result<f64> {
        processes::resident_mib(self.process.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        // There may be nobody left.
        let end = |signal| {
            drop(Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status());
        };
        end("-TERM");
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        // Workers that outlived it, too.
        end("-KILL");
        let _ended = self.process.wait();
    }
}
