//! A Postgres of a test's own, which it may freeze, kill and start again.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid},
};
use tempfile::TempDir;

use crate::{tool, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
/// Postgres refuses root.
const NOBODY: u32 = 65534;

/// A running server with an empty database. It ends with this value.
pub struct Postgres {
    folder: TempDir,
    server: Child,
}

impl Postgres {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("bottega-postgres-").tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::create_dir(home.join("run")).unwrap();
        if Uid::effective().is_root() {
            for place in [home.clone(), home.join("run")] {
                chown(place, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let mut made = program("initdb");
        made.arg("-D").arg(home.join("data"));
        made.args(["-U", "bottega", "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync"]);
        assert!(made.stdout(Stdio::null()).status().unwrap().success(), "there is no cluster");
        let server = launch(&home);
        let postgres = Self { folder, server };
        postgres.wait();
        postgres.ask("postgres", "CREATE DATABASE bottega");
        postgres
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Where its database is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgresql://bottega@localhost/bottega?host={}", self.home().join("run").display())
    }

    /// The only value that a query of the database gives.
    #[must_use]
    pub fn value(&self, query: &str) -> String {
        self.ask("bottega", query)
    }

    fn ask(&self, database: &str, statement: &str) -> String {
        let output = self.psql(database, statement).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn psql(&self, database: &str, statement: &str) -> Command {
        let mut psql = Command::new(tool("BOTTEGA_PG_BIN_DIR").join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-U", "bottega", "-d", database, "-c", statement]);
        psql.arg("-h").arg(self.home().join("run"));
        psql
    }

    fn wait(&self) {
        wait_until("Postgres answers", PATIENCE, || {
            let mut asked = self.psql("postgres", "SELECT 1");
            asked.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        });
    }

    /// The server's process and those that it has started: it has one for each connection.
    fn processes(&self) -> Vec<Pid> {
        let server = self.server.id().to_string();
        let is_its = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name stands in brackets and may hold anything.
            let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
            after.split_whitespace().nth(1) == Some(server.as_str())
        };
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok())
        });
        let server = i32::try_from(self.server.id()).unwrap();
        std::iter::once(server).chain(all.filter(is_its)).map(Pid::from_raw).collect()
    }

    fn signal(&self, signal: Signal) {
        for pid in self.processes() {
            let _it_may_have_ended = kill(pid, signal);
        }
    }

    /// Stops all of its processes where they are: it answers nobody, and nobody is told so.
    pub fn freeze(&self) {
        // First the one that starts others.
        self.signal(Signal::SIGSTOP);
        self.signal(Signal::SIGSTOP);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills all of its processes.
    pub fn kill(&mut self) {
        let processes = self.processes();
        self.signal(Signal::SIGKILL);
        self.server.wait().unwrap();
        let is_there = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie is gone: whoever inherited it has not looked yet.
            stat.rsplit_once(") ").is_some_and(|(_, after)| !after.starts_with('Z'))
        };
        wait_until("Postgres is gone", PATIENCE, || !processes.iter().any(is_there));
    }

    /// Starts it on its data, after it was killed.
    pub fn start_again(&mut self) {
        self.server = launch(&self.home());
        self.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
        let _it_may_have_ended =
            kill(Pid::from_raw(i32::try_from(self.server.id()).unwrap()), Signal::SIGINT);
        drop(self.server.wait());
    }
}

/// One of Postgres' programs, by somebody whom it takes, who ends with us.
fn program(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=INT");
    if Uid::effective().is_root() {
        command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}")]);
        command.args(["--clear-groups", "--inh-caps=-all"]);
    }
    command.arg(tool("BOTTEGA_PG_BIN_DIR").join(name)).stdin(Stdio::null()).current_dir("/");
    command
}

/// Without writing through to the disk: the machine does not lose its memory here.
fn launch(home: &std::path::Path) -> Child {
    let log = File::options().append(true).create(true).open(home.join("log")).unwrap();
    let mut server = program("postgres");
    server.arg("-D").arg(home.join("data")).arg("-k").arg(home.join("run"));
    server.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"]);
    server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
