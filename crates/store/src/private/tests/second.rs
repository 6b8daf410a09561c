//! A second Bottega: this test binary, run again for one "test" that does what it is told.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use nix::sys::resource::{Resource, setrlimit};

use super::{Scratch, start};
use crate::private::DataDirLock;

const DATA_DIR: &str = "BOTTEGA_SECOND_DATA_DIR";
const FILE_LIMIT: &str = "BOTTEGA_SECOND_FILE_LIMIT";
const MARK: &str = "second says: ";

/// The other process. It is killed with this value.
pub(super) struct Second {
    process: Child,
    output: BufReader<ChildStdout>,
}

/// What it is told.
#[derive(Default, Clone, Copy)]
pub(super) struct Orders {
    /// Who it is, where we are root.
    pub uid: Option<u32>,
    /// How many bytes a file of its may have, as on a full disk.
    pub file_limit: Option<u64>,
}

impl Second {
    pub fn spawn(scratch: &Scratch, orders: Orders) -> Self {
        let mut command = Command::new(match orders.uid {
            None => env::current_exe().unwrap(),
            Some(_) => copy(scratch),
        });
        command.args(["private::tests::second::does_as_told", "--exact", "--ignored"]);
        command.arg("--nocapture").current_dir(&scratch.0).stdout(Stdio::piped());
        command.env(DATA_DIR, scratch.data_dir());
        if let Some(limit) = orders.file_limit {
            command.env(FILE_LIMIT, limit.to_string());
        }
        if let Some(uid) = orders.uid {
            command.uid(uid).gid(uid);
        }
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// `started PID` or `refused ERROR`.
    pub fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the second is silent");
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim().replace("\\n", "\n");
            }
        }
    }

    pub fn hear_pid(&mut self) -> i32 {
        let said = self.hear();
        said.strip_prefix("started ").unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    }

    pub fn hear_refusal(&mut self) -> String {
        let said = self.hear();
        said.strip_prefix("refused ").unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    /// SIGKILL: it cannot clean up.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Another user cannot reach where cargo builds. It is `cp` that writes: were it us, a fork in
/// another test would hold the file open for writing, and what is being written cannot be run.
fn copy(scratch: &Scratch) -> PathBuf {
    let program = scratch.0.join("second");
    let copied = Command::new("cp").arg(env::current_exe().unwrap()).arg(&program).status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

impl Drop for Second {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "other tests run this in a process of its own"]
async fn does_as_told() {
    let data_dir = env::var_os(DATA_DIR).expect("other tests run this");
    if let Ok(limit) = env::var(FILE_LIMIT) {
        let limit = limit.parse().unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, limit, limit).unwrap();
    }
    let begun = async {
        let lock = DataDirLock::acquire(Path::new(&data_dir))?;
        let postgres = start(&lock).await?;
        Ok::<_, crate::private::Error>((lock, postgres))
    };
    match begun.await {
        Ok((_lock, postgres)) => {
            println!("\n{MARK}started {}", postgres.pid());
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        Err(error) => println!("\n{MARK}refused {}", error.to_string().replace('\n', "\\n")),
    }
}
