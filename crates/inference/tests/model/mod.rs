//! The models that the tests run: those of the repository, and small ones written here, so that
//! each test's model stands in the test.
//!
//! Of `onnx.proto` only what the tests need is here: a message is a list of fields, each written as
//! its number and content, and `Message` is enough for all of them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of a test may fail as it may"
)]
#![expect(dead_code, reason = "each test file and example uses its part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use domain::{DataType, Tensor, TensorData};
use half::{bf16, f16};
use inference::{ModelFolder, Runtime};
use tokio::task::JoinHandle;

/// Extremes of each type, as two elements.
pub fn two_of(datatype: DataType) -> TensorData {
    match datatype {
        DataType::Bool => TensorData::Bool(vec![true, false]),
        DataType::U8 => TensorData::U8(vec![0, u8::MAX]),
        DataType::U16 => TensorData::U16(vec![0, u16::MAX]),
        DataType::U32 => TensorData::U32(vec![0, u32::MAX]),
        DataType::U64 => TensorData::U64(vec![0, u64::MAX]),
        DataType::I8 => TensorData::I8(vec![i8::MIN, i8::MAX]),
        DataType::I16 => TensorData::I16(vec![i16::MIN, i16::MAX]),
        DataType::I32 => TensorData::I32(vec![i32::MIN, i32::MAX]),
        DataType::I64 => TensorData::I64(vec![i64::MIN, i64::MAX]),
        DataType::F16 => TensorData::F16(vec![f16::MIN, f16::INFINITY]),
        DataType::BF16 => TensorData::BF16(vec![bf16::MIN, bf16::INFINITY]),
        DataType::F32 => TensorData::F32(vec![f32::MIN, f32::INFINITY]),
        DataType::F64 => TensorData::F64(vec![f64::MIN, f64::INFINITY]),
        DataType::Bytes => TensorData::Bytes(vec![vec![], "ζ, wörds".into()]),
    }
}

/// The largest of what callers tell, once all are done.
pub async fn largest(callers: Vec<JoinHandle<usize>>) -> usize {
    let mut largest = 0;
    for caller in callers {
        largest = largest.max(caller.await.unwrap());
    }
    largest
}

/// ONNX Runtime's library.
pub fn library() -> PathBuf {
    std::env::var_os("BOTTEGA_ONNXRUNTIME")
        .expect(
            "BOTTEGA_ONNXRUNTIME must name ONNX Runtime's library: run the tests by ./just test",
        )
        .into()
}

/// The runtime that all tests of a process share.
pub fn runtime() -> Runtime {
    Runtime::load(&library()).unwrap()
}

/// A model of the repository, in the folder where all of them lie.
pub fn real(file: &str) -> ModelFolder {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/data");
    let bytes = fs::metadata(path.join(file)).expect("./just models makes them").len();
    ModelFolder { path: path.canonicalize().unwrap(), file: file.parse().unwrap(), bytes }
}

/// The tensors in a file of the repository: a request to a real model, or its answer.
pub fn tensors(file: &str, list: &str) -> Vec<Tensor> {
    let model = real(file);
    let text = fs::read(model.path.join(file)).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let read = |tensor: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
        let elements = tensor["data"].as_array().unwrap().iter();
        let data = match tensor["datatype"].as_str().unwrap() {
            "FP32" => TensorData::F32(elements.map(|e| e.as_f64().unwrap() as f32).collect()),
            "INT64" => TensorData::I64(elements.map(|e| e.as_i64().unwrap()).collect()),
            _ => TensorData::Bytes(elements.map(|e| text(e).into_bytes()).collect()),
        };
        Tensor::new(text(&tensor["name"]), shape, data).unwrap()
    };
    json[list].as_array().unwrap().iter().map(read).collect()
}

#[derive(Default, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    fn message(self, field: u64, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn each(self, field: u64, values: &[Message]) -> Self {
        values.iter().fold(self, |message, value| message.message(field, value))
    }
}

pub fn element(datatype: DataType) -> i64 {
    match datatype {
        DataType::F32 => 1,
        DataType::U8 => 2,
        DataType::I8 => 3,
        DataType::U16 => 4,
        DataType::I16 => 5,
        DataType::I32 => 6,
        DataType::I64 => 7,
        DataType::Bytes => 8,
        DataType::Bool => 9,
        DataType::F16 => 10,
        DataType::F64 => 11,
        DataType::U32 => 12,
        DataType::U64 => 13,
        DataType::BF16 => 16,
    }
}

fn tensor_type(datatype: DataType, shape: &[&str]) -> Message {
    let dim = |size: &&str| match size.parse::<i64>() {
        Ok(size) => Message::default().number(1, size),
        Err(_) => Message::default().bytes(2, size),
    };
    let dims: Vec<_> = shape.iter().map(dim).collect();
    let tensor = Message::default()
        .number(1, element(datatype))
        .message(2, &Message::default().each(1, &dims));
    Message::default().message(1, &tensor)
}

/// An input or output; a dimension is a size or a name.
pub fn value(name: &str, datatype: DataType, shape: &[&str]) -> Message {
    Message::default().bytes(1, name).message(2, &tensor_type(datatype, shape))
}

pub fn node(operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let (domain, operator) = operator.split_once(':').unwrap_or(("", operator));
    let message = inputs.iter().fold(Message::default(), |message, name| message.bytes(1, name));
    outputs
        .iter()
        .fold(message, |message, name| message.bytes(2, name))
        .bytes(4, operator)
        .each(5, attributes)
        .bytes(7, domain)
}

pub fn ints(name: &str, values: &[i64]) -> Message {
    let message = Message::default().bytes(1, name).number(20, 7);
    values.iter().fold(message, |message, &value| message.number(8, value))
}

fn initializer(name: &str, datatype: DataType, shape: &[i64]) -> Message {
    let message = Message::default().bytes(8, name).number(2, element(datatype));
    shape.iter().fold(message, |message, &size| message.number(1, size))
}

/// Constant numbers.
pub fn floats(name: &str, shape: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    initializer(name, DataType::F32, shape).bytes(9, raw)
}

/// Constants that lie in a file beside the model.
pub fn external(name: &str, datatype: DataType, shape: &[i64], location: &str) -> Message {
    let entry = Message::default().bytes(1, "location").bytes(2, location);
    initializer(name, datatype, shape).message(13, &entry).number(14, 1)
}

#[derive(Default)]
pub struct Graph {
    pub nodes: Vec<Message>,
    pub inputs: Vec<Message>,
    pub outputs: Vec<Message>,
    pub constants: Vec<Message>,
}

impl Graph {
    fn message(&self) -> Message {
        Message::default()
            .each(1, &self.nodes)
            .bytes(2, "g")
            .each(5, &self.constants)
            .each(11, &self.inputs)
            .each(12, &self.outputs)
    }

    /// Writes `model.onnx` into a folder.
    pub fn save(&self, folder: &Path) -> ModelFolder {
        let opset = |domain: &str, version| Message::default().bytes(1, domain).number(2, version);
        let model = Message::default()
            .number(1, 9)
            .message(7, &self.message())
            .message(8, &opset("", 17))
            .message(8, &opset("example.org", 1));
        fs::write(folder.join("model.onnx"), &model.0).unwrap();
        let bytes = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        ModelFolder { path: folder.to_owned(), file: "model.onnx".parse().unwrap(), bytes }
    }
}

/// Row numbers in, rows of a table of ten out; a number of eleven or more fails.
pub fn table() -> Graph {
    let values: Vec<f32> = (0..20).map(|at| at as f32).collect();
    Graph {
        nodes: vec![node("Gather", &["t", "x"], &["y"], &[])],
        inputs: vec![value("x", DataType::I64, &["n"])],
        outputs: vec![value("y", DataType::F32, &["n", "2"])],
        constants: vec![floats("t", &[10, 2], &values)],
    }
}

/// `x` less its mean over all rows: a model that must not be batched.
pub fn centred() -> Graph {
    Graph {
        nodes: vec![
            node("ReduceMean", &["x"], &["m"], &[ints("axes", &[0])]),
            node("Sub", &["x", "m"], &["y"], &[]),
        ],
        inputs: vec![value("x", DataType::F32, &["n", "3"])],
        outputs: vec![value("y", DataType::F32, &["n", "3"])],
        ..Graph::default()
    }
}

/// What goes in comes out.
pub fn identity(datatype: DataType, shape: &[&str]) -> Graph {
    Graph {
        nodes: vec![node("Identity", &["x"], &["y"], &[])],
        inputs: vec![value("x", datatype, shape)],
        outputs: vec![value("y", datatype, shape)],
        ..Graph::default()
    }
}

pub fn tensor(name: &str, shape: &[usize], data: TensorData) -> Tensor {
    Tensor::new(name, shape.to_vec(), data).unwrap()
}
