//! The real `bottega up`, started as a user would start it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tempfile::TempDir;

use crate::{Result, http::Server, processes};

/// The administrator's token in benchmarks.
const TOKEN: &str = "bench-token-0123456789abcdef";

/// A server process, ended with SIGTERM when dropped.
pub struct Child {
    process: std::process::Child,
    /// `HOST:PORT` of its HTTP.
    pub address: String,
    /// The same of its gRPC, where it has one beside.
    grpc: Option<String>,
}

impl Child {
    fn start(command: &mut Command) -> Result<Self> {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let out = process.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let find = |scheme| line.split_whitespace().find_map(|url| url.strip_prefix(scheme));
        let grpc = find("grpc://").map(str::to_owned);
        match find("http://") {
            Some(address) => Ok(Self { address: address.to_owned(), grpc, process }),
            None => {
                let _gone = process.kill();
                Err(format!("no ready line from {command:?}: {line:?}").into())
            }
        }
    }

    /// The reference server with this model and so many inference threads.
    pub fn reference(model: &Path, threads: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start(command.arg("reference").arg(model).arg(threads.to_string()))
    }

    /// The same over gRPC.
    pub fn grpc_reference(model: &Path, threads: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start(command.arg("grpc-reference").arg(model).arg(threads.to_string()))
    }

    /// Seconds of CPU used so far, user and system.
    pub fn cpu(&self) -> Result<f64> {
        processes::own_cpu(self.process.id())
    }

    fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &pid]).status();
        let _ended = self.process.wait();
    }
}

/// A platform on a fresh data directory.
pub struct Platform {
    child: Child,
    folder: TempDir,
}

fn bottega() -> Result<std::path::PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("bottega");
    if beside.is_file() {
        Ok(beside)
    } else {
        Err(format!("{} is not built", beside.display()).into())
    }
}

fn up(folder: &Path) -> Result<Child> {
    Child::start(
        Command::new(bottega()?)
            .args(["up", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .env("BOTTEGA_ADMIN_TOKEN", TOKEN),
    )
}

impl Platform {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bottega-bench-").tempdir()?;
        // Postgres runs as another user where we are root: the way to its folder must be open.
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
        Ok(Self { child: up(folder.path())?, folder })
    }

    /// Ends it and starts it again on the same data. Answers how long it took from there to its first
    /// answer to this request, too.
    pub fn again(self, path: &str, body: &str) -> Result<(Self, Duration)> {
        let Self { child, folder } = self;
        drop(child);
        let begun = Instant::now();
        let platform = Self { child: up(folder.path())?, folder };
        while platform.server().call("POST", path, body).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok((platform, begun.elapsed()))
    }

    /// Where it speaks gRPC.
    pub fn grpc(&self) -> Result<String> {
        self.child.grpc.clone().ok_or_else(|| "no gRPC".into())
    }

    /// What proves an administrator.
    pub fn authorization(&self) -> String {
        format!("Bearer {TOKEN}")
    }

    /// It, asked as its administrator.
    pub fn server(&self) -> Server {
        Server::new(&self.child.address, Some(self.authorization()))
    }

    /// It, asked as its administrator by user name and password.
    pub fn server_by_password(&self) -> Server {
        let pair = BASE64_STANDARD.encode(format!("admin:{TOKEN}"));
        Server::new(&self.child.address, Some(format!("Basic {pair}")))
    }

    /// Runs a file of SQL in its database: what would take too long over its API.
    pub fn sql(&self, file: &Path, variables: &[(&str, String)]) -> Result<()> {
        self.ask(file, variables).map(drop)
    }

    /// Runs a file of SQL in its database, and answers what it printed.
    pub fn ask(&self, file: &Path, variables: &[(&str, String)]) -> Result<String> {
        let programs = std::env::var_os("BOTTEGA_PG_BIN_DIR").ok_or("BOTTEGA_PG_BIN_DIR")?;
        let mut psql = Command::new(Path::new(&programs).join("psql"));
        psql.args([
            "-X",
            "-q",
            "-At",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "bottega",
            "-d",
            "bottega",
            "-h",
        ]);
        psql.arg(self.folder().join("postgres/run")).arg("-f").arg(file);
        for (name, value) in variables {
            psql.arg("-v").arg(format!("{name}={value}"));
        }
        let done = psql.stderr(Stdio::inherit()).output()?;
        if done.status.success() {
            Ok(String::from_utf8(done.stdout)?)
        } else {
            Err(format!("{psql:?}: {}", done.status).into())
        }
    }

    /// Runs a command of the CLI against it.
    pub fn cli(&self, arguments: &[&str]) -> Result<()> {
        let done = Command::new(bottega()?)
            .args(arguments)
            .env("BOTTEGA_URL", format!("http://{}", self.child.address))
            .env("BOTTEGA_TOKEN", TOKEN)
            .stdout(Stdio::null())
            .status()?;
        if done.success() { Ok(()) } else { Err(format!("bottega {arguments:?}: {done}").into()) }
    }

    /// Pushes a model and deploys it.
    pub fn deploy(&self, model: &Path, name: &str) -> Result<()> {
        let file = model.to_str().ok_or("the path is not UTF-8")?;
        self.cli(&["push", file, "--name", name])?;
        self.cli(&["deploy", name, "--model", &format!("{name}/1"), "--wait"])
    }

    /// Seconds of CPU used so far.
    pub fn cpu(&self) -> Result<f64> {
        self.child.cpu()
    }

    /// The same of all its processes, Postgres among them.
    pub fn cpu_of_all(&self) -> Result<f64> {
        processes::cpu(self.child.process.id())
    }

    /// Memory of all its processes.
    pub fn resident_mib(&self) -> Result<f64> {
        processes::resident_mib(self.child.process.id())
    }

    /// Memory of the server alone, without Postgres.
    pub fn own_mib(&self) -> Result<f64> {
        self.child.resident_mib()
    }

    /// The processes of Python versions: how much each has in memory, in MiB, and how much of it is its own
    /// or its share of what several have.
    pub fn workers(&self) -> Result<Vec<(f64, f64)>> {
        processes::memory(self.child.process.id(), "\0-I\0-B\0-c\0")
    }

    /// Its data directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// First start, later starts, memory when idle.
pub fn start_times() -> Result<()> {
    let begun = Instant::now();
    let platform = Platform::start()?;
    let first = begun.elapsed();
    std::thread::sleep(Duration::from_secs(3));
    let idle = platform.child.resident_mib()?;
    let Platform { child, folder, .. } = platform;
    drop(child);
    let mut later = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let child = up(folder.path())?;
        later.push(begun.elapsed().as_secs_f64() * 1000.0);
        drop(child);
    }
    anstream::println!(
        "start: first {:.0} ms, on an initialised data directory {:.0} ms (median of 5), idle {idle:.0} MiB resident",
        first.as_secs_f64() * 1000.0,
        crate::median(&mut later),
    );
    Ok(())
}
