//! What a request claims sets no memory aside, in any protocol: only what it has.
//!
//! Looked at is the process's address space, which grows with what is set aside, touched or not.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may unwrap as it may")]

use domain::{DataType, Dim, Problem, Signature, TensorSpec};
use protocol::{
    scoring::{self, Format},
    tensorflow,
    v2::{
        binary,
        grpc::{
            self,
            messages::{
                InferTensorContents, ModelInferRequest, model_infer_request::InferInputTensor,
            },
        },
        json,
    },
};

/// Far more than any of these requests may take, and far less than what they claim.
const MOST: u64 = 512 << 20;

/// The most that this process has set aside so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn signature(datatype: DataType) -> Signature {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: vec![Dim::Any, Dim::Any],
        optional: false,
    };
    Signature::new(vec![spec("x")], vec![spec("y")])
}

/// V2's JSON of an input of this shape, and what else it says.
fn input(datatype: &str, shape: &str, more: &str) -> Vec<u8> {
    format!(r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},{more}}}]}}"#)
        .into()
}

/// JSON and the bytes behind it.
fn binary_of(datatype: DataType, json: Vec<u8>, tensors: &[u8]) -> Result<(), Problem> {
    let (length, body) = (json.len(), [&json, tensors].concat());
    binary::decode(&body, length, &signature(datatype)).map(drop)
}

fn grpc_of(datatype: DataType, shape: [i64; 2], raw: Option<&[u8]>) -> Result<(), Problem> {
    let contents = InferTensorContents { fp32_contents: vec![1.0, 2.0], ..Default::default() };
    let request = ModelInferRequest {
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: datatype.to_string(),
            shape: shape.to_vec(),
            contents: raw.is_none().then_some(contents),
            ..Default::default()
        }],
        raw_input_contents: raw.map(|raw| raw.to_vec().into()).into_iter().collect(),
        ..Default::default()
    };
    grpc::decode(request, &signature(datatype)).map(drop)
}

/// As many records as that, each with a column of its own.
fn records(count: usize) -> Vec<u8> {
    let records: Vec<_> = (0..count).map(|at| format!(r#"{{"c{at}":1}}"#)).collect();
    format!(r#"{{"dataframe_records":[{}]}}"#, records.join(",")).into()
}

#[test]
fn nothing_is_set_aside_on_the_word_of_a_request() {
    use DataType::{Bytes, F32};
    const HUGE: &str = "[1000000000,4]";
    let text = [&u32::MAX.to_le_bytes()[..], b"abc"].concat();
    type Case = (&'static str, Box<dyn Fn() -> Result<(), Problem>>);
    let (raw, cut) = (text.clone(), text);
    let cases: Vec<Case> = vec![
        (
            "V2's shape",
            Box::new(|| {
                json::decode(&input("FP32", HUGE, r#""data":[1,2]"#), &signature(F32)).map(drop)
            }),
        ),
        (
            "V2's shape of text",
            Box::new(|| {
                json::decode(&input("BYTES", HUGE, r#""data":["a"]"#), &signature(Bytes)).map(drop)
            }),
        ),
        (
            "V2's size in binary",
            Box::new(|| {
                let size = r#""parameters":{"binary_data_size":16000000000}"#;
                binary_of(F32, input("FP32", HUGE, size), &[0; 16])
            }),
        ),
        (
            "V2's count of text in binary",
            Box::new(move || {
                let size = r#""parameters":{"binary_data_size":7}"#;
                binary_of(Bytes, input("BYTES", HUGE, size), &raw)
            }),
        ),
        ("gRPC's shape", Box::new(|| grpc_of(F32, [1_000_000_000, 4], None))),
        (
            "gRPC's shape of raw bytes",
            Box::new(|| grpc_of(F32, [1_000_000_000, 4], Some(&[0; 16]))),
        ),
        ("gRPC's count of text", Box::new(move || grpc_of(Bytes, [1_000_000_000, 4], Some(&cut)))),
        (
            "TensorFlow's rows of unlike lengths",
            Box::new(|| {
                let body = format!(
                    r#"{{"instances":[[{}1],{}[1]]}}"#,
                    "1,".repeat(100_000),
                    "[1],".repeat(100_000)
                );
                tensorflow::decode(body.as_bytes(), &signature(F32)).map(drop)
            }),
        ),
        (
            "MLflow's records of unlike columns",
            Box::new(|| {
                scoring::decode(Format::Json, &records(30_000), &signature(F32), 0).map(drop)
            }),
        ),
        (
            "MLflow's columns without rows",
            Box::new(|| {
                let columns: Vec<_> = (0..100_000).map(|at| format!(r#""c{at}""#)).collect();
                let body = format!(
                    r#"{{"dataframe_split":{{"columns":[{}],"data":[{}[1]]}}}}"#,
                    columns.join(","),
                    "[],".repeat(100_000)
                );
                scoring::decode(Format::Json, body.as_bytes(), &signature(F32), 0).map(drop)
            }),
        ),
        (
            "CSV of many columns and rows",
            Box::new(|| {
                let columns: Vec<_> = (0..100_000).map(|at| format!("c{at}")).collect();
                let body = format!("{}\n{}", columns.join(","), "1\n".repeat(100_000));
                scoring::decode(Format::Csv, body.as_bytes(), &signature(F32), 0).map(drop)
            }),
        ),
    ];
    for (what, decode) in cases {
        let before = peak();
        assert!(decode().is_err(), "{what}");
        let more = peak() - before;
        assert!(more < MOST, "{what}: {} MiB", more >> 20);
    }
}
