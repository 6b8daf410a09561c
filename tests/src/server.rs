//! A `bottega up` of one's own.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

const TOKEN: &str = "test-token-0123456789abcdef";

/// The binary under test: the one that cargo built beside these tests.
#[must_use]
pub fn bottega() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let binary = exe.ancestors().nth(2).unwrap().join("bottega");
    assert!(binary.is_file(), "{} is not built: run the tests by ./just test", binary.display());
    binary
}

/// Looks until it is so; fails with the words after a while.
pub fn wait_until(what: &str, patience: Duration, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + patience;
    while !so() {
        assert!(Instant::now() < until, "not so after {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until what is seen is right, and fails with what was seen last.
pub fn wait_for(
    what: &str,
    patience: Duration,
    look: impl Fn() -> Value,
    right: impl Fn(&Value) -> bool,
) {
    let until = Instant::now() + patience;
    loop {
        let seen = look();
        if right(&seen) {
            return;
        }
        assert!(Instant::now() < until, "not so after {patience:?}: {what}: {seen:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How a server is started.
#[derive(Clone, Default)]
pub struct Options {
    /// The one role to play; absent: all of them, `bottega up`.
    pub role: Option<&'static str>,
    /// Arguments besides ports and data directory.
    pub arguments: Vec<String>,
    /// Variables on top of the tests' own.
    pub environment: Vec<(String, String)>,
    /// A data directory that is there already.
    pub data_dir: Option<PathBuf>,
    /// A command line that ends by becoming the one that follows it.
    pub under: Vec<String>,
}

/// What the CLI answered.
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

impl Answer {
    /// Of a command line that has ended.
    #[must_use]
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The JSON on stdout of a command that succeeded.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// The error in the JSON on stderr of a command that failed with this exit code.
    pub fn error(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        let body: Value = serde_json::from_str(&self.stderr)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stderr));
        body["error"].clone()
    }
}

/// A running `bottega up`, killed when dropped.
pub struct Server {
    child: Child,
    folder: Option<TempDir>,
    data_dir: PathBuf,
    options: Options,
    log: Arc<Mutex<String>>,
    /// `http://HOST:PORT`
    pub url: String,
    /// `HOST:PORT` of gRPC; empty for a role without.
    pub grpc: String,
    /// The administrator's token.
    pub token: &'static str,
}

impl Server {
    /// Starts one on a fresh data directory.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts one.
    #[must_use]
    pub fn start_with(options: Options) -> Self {
        match Self::try_start(options) {
            Ok(server) => server,
            Err(answer) => panic!("bottega up ended with {}: {}", answer.code, answer.stderr),
        }
    }

    /// Starts one, or answers how it refused to.
    ///
    /// # Errors
    /// It ended before it was ready.
    pub fn try_start(options: Options) -> Result<Self, Answer> {
        let (folder, data_dir) = match options.data_dir.clone() {
            Some(data_dir) => (None, data_dir),
            None => {
                // Postgres runs as another user where we are root: the way to it must be open.
                let folder = tempfile::Builder::new().prefix("bottega-test-").tempdir().unwrap();
                std::fs::set_permissions(
                    folder.path(),
                    std::os::unix::fs::PermissionsExt::from_mode(0o755),
                )
                .unwrap();
                let data_dir = folder.path().join("data");
                (Some(folder), data_dir)
            }
        };
        let mut child = Self::command(&options, &data_dir)
            .args(["--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"])
            .args(&options.arguments)
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut stderr, copy) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut piece) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..read]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let parts: Vec<_> = line.split_whitespace().collect();
        let (["ready", http] | ["ready", http, _]) = parts[..] else {
            let code = child.wait().unwrap().code().unwrap_or(-1);
            reader.join().unwrap();
            let stderr = log.lock().unwrap().clone();
            return Err(Answer { code, stdout: line, stderr });
        };
        let url = http.to_owned();
        let grpc = parts.get(2).map_or("", |grpc| grpc.strip_prefix("grpc://").unwrap()).to_owned();
        Ok(Self { child, folder, data_dir, options, log, url, grpc, token: TOKEN })
    }

    fn command(options: &Options, data_dir: &Path) -> Command {
        let mut words = options.under.iter().map(OsString::from).chain([bottega().into()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        command
            .arg(options.role.unwrap_or("up"))
            .arg("--data-dir")
            .arg(data_dir)
            // No packages are fetched but for tests that name it.
            .env("BOTTEGA_UV", "/none")
            .env("BOTTEGA_ADMIN_TOKEN", TOKEN);
        command
    }

    /// Runs the CLI against this server with JSON output.
    pub fn cli<I: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Answer {
        Answer::of(self.cli_command().args(arguments).args(["--output", "json"]).output().unwrap())
    }

    /// The CLI with this server's address and token.
    #[must_use]
    pub fn cli_command(&self) -> Command {
        let mut command = Command::new(bottega());
        command.env("BOTTEGA_URL", &self.url).env("BOTTEGA_TOKEN", self.token).stdin(Stdio::null());
        command
    }

    /// A connection as the administrator.
    #[must_use]
    pub fn http(&self) -> client::Connection {
        client::Connection::new(&self.url, Some(self.token.to_owned().into())).unwrap()
    }

    /// An HTTP client without anything of ours in it.
    #[must_use]
    pub fn plain(&self) -> reqwest::Client {
        drop(rustls::crypto::ring::default_provider().install_default());
        reqwest::Client::builder().build().unwrap()
    }

    /// Pushes a model and deploys it as an endpoint of the same name.
    pub fn serve(&self, name: &str, file: &Path) {
        let file = file.to_str().unwrap();
        assert_eq!(
            self.cli(["push", file, "--name", name, "--alias", "champion"]).json()["status"],
            "ready"
        );
        let deployed =
            self.cli(["deploy", name, "--model", &format!("{name}@champion"), "--wait"]).json();
        assert_eq!(deployed["state"], "completed");
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal and waits for the end; answers the exit code and how long it took.
    pub fn signal(&mut self, signal: Signal) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        kill(self.pid(), signal).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), begun.elapsed())
    }

    /// The status and JSON body of a GET without a token.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.fetch(path, None)
    }

    /// The status and JSON body of a GET as the administrator.
    #[must_use]
    pub fn get_as_admin(&self, path: &str) -> (u16, Value) {
        self.fetch(path, Some(self.token))
    }

    fn fetch(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut request = self.plain().get(format!("{}{path}", self.url));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.unwrap();
            (
                answer.status().as_u16(),
                serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
            )
        })
    }

    /// Kills it as nobody can resist, and starts another one on the same data.
    #[must_use]
    pub fn kill_and_restart(mut self) -> Self {
        self.signal(Signal::SIGKILL);
        self.restart()
    }

    /// Starts another one in the same way on the data of this one, which has ended.
    #[must_use]
    pub fn restart(mut self) -> Self {
        let mut next = Self::start_with(Options {
            data_dir: Some(self.data_dir.clone()),
            ..self.options.clone()
        });
        next.folder = self.folder.take();
        next
    }

    /// Processes whose command line names this data directory.
    #[must_use]
    pub fn processes(&self) -> Vec<String> {
        processes_of(&self.data_dir)
    }
}

/// Processes whose command line names a folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.display().to_string();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let command_line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command_line).replace('\0', " "))
    });
    all.filter(|line| line.contains(&needle)).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, if the test ended it.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = kill(self.pid(), Signal::SIGTERM);
            drop(self.child.wait());
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = lines.len().saturating_sub(20);
            let is_told = |line: &str| ["WARN", "ERROR"].iter().any(|level| line.contains(level));
            let tail: Vec<_> = lines
                .iter()
                .enumerate()
                .filter(|(at, line)| *at >= last || is_told(line))
                .map(|(_, line)| *line)
                .collect();
            eprintln!("--- the server's last words ---\n{}", tail.join("\n"));
        }
    }
}
