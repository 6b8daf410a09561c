//! What every engine keeps to, asked of those that others' servers and programs answer for, over the Open
//! Inference Protocol. This program is its own worker: it has no usual test harness, so that it can be
//! started as `EXE worker --serve`.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]

#[path = "../../inference/tests/contract/mod.rs"]
mod contract;
#[path = "../../inference/tests/model/mod.rs"]
mod model;

use std::{
    env,
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
};

use auth::{SecretKey, Vault, egress::Networks};
use domain::{DataType, Signature, external::External};
use inference::{
    Engine, ModelFolder, OwnProgram,
    process::{Apart as _, Bounds, Host},
    worker::{self, Inside, Serve},
};
use libtest_mimic::Arguments;
use remote::Remote;
use serde_json::{Value, json};
use store::testing::TestDatabase;
use tokio::runtime::Runtime;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/server.py");
const ROOM: usize = 256 << 20;

fn main() -> ExitCode {
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["worker", "--own"] => return gateway::own::main(),
        ["worker", "--serve"] => return worker::serve(Serve::Keep(None)),
        ["worker", "--serve", "--seat", seat, rest @ ..] => {
            let (left, with_users) = (rest.contains(&"--left"), rest.contains(&"--with-users"));
            let seat = seat.parse().unwrap();
            return worker::serve(Serve::Become(Inside { seat, left, with_users }));
        }
        _ => {}
    }
    let mut tests = contract::tests("external", || Box::new(Elsewhere::start()));
    tests.extend(contract::tests("program", || Box::new(Programs)));
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn tensor(name: &str, datatype: DataType, shape: &[&str]) -> Value {
    let dim = |dim: &&str| dim.parse::<u64>().map_or_else(|_| json!(dim), |fixed| json!(fixed));
    json!({"name": name, "datatype": datatype, "shape": shape.iter().map(dim).collect::<Vec<_>>()})
}

/// A kind of engine that asks a server for a model of that name.
trait Asked {
    fn ask(&self, model: &str, signature: Signature, output_bytes: usize) -> Box<dyn Engine>;

    fn one(
        &self,
        model: &str,
        input: Value,
        output: Value,
        output_bytes: usize,
    ) -> Box<dyn Engine> {
        let signature = json!({"inputs": [input], "outputs": [output]});
        self.ask(model, serde_json::from_value(signature).unwrap(), output_bytes)
    }
}

macro_rules! kind {
    ($kind:ident) => {
        impl contract::Kind for $kind {
            fn echo(&self, datatype: DataType, shape: &[&str]) -> Box<dyn Engine> {
                let (x, y) = (tensor("x", datatype, shape), tensor("y", datatype, shape));
                self.one("echo", x, y, ROOM)
            }

            fn table(&self) -> Box<dyn Engine> {
                let x = tensor("x", DataType::I64, &["n"]);
                self.one("table", x, tensor("y", DataType::F32, &["n", "2"]), ROOM)
            }

            fn swaps(&self) -> Box<dyn Engine> {
                let (a, b) = (DataType::I64, DataType::F32);
                let signature = json!({
                    "inputs": [tensor("b", b, &["n", "2"]), tensor("a", a, &["n"])],
                    "outputs": [tensor("second", a, &["n"]), tensor("first", b, &["n", "2"])],
                });
                self.ask("swaps", serde_json::from_value(signature).unwrap(), ROOM)
            }

            fn endless(&self) -> Box<dyn Engine> {
                let (x, y) = (tensor("x", DataType::F32, &["1"]), tensor("y", DataType::F32, &["1"]));
                self.one("endless", x, y, ROOM)
            }

            fn expand(&self, output_bytes: usize) -> Box<dyn Engine> {
                let elements = tensor("elements", DataType::I64, &["1"]);
                self.one("expand", elements, tensor("y", DataType::F32, &["n"]), output_bytes)
            }
        }
    };
}

kind!(Elsewhere);
kind!(Programs);

/// Models that a server of others answers for.
struct Elsewhere {
    server: Child,
    url: String,
    runtime: Runtime,
    remote: Arc<Remote>,
    _database: TestDatabase,
}

impl Elsewhere {
    fn start() -> Self {
        let mut server = Command::new("python3")
            .args([SERVER, "--alone"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let url = format!("http://127.0.0.1:{}", port.trim_end());
        let runtime = Runtime::new().unwrap();
        let database = runtime.block_on(TestDatabase::fresh());
        let key = SecretKey::new("k".repeat(32).into()).unwrap();
        let vault = Vault::new(&key.into(), "credentials");
        let allowed = Networks::parse("remote_allow", "127.0.0.1").unwrap();
        let remote = Remote::new(database.database().clone(), vault, allowed).unwrap();
        Self { server, url, runtime, remote: Arc::new(remote), _database: database }
    }
}

impl Asked for Elsewhere {
    fn ask(&self, model: &str, signature: Signature, output_bytes: usize) -> Box<dyn Engine> {
        let said = format!("{{protocol: v2, url: '{}', model: {model}}}", self.url);
        let external = External::read(said.as_bytes()).unwrap();
        let _entered = self.runtime.enter();
        gateway::external::engine(&external, &signature, &self.remote, output_bytes).unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// Models that a program of their author's answers for, in walls of its own.
struct Programs;

impl Asked for Programs {
    fn ask(&self, model: &str, signature: Signature, output_bytes: usize) -> Box<dyn Engine> {
        let folder = tempfile::tempdir().unwrap().keep();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        fs::copy(SERVER, folder.join("server.py")).unwrap();
        let says = format!("{{command: [python3, server.py], protocol: v2, model: {model}}}");
        fs::write(folder.join("process.yaml"), says).unwrap();
        let file = "process.yaml".parse().unwrap();
        let folder = ModelFolder { path: folder, file, bytes: 0 };
        let exe = env::current_exe().unwrap();
        let program = OwnProgram::new(Path::new(&exe), signature, &folder).unwrap();
        let bounds = Bounds { output_bytes, ..Bounds::default() };
        Box::new(program.start(&Host::new(exe), 1, bounds).unwrap())
    }
}
