//! Requests and answers with tensors in binary.

use domain::{DataType, TensorData};
use half::{bf16, f16};
use serde_json::{Value, json};

use super::*;

fn signature(inputs: Value) -> Signature {
    let outputs = json!([{"name": "y", "datatype": "FP32", "shape": [-1]},
                         {"name": "z", "datatype": "BYTES", "shape": [-1]}]);
    serde_json::from_value(json!({"inputs": inputs, "outputs": outputs})).unwrap()
}

fn one(datatype: &str, shape: Value) -> Signature {
    signature(json!([{"name": "x", "datatype": datatype, "shape": shape}]))
}

fn input(name: &str, datatype: &str, shape: Value, size: Value) -> Value {
    json!({"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}})
}

/// A body, and the length of its JSON.
fn body(request: &Value, tail: &[u8]) -> (Vec<u8>, usize) {
    let json = request.to_string().into_bytes();
    let length = json.len();
    ([json, tail.to_vec()].concat(), length)
}

fn read(request: &Value, tail: &[u8], signature: &Signature) -> Result<InferRequest, Problem> {
    let (body, length) = body(request, tail);
    decode(&body, length, signature)
}

#[test]
fn every_datatype_is_read_from_its_bytes() {
    let all = [
        (TensorData::Bool(vec![true, false]), vec![1, 0]),
        (TensorData::U8(vec![0, 255]), vec![0, 255]),
        (TensorData::U16(vec![1, 0xff00]), vec![1, 0, 0, 255]),
        (TensorData::U32(vec![1, 2]), vec![1, 0, 0, 0, 2, 0, 0, 0]),
        (TensorData::U64(vec![1]), vec![1, 0, 0, 0, 0, 0, 0, 0]),
        (TensorData::I8(vec![-1, 1]), vec![255, 1]),
        (TensorData::I16(vec![-2]), vec![254, 255]),
        (TensorData::I32(vec![-1]), vec![255; 4]),
        (TensorData::I64(vec![-1]), vec![255; 8]),
        (TensorData::F16(vec![f16::from_f32(1.5)]), vec![0, 0x3e]),
        (TensorData::BF16(vec![bf16::from_f32(1.5)]), vec![0xc0, 0x3f]),
        (TensorData::F32(vec![1.5, f32::INFINITY]), vec![0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0x7f]),
        (TensorData::F64(vec![-2.0]), vec![0, 0, 0, 0, 0, 0, 0, 0xc0]),
        (TensorData::Bytes(vec![b"a\xff".into(), vec![]]), b"\x02\0\0\0a\xff\0\0\0\0".to_vec()),
    ];
    for (data, bytes) in all {
        let (datatype, count) = (data.datatype().as_str(), data.len());
        let request = json!({"inputs": [input("x", datatype, json!([count]), json!(bytes.len()))]});
        let read = read(&request, &bytes, &one(datatype, json!([-1]))).unwrap();
        assert_eq!(read.inputs[0].data, data);
    }
}

#[test]
fn inputs_in_both_forms_stand_in_any_order() {
    let signature = signature(json!([
        {"name": "a", "datatype": "UINT8", "shape": [-1]},
        {"name": "b", "datatype": "FP32", "shape": [-1]},
        {"name": "c", "datatype": "UINT16", "shape": [-1]},
    ]));
    let plain = json!({"name": "b", "datatype": "FP32", "shape": [1], "data": [0.5]});
    let request = json!({
        "id": "7", "inputs": [input("c", "UINT16", json!([2]), json!(4)), plain, input("a", "UINT8", json!([3]), json!(3))],
    });
    let read = read(&request, &[1, 0, 2, 0, 7, 8, 9], &signature).unwrap();
    let data: Vec<_> = read.inputs.into_iter().map(|input| input.data).collect();
    let expected =
        [TensorData::U16(vec![1, 2]), TensorData::F32(vec![0.5]), TensorData::U8(vec![7, 8, 9])];
    assert_eq!((read.id.as_deref(), data.as_slice()), (Some("7"), expected.as_slice()));
}

#[test]
fn sizes_that_lie_are_refused_with_their_place() {
    let signature = one("FP32", json!([-1]));
    let size = "inputs[0].parameters.binary_data_size";
    let huge = json!(u64::MAX);
    for (input, tail, field, words) in [
        (
            input("x", "FP32", json!([2]), json!(12)),
            8,
            Some(size),
            "is 12, but only 8 bytes are left",
        ),
        (input("x", "FP32", json!([2]), huge), 8, Some(size), "but only 8 bytes are left"),
        (
            input("x", "FP32", json!([2]), json!(4)),
            8,
            Some(size),
            "has 4 bytes, but 2 elements of FP32",
        ),
        (
            input("x", "FP32", json!([2]), json!(8)),
            9,
            None,
            "1 bytes at the end of the body belong",
        ),
        (input("x", "FP32", json!([2]), json!(-8)), 8, Some(size), "a whole number of 0 or more"),
        (input("x", "FP32", json!([2]), json!(8.0)), 8, Some(size), "a whole number of 0 or more"),
        (input("x", "FP32", json!([1_u64 << 62]), json!(8)), 8, Some(size), "has 8 bytes"),
        (
            input("x", "FP32", json!([1_u64 << 40, 1_u64 << 40]), json!(8)),
            8,
            Some(size),
            "has 8 bytes",
        ),
        (
            input("x", "BYTES", json!([1_u64 << 62]), json!(8)),
            8,
            Some(size),
            "has 2 whole elements",
        ),
        (input("x", "BOOL", json!([1]), json!(1)), 1, Some(size), "is not a BOOL"),
    ] {
        let tail: Vec<u8> = if words.contains("BOOL") { vec![2] } else { vec![0; tail] };
        let refused = read(&json!({"inputs": [input]}), &tail, &signature).unwrap_err();
        assert_eq!(refused.field.as_deref(), field, "{refused}");
        assert!(refused.message.contains(words), "{refused}");
    }
    let mut both = input("x", "FP32", json!([1]), json!(4));
    both["data"] = json!([1.0]);
    let refused = read(&json!({"inputs": [both]}), &[0; 4], &signature).unwrap_err();
    assert_eq!(refused.message, "`x` has both `data` and `binary_data_size`");
    let none = json!({"name": "x", "datatype": "FP32", "shape": [1]});
    let refused = read(&json!({"inputs": [none]}), &[0; 4], &signature).unwrap_err();
    assert_eq!(refused.message, "`x` has no `data`");
}

#[test]
fn a_json_that_is_longer_or_shorter_than_it_is_said_to_be_is_refused() {
    let signature = one("UINT8", json!([-1]));
    let request = json!({"inputs": [input("x", "UINT8", json!([4]), json!(4))]});
    let (body, length) = body(&request, &[0; 4]);
    let refused = decode(&body, body.len() + 1, &signature).unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("inference-header-content-length"));
    for wrong in [1, length - 1, length + 1] {
        let refused = decode(&body, wrong, &signature).unwrap_err();
        assert!(refused.message.contains("JSON"), "{refused}");
    }
    let refused = json::decode(&body[..length], &signature).unwrap_err();
    assert!(refused.message.contains("all of the body is JSON"), "{refused}");
    assert!(refused.hint.unwrap().contains("inference-header-content-length"));
}

#[test]
fn a_bare_tensor_has_the_shape_that_its_bytes_tell() {
    for (datatype, shape, bytes, expected) in [
        ("UINT8", json!([-1, 2]), 6, Some(vec![3, 2])),
        ("FP32", json!(["n", 2]), 8, Some(vec![1, 2])),
        ("FP32", json!([3]), 12, Some(vec![3])),
        ("FP32", json!([]), 4, Some(vec![])),
        ("FP16", json!([-1, -1]), 6, Some(vec![1, 3])),
        ("FP16", json!([2, -1]), 12, Some(vec![2, 3])),
        ("BYTES", json!([-1, 1]), 5, Some(vec![1, 1])),
        ("UINT8", json!([-1, 2]), 0, Some(vec![0, 2])),
        ("UINT8", json!([-1, 2]), 5, None),
        ("FP32", json!([3]), 8, None),
        ("FP32", json!([-1, 0]), 8, None),
        ("FP32", json!([-1, i64::MAX]), 8, None),
        ("FP32", json!([-1, -1, -1]), 8, None),
        ("FP32", json!([2, -1, -1]), 8, None),
        ("BYTES", json!([-1, 2]), 5, None),
    ] {
        let signature = one(datatype, shape.clone());
        let read = decode(&vec![1; bytes], 0, &signature);
        let found = read.as_ref().ok().map(|request| request.inputs[0].shape.clone());
        assert_eq!(found, expected, "{datatype} {shape} {bytes}: {read:?}");
        if let Ok(read) = read {
            assert_eq!(read.binary_outputs(), BinaryOutputs::All);
        }
    }
    let two = signature(json!([{"name": "a", "datatype": "FP32", "shape": [1]},
                               {"name": "b", "datatype": "FP32", "shape": [1]}]));
    let refused = decode(&[0; 8], 0, &two).unwrap_err();
    assert!(refused.message.contains("it has 2"), "{refused}");
}

#[test]
fn an_answer_has_the_outputs_behind_its_json_that_were_asked_for() {
    let tensor = |name: &str, data: TensorData| Tensor::new(name, vec![data.len()], data).unwrap();
    let outputs = [
        tensor("y", TensorData::F32(vec![1.0, f32::NAN])),
        tensor("z", TensorData::Bytes(vec![b"\xff".into()])),
        tensor("w", TensorData::I8(vec![-1])),
    ];
    let written = |binary: &BinaryOutputs| {
        let mut out = b"before".to_vec();
        let length = encode(&mut out, "m", "3", Some("7"), &outputs, binary)?;
        let (json, tail) = out[6..].split_at(length);
        Ok::<_, Problem>((serde_json::from_slice::<Value>(json).unwrap(), tail.to_vec()))
    };
    let (answer, tail) = written(&BinaryOutputs::All).unwrap();
    assert_eq!(
        answer,
        json!({"model_name": "m", "model_version": "3", "id": "7", "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}},
            {"name": "z", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}},
            {"name": "w", "datatype": "INT8", "shape": [1], "parameters": {"binary_data_size": 1}},
        ]})
    );
    let nan = f32::NAN.to_le_bytes();
    assert_eq!(tail, [&1_f32.to_le_bytes()[..], &nan, b"\x01\0\0\0\xff\xff"].concat());

    let (answer, tail) = written(&BinaryOutputs::These(vec!["z".to_owned()])).unwrap();
    assert_eq!(answer["outputs"][0]["data"], json!([1.0, "NaN"]));
    assert_eq!(
        answer["outputs"][2],
        json!({"name": "w", "datatype": "INT8", "shape": [1], "data": [-1]})
    );
    assert_eq!(tail, b"\x01\0\0\0\xff");

    let refused = written(&BinaryOutputs::These(vec!["y".to_owned()])).unwrap_err();
    assert!(refused.message.contains("`z` holds bytes that are not UTF-8"), "{refused}");
}

#[test]
fn what_an_answer_says_of_its_bytes_is_what_a_request_may_say() {
    let data = TensorData::F64(vec![0.1, -0.0]);
    let output = Tensor::new("x", vec![1, 2], data).unwrap();
    let mut out = Vec::new();
    let length =
        encode(&mut out, "m", "1", None, std::slice::from_ref(&output), &BinaryOutputs::All);
    let (json, tail) = out.split_at(length.unwrap());
    let answer: Value = serde_json::from_slice(json).unwrap();
    let request = json!({"inputs": answer["outputs"]});
    let signature = one(DataType::F64.as_str(), json!([-1, 2]));
    assert_eq!(read(&request, tail, &signature).unwrap().inputs, [output]);
}
