//! The contract suite's models in Python, run by the worker of Python versions on the Python of the tests.

use std::{env, fs, path::PathBuf, process::Command};

use domain::{DataType, Signature};
use inference::{
    Engine,
    process::{Bounds, Host, ProcessEngine, Program},
};
use serde_json::{Value, json};

use crate::{contract, folder};

const WORKER: &str = include_str!("../../src/python/worker.py");

pub struct Python;

/// The interpreter, what belongs to it, and the folder of its packages.
fn python() -> (PathBuf, PathBuf, String) {
    let tool = env::var_os("BOTTEGA_PYTHON").unwrap();
    let script = "import sys, os, numpy; print(sys._base_executable); print(sys.base_prefix); \
                  print(os.path.dirname(os.path.dirname(numpy.__file__)))";
    let told = Command::new(tool).args(["-c", script]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let mut lines = told.lines().map(str::to_owned);
    let mut next = || lines.next().unwrap();
    (next().into(), next().into(), next())
}

/// A model of `kinds.py`, of this signature.
fn model(class: &str, input: &str, signature: &Value, output_bytes: usize) -> Box<dyn Engine> {
    let (command, base, packages) = python();
    let (host, folder) = (Host::new(env::current_exe().unwrap()), folder().keep());
    fs::create_dir(folder.join("code")).unwrap();
    fs::write(folder.join("code/kinds.py"), include_str!("kinds.py")).unwrap();
    // Calls the class, as pickles do.
    fs::write(folder.join("model.pkl"), format!("ckinds\n{class}\n(tR.")).unwrap();
    let source = format!("import sys; sys.path.insert(0, {packages:?})\n{WORKER}");
    let mut readable = Program::machine();
    readable.extend([base, packages.into()]);
    let loader =
        json!({"flavour": "sklearn", "file": "model.pkl", "format": "pickle", "method": "predict"});
    let program = Program {
        command,
        arguments: vec!["-I".to_owned(), "-B".to_owned(), "-c".to_owned(), source],
        environment: ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
            .map(|name| (name.to_owned(), "1".to_owned()))
            .to_vec(),
        readable,
        folder,
        talks: false,
        load: json!({
            "model": {"folder": "", "code": "code", "loader": loader, "input": input},
            "signature": signature, "output_bytes": output_bytes,
        }),
    };
    let signature: Signature = serde_json::from_value(signature.clone()).unwrap();
    let bounds = Bounds { output_bytes, ..Bounds::default() };
    Box::new(ProcessEngine::start(&host, program, bounds, Some(signature)).unwrap())
}

fn tensor(name: &str, datatype: DataType, shape: &[&str]) -> Value {
    let shape: Vec<Value> = shape
        .iter()
        .map(|dim| dim.parse::<u64>().map_or_else(|_| json!(dim), |fixed| json!(fixed)))
        .collect();
    json!({"name": name, "datatype": datatype, "shape": shape})
}

fn one(class: &str, input: Value, output: Value, output_bytes: usize) -> Box<dyn Engine> {
    model(class, "array", &json!({"inputs": [input], "outputs": [output]}), output_bytes)
}

const ROOM: usize = 64 << 20;

impl contract::Kind for Python {
    fn lacks(&self) -> &[DataType] {
        // NumPy has none.
        &[DataType::BF16]
    }

    fn echo(&self, datatype: DataType, shape: &[&str]) -> Box<dyn Engine> {
        one("Echo", tensor("x", datatype, shape), tensor("y", datatype, shape), ROOM)
    }

    fn table(&self) -> Box<dyn Engine> {
        let (x, y) = (tensor("x", DataType::I64, &["n"]), tensor("y", DataType::F32, &["n", "2"]));
        one("Table", x, y, ROOM)
    }

    fn swaps(&self) -> Box<dyn Engine> {
        let (a, b) = (DataType::I64, DataType::F32);
        let signature = json!({
            "inputs": [tensor("b", b, &["n", "2"]), tensor("a", a, &["n"])],
            "outputs": [tensor("second", a, &["n"]), tensor("first", b, &["n", "2"])],
        });
        model("Swaps", "arrays", &signature, ROOM)
    }

    fn endless(&self) -> Box<dyn Engine> {
        let (x, y) = (tensor("x", DataType::F32, &["1"]), tensor("y", DataType::F32, &["1"]));
        one("Endless", x, y, ROOM)
    }

    fn expand(&self, output_bytes: usize) -> Box<dyn Engine> {
        let elements = tensor("elements", DataType::I64, &["1"]);
        one("Expand", elements, tensor("y", DataType::F32, &["n"]), output_bytes)
    }
}
