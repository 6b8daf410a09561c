//! The real `mlflow server`, as `tools/install mlflow3` has it.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tempfile::TempDir;

use crate::{Result, http::Server, repository};

/// How many workers it starts unless told otherwise.
const WORKERS: usize = 4;
/// Of the one account, where there are accounts.
const PASSWORD: &str = "bench-password-0123456789";
/// Each worker imports MLflow, which takes a core some seconds, and far longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running server, in a folder of its own. It ends with this value.
pub struct Reference {
    process: Child,
    folder: TempDir,
    address: String,
    has_accounts: bool,
}

impl Reference {
    /// Starts one, without accounts as it comes, or with `--app-name basic-auth`.
    pub fn start(has_accounts: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bottega-bench-mlflow-").tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let (host, port) = address.split_once(':').ok_or("no port")?;
        let python = Python::find()?;
        let mut command = Command::new(&python.program);
        command.args(["-m", "mlflow", "server", "--host", host, "--port", port]);
        command
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", database(&folder).display()));
        command.arg("--artifacts-destination").arg(folder.path().join("artifacts"));
        let mut path = python.path;
        if has_accounts {
            command.args(["--app-name", "basic-auth"]);
            command.env("MLFLOW_AUTH_ADMIN_PASSWORD", PASSWORD);
            command.env("MLFLOW_FLASK_SERVER_SECRET_KEY", PASSWORD);
            path = format!("{path}:{}", Python::accounts()?);
        }
        let log = std::fs::File::create(folder.path().join("log"))?;
        let process = command
            .env("PYTHONPATH", path)
            .env_remove("MLFLOW_TRACKING_URI")
            // Its queue for background jobs is seven more processes, which nothing here asks for.
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .current_dir(folder.path())
            // So that its workers end with it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut started = Self { process, folder, address, has_accounts };
        started.wait()?;
        Ok(started)
    }

    /// Waits until every worker serves.
    fn wait(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let log = self.folder.path().join("log");
        loop {
            let said = std::fs::read_to_string(&log)?;
            if said.matches("Application startup complete").count() >= WORKERS {
                self.server().call("GET", "/health", "")?;
                return Ok(());
            }
            if Instant::now() > until || self.process.try_wait()?.is_some() {
                return Err(format!("`mlflow server` did not start:\n{said}").into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// It, asked as its administrator where it has accounts.
    pub fn server(&self) -> Server {
        let pair = BASE64_STANDARD.encode(format!("admin:{PASSWORD}"));
        Server::new(&self.address, self.has_accounts.then(|| format!("Basic {pair}")))
    }

    /// Fills its database by `fill.py`, whose arguments these are: it would take hours over its API.
    pub fn fill(&self, arguments: &[String]) -> Result<()> {
        let mut command = Command::new(Python::find()?.program);
        command.arg("-B").arg(repository("benches/src/mlflow/fill.py"));
        command.arg(database(&self.folder)).args(arguments);
        let done = command.status()?;
        if done.success() { Ok(()) } else { Err(format!("{command:?}: {done}").into()) }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        for signal in ["-TERM", "-KILL"] {
            let mut kill = Command::new("kill");
            let _asked = kill.args([signal, "--", &group]).stderr(Stdio::null()).status();
            if signal == "-TERM" {
                std::thread::sleep(Duration::from_secs(2));
            }
        }
        let _ended = self.process.wait();
    }
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("mlflow.db")
}

/// The MLflow that is measured against.
pub fn version() -> Result<String> {
    let python = std::env::var("BOTTEGA_MLFLOW3")?;
    says(&python, "from importlib.metadata import version; print(version('mlflow'))")
}

/// An interpreter, and where its packages are.
struct Python {
    program: String,
    path: String,
}

impl Python {
    fn find() -> Result<Self> {
        let python = std::env::var("BOTTEGA_MLFLOW3")?;
        let said =
            says(&python, "import sys; print(sys.executable, ':'.join(filter(None, sys.path)))")?;
        let (program, path) = said.split_once(' ').ok_or("no path")?;
        Ok(Self { program: program.to_owned(), path: path.to_owned() })
    }

    /// Where the packages are that accounts need besides.
    fn accounts() -> Result<String> {
        let python = std::env::var("BOTTEGA_MLFLOW_AUTH")?;
        let package = "from importlib.util import find_spec; print(find_spec('wtforms').origin)";
        let package = says(&python, package)?;
        let folder = Path::new(&package).ancestors().nth(2).ok_or("no folder of packages")?;
        Ok(folder.display().to_string())
    }
}

fn says(python: &str, script: &str) -> Result<String> {
    let output = Command::new(python).args(["-c", script]).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{python}: {said}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
