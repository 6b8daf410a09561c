//! A real MLflow server.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{Weed, tool, wait_until};

/// Where a server has the files of runs.
#[derive(Clone, Copy)]
pub enum Files<'a> {
    /// Behind its artifact proxy, as it comes.
    Proxy,
    /// In a folder, which clients write to by themselves: `file:`.
    Folder,
    /// In a bucket, which clients write to by themselves: `s3:`.
    Bucket(&'a Weed),
}

/// A running `mlflow server` on SQLite, killed when dropped.
pub struct MlflowServer {
    child: Child,
    folder: TempDir,
    python: PathBuf,
    /// What it and its clients are told besides.
    environment: Vec<(String, String)>,
    /// `http://HOST:PORT`
    pub url: String,
}

impl MlflowServer {
    /// Starts one with its artifact proxy, of the version that the Python of this variable has.
    #[must_use]
    pub fn start(python: &str) -> Self {
        Self::start_with(python, Files::Proxy)
    }

    /// As [`MlflowServer::start`], with the files elsewhere.
    #[must_use]
    pub fn start_with(python: &str, files: Files<'_>) -> Self {
        let folder = tempfile::Builder::new().prefix("mlflow-test-").tempdir().unwrap();
        let python = tool(python);
        // Free a moment ago; nobody else picks ports here by number.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let (arguments, environment) = files.settings(folder.path());
        let child = Self::spawn(&python, folder.path(), port, &arguments, &environment);
        let mut server = Self { child, folder, python, environment, url };
        server.wait();
        server
    }

    fn spawn(
        python: &Path,
        folder: &Path,
        port: u16,
        arguments: &[String],
        environment: &[(String, String)],
    ) -> Child {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        Command::new(python)
            .args([
                "-B",
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--workers",
                "1",
                "--port",
            ])
            .arg(port.to_string())
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", folder.join("mlflow.db").display()))
            .args(arguments)
            .envs(environment.iter().cloned())
            .env_remove("MLFLOW_TRACKING_URI")
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Its workers die with it.
            .process_group(0)
            .spawn()
            .unwrap()
    }

    fn wait(&mut self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        let log = self.folder.path().join("log");
        let child = &mut self.child;
        wait_until("the MLflow server listens", Duration::from_secs(600), || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", std::fs::read_to_string(&log).unwrap());
            }
            std::net::TcpStream::connect(&address).is_ok()
        });
    }

    /// Runs a script of `tests/clients` by its own Python, as a client of it; answers what it printed.
    ///
    /// # Panics
    /// The script fails.
    pub fn script(&self, script: &str, arguments: &[&str], token: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
        let output = Command::new(&self.python)
            .arg("-B")
            .arg(script)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("MLFLOW_TRACKING_URI", &self.url)
            .env("MLFLOW_TRACKING_TOKEN", token)
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

impl Files<'_> {
    /// Arguments, and variables for whoever reads and writes files.
    fn settings(self, folder: &Path) -> (Vec<String>, Vec<(String, String)>) {
        let artifacts = folder.join("artifacts").display().to_string();
        let elsewhere = |root| ["--no-serve-artifacts", "--default-artifact-root", root];
        match self {
            Self::Proxy => (vec!["--artifacts-destination".to_owned(), artifacts], Vec::new()),
            Self::Folder => {
                (elsewhere(&format!("file://{artifacts}")).map(str::to_owned).into(), Vec::new())
            }
            Self::Bucket(weed) => {
                let arguments = elsewhere(&weed.location("runs")).map(str::to_owned).into();
                (arguments, weed.environment(&[("AWS_DEFAULT_REGION", "us-east-1")]))
            }
        }
    }
}

impl Drop for MlflowServer {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _gone = killpg(group, Signal::SIGKILL);
        drop(self.child.wait());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().rev().take(30).collect();
            let tail: Vec<_> = lines.into_iter().rev().collect();
            eprintln!("--- the MLflow server's last words ---\n{}", tail.join("\n"));
        }
    }
}
