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

use crate::{tool, wait_until};

/// A running `mlflow server` on SQLite with its artifact proxy, killed when dropped.
pub struct MlflowServer {
    child: Child,
    folder: TempDir,
    python: PathBuf,
    /// `http://HOST:PORT`
    pub url: String,
}

impl MlflowServer {
    /// Starts one, of the version that the Python of this variable has.
    #[must_use]
    pub fn start(python: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("mlflow-test-").tempdir().unwrap();
        let python = tool(python);
        // Free a moment ago; nobody else picks ports here by number.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let child = Self::spawn(&python, folder.path(), port);
        let mut server = Self { child, folder, python, url };
        server.wait();
        server
    }

    fn spawn(python: &Path, folder: &Path, port: u16) -> Child {
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
            .arg("--artifacts-destination")
            .arg(folder.join("artifacts"))
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
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
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
