//! Versions in real processes of their own: what they answer, and what hostile ones can do. This program
//! is its own worker: it has no usual test harness, so that it can be started as `EXE worker --serve`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail as it may")]

mod contract;
#[path = "process/hostile.rs"]
mod hostile;
mod model;
#[path = "process/python.rs"]
mod python;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, ExitCode},
    sync::{Arc, Mutex},
};

use domain::{DataType, Tensor, TensorData};
use inference::{
    Engine, ModelFolder,
    onnx::{OnnxEngine, OnnxOptions},
    process::{Bounds, Host, ProcessEngine, Program},
    worker::{self, Inside, Serve},
};
use libtest_mimic::{Arguments, Trial};
use model::{Graph, identity, node, value};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["worker", "--engine"] => return worker::engine(),
        ["worker", "--serve"] => return worker::serve(Serve::Keep(None)),
        ["worker", "--serve", "--group", group] => {
            return worker::serve(Serve::Keep(Some(group.into())));
        }
        ["worker", "--serve", "--seat", seat, rest @ ..] => {
            let (left, with_users) = (rest.contains(&"--left"), rest.contains(&"--with-users"));
            let seat = seat.parse().unwrap();
            return worker::serve(Serve::Become(Inside { seat, left, with_users }));
        }
        ["host"] => hostile::host(),
        _ => {}
    }
    let mut tests = hostile::tests();
    tests.extend(contract::tests("onnx", || Box::new(InProcess)));
    tests.extend(contract::tests("process", || Box::new(InItsOwn)));
    tests.extend(contract::tests("python", || Box::new(python::Python)));
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// A folder that a worker may enter, as the node's cache makes it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn onnx_host() -> Host {
    Host::new(std::env::current_exe().unwrap())
}

fn in_process(model: &ModelFolder, options: &OnnxOptions) -> Box<dyn Engine> {
    Box::new(OnnxEngine::load(&model::runtime(), model, options).unwrap())
}

fn in_its_own(model: &ModelFolder, options: &OnnxOptions) -> Box<dyn Engine> {
    let host = onnx_host();
    let program = Program::onnx(host.exe(), &model::library(), model, options);
    let bounds = Bounds { output_bytes: options.max_output_bytes, ..Bounds::default() };
    Box::new(ProcessEngine::start(&host, program, bounds, None).unwrap())
}

/// The same ONNX models, loaded here and there.
struct InProcess;
struct InItsOwn;

type Load = fn(&ModelFolder, &OnnxOptions) -> Box<dyn Engine>;

fn written(graph: &Graph, load: Load) -> Box<dyn Engine> {
    let folder = folder();
    // A process that is started again finds its files where they were.
    load(&graph.save(&folder.keep()), &OnnxOptions::default())
}

macro_rules! onnx_kind {
    ($kind:ident, $load:expr) => {
        impl contract::Kind for $kind {
            fn echo(&self, datatype: DataType, shape: &[&str]) -> Box<dyn Engine> {
                if shape == ["n", "2"] {
                    // Types that ONNX's Identity lacks are cast there and back.
                    let file = format!("identity/{}.onnx", datatype.as_str().to_lowercase());
                    return $load(&model::real(&file), &OnnxOptions::default());
                }
                written(&identity(datatype, shape), $load)
            }

            fn table(&self) -> Box<dyn Engine> {
                written(&model::table(), $load)
            }

            fn swaps(&self) -> Box<dyn Engine> {
                let (b, a) = (DataType::F32, DataType::I64);
                let graph = Graph {
                    nodes: vec![
                        node("Identity", &["a"], &["second"], &[]),
                        node("Identity", &["b"], &["first"], &[]),
                    ],
                    inputs: vec![value("b", b, &["n", "2"]), value("a", a, &["n"])],
                    outputs: vec![value("second", a, &["n"]), value("first", b, &["n", "2"])],
                    ..Graph::default()
                };
                written(&graph, $load)
            }

            fn endless(&self) -> Box<dyn Engine> {
                $load(&model::real("endless.onnx"), &OnnxOptions::default())
            }

            fn expand(&self, output_bytes: usize) -> Box<dyn Engine> {
                let options = OnnxOptions { max_output_bytes: output_bytes, threads: 1 };
                $load(&model::real("expand.onnx"), &options)
            }
        }
    };
}

onnx_kind!(InProcess, in_process);
onnx_kind!(InItsOwn, in_its_own);
