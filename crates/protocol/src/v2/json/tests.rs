use std::time::Duration;

use domain::{DataType, ErrorCode, Problem, Signature, Tensor, TensorData};
use half::{bf16, f16};
use serde_json::{Value, json};

use super::decode;
use crate::v2::{BinaryOutputs, InferRequest};

fn signature(datatype: &str, shape: Value) -> Signature {
    serde_json::from_value(json!({
        "inputs": [{"name": "x", "datatype": datatype, "shape": shape}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]},
                    {"name": "z", "datatype": "INT64", "shape": [-1]}],
    }))
    .unwrap()
}

/// Decodes a request with one input of this type, shape and data, in both orders of the fields
/// that are read in two ways.
fn both_orders(datatype: &str, shape: &str, data: &str) -> [Result<Tensor, Problem>; 2] {
    let rank = shape.parse::<Value>().unwrap().as_array().unwrap().len();
    let signature = signature(datatype, json!(vec![-1; rank]));
    [
        format!(r#""datatype":"{datatype}","shape":{shape},"data":{data}"#),
        format!(r#""data":{data},"datatype":"{datatype}","shape":{shape}"#),
    ]
    .map(|fields| {
        let body = format!(r#"{{"inputs":[{{"name":"x",{fields}}}]}}"#);
        decode(body.as_bytes(), &signature).map(|mut request| request.inputs.remove(0))
    })
}

/// The same, where both orders must come to the same.
fn input(datatype: &str, shape: &str, data: &str) -> Result<Tensor, Problem> {
    let [first, second] = both_orders(datatype, shape, data);
    assert_eq!(first, second, "{datatype} {shape} {data}");
    first
}

fn elements(datatype: &str, data: &str) -> Result<TensorData, Problem> {
    let count = data.parse::<Value>().unwrap().as_array().unwrap().len();
    input(datatype, &format!("[{count}]"), data).map(|tensor| tensor.data)
}

#[test]
fn every_datatype_is_read_to_its_limits() {
    let cases = [
        ("BOOL", "[true,false]", TensorData::Bool(vec![true, false])),
        ("UINT8", "[0,255]", TensorData::U8(vec![0, u8::MAX])),
        ("UINT16", "[0,65535]", TensorData::U16(vec![0, u16::MAX])),
        ("UINT32", "[0,4294967295]", TensorData::U32(vec![0, u32::MAX])),
        ("UINT64", "[0,18446744073709551615]", TensorData::U64(vec![0, u64::MAX])),
        ("INT8", "[-128,127]", TensorData::I8(vec![i8::MIN, i8::MAX])),
        ("INT16", "[-32768,32767]", TensorData::I16(vec![i16::MIN, i16::MAX])),
        ("INT32", "[-2147483648,2147483647]", TensorData::I32(vec![i32::MIN, i32::MAX])),
        (
            "INT64",
            "[-9223372036854775808,9223372036854775807]",
            TensorData::I64(vec![i64::MIN, i64::MAX]),
        ),
        ("FP16", "[1,-0.5,65504]", TensorData::F16(vec![f16::ONE, -f16::from_f32(0.5), f16::MAX])),
        ("BF16", "[1,-0.5]", TensorData::BF16(vec![bf16::ONE, -bf16::from_f32(0.5)])),
        ("FP32", "[1,-2,0.1,3.4028235e38]", TensorData::F32(vec![1.0, -2.0, 0.1, f32::MAX])),
        ("FP64", "[1,-2,0.1,1.5e308]", TensorData::F64(vec![1.0, -2.0, 0.1, 1.5e308])),
        ("BYTES", r#"["","né\n"]"#, TensorData::Bytes(vec![vec![], "né\n".as_bytes().to_vec()])),
    ];
    assert_eq!(cases.len(), DataType::ALL.len());
    for (datatype, data, expected) in cases {
        assert_eq!(elements(datatype, data), Ok(expected), "{datatype}");
    }
}

#[test]
fn an_fp64_is_read_to_the_last_bit() {
    assert_eq!(
        elements("FP64", "[9.1e-24,1.7976931348623157e308]"),
        Ok(TensorData::F64(vec![9.1e-24, f64::MAX]))
    );
}

#[test]
fn an_element_that_its_type_cannot_hold_is_refused_with_place_value_and_range() {
    let cases = [
        ("UINT8", "256", "integer `256`, expected UINT8: an integer from 0 to 255"),
        ("UINT8", "-1", "integer `-1`, expected UINT8: an integer from 0 to 255"),
        ("UINT16", "65536", "integer `65536`, expected UINT16: an integer from 0 to 65535"),
        ("UINT32", "4294967296", "integer `4294967296`, expected UINT32: an integer from 0 to"),
        (
            "UINT64",
            "18446744073709551616",
            "floating point `1.8446744073709552e+19`, expected UINT64",
        ),
        ("INT8", "128", "integer `128`, expected INT8: an integer from -128 to 127"),
        ("INT16", "-32769", "integer `-32769`, expected INT16: an integer from -32768 to 32767"),
        (
            "INT32",
            "2147483648",
            "integer `2147483648`, expected INT32: an integer from -2147483648",
        ),
        ("INT64", "9223372036854775808", "integer `9223372036854775808`, expected INT64"),
        ("INT32", "3.5", "floating point `3.5`, expected INT32: an integer from"),
        ("INT32", "3.0", "floating point `3.0`, expected INT32: an integer from"),
        ("INT32", "true", "boolean `true`, expected INT32"),
        ("INT32", r#""3""#, r#"string "3", expected INT32"#),
        ("FP16", "65520", "integer `65520`, expected FP16: a number from -6.5504e4 to 6.5504e4"),
        ("BF16", "3.4e38", "floating point `3.4e+38`, expected BF16: a number from"),
        ("FP32", "1e39", "floating point `1e+39`, expected FP32: a number from -3.4028235e38 to"),
        ("FP32", "true", "boolean `true`, expected FP32"),
        ("BOOL", "1", "integer `1`, expected BOOL: true or false"),
        ("BYTES", "1", "integer `1`, expected BYTES: a string"),
        ("FP32", "{}", "map, expected FP32"),
    ];
    for (datatype, element, expected) in cases {
        let good = match datatype {
            "BOOL" => "true",
            "BYTES" => r#""""#,
            _ => "1",
        };
        let problem = input(datatype, "[2]", &format!("[{good},{element}]")).unwrap_err();
        assert_eq!(problem.code, ErrorCode::Invalid);
        assert_eq!(problem.field.as_deref(), Some("inputs[0].data[1]"));
        let message = &problem.message;
        assert!(message.starts_with("`inputs[0].data[1]`: invalid "), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_number_past_a_double_is_refused_at_its_place() {
    let problem = input("FP64", "[2]", "[1,1e999]").unwrap_err();
    assert_eq!(problem.message, "`inputs[0].data[1]`: number out of range");
    assert!(problem.hint.unwrap().ends_with("1.7976931348623157e308"));
}

#[test]
fn nan_and_infinity_are_refused_with_the_way_out() {
    for element in
        ["NaN", "nan", "Infinity", "-Infinity", "inf", "null", "\"NaN\"", "\"-Infinity\""]
    {
        for data in [
            format!("[0,{element}]"),
            format!("[0, \n {element} ]"),
            format!("[0,{element}]"),
            format!("[[0,{element}]]"),
        ] {
            for refused in both_orders("FP32", "[2]", &data) {
                let problem = refused.unwrap_err();
                let hint = problem.hint.unwrap_or_else(|| panic!("{data}: {}", problem.message));
                assert!(hint.starts_with(
                    "JSON has no NaN and no infinity: send the tensor in the binary form"
                ));
                assert!(problem.field.unwrap().starts_with("inputs[0].data"));
            }
        }
        let [typed, _] = both_orders("FP32", "[2]", &format!("[0,{element}]"));
        assert_eq!(typed.unwrap_err().field.as_deref(), Some("inputs[0].data[1]"), "{element}");
    }
    // Another wrong word, or another type, has nothing to do with it.
    assert!(
        both_orders("FP32", "[1]", "[nope]").map(|refused| refused.unwrap_err().hint)
            == [None, None]
    );
    assert_eq!(input("INT32", "[1]", "[null]").unwrap_err().hint, None);
}

#[test]
fn data_is_flat_or_nested_as_the_shape_says() {
    for (shape, data) in [
        ("[2,3]", "[1,2,3,4,5,6]"),
        ("[2,3]", "[[1,2,3],[4,5,6]]"),
        ("[1,2,3]", "[[[1,2,3],[4,5,6]]]"),
        ("[6]", "[1,2,3,4,5,6]"),
    ] {
        let tensor = input("INT64", shape, data).unwrap();
        assert_eq!(tensor.data, TensorData::I64(vec![1, 2, 3, 4, 5, 6]), "{shape} {data}");
        assert_eq!(json!(tensor.shape).to_string(), shape);
    }
    for (shape, data) in
        [("[]", "7"), ("[]", "[7]"), ("[1]", "[7]"), ("[1,1]", "[7]"), ("[1,1]", "[[7]]")]
    {
        assert_eq!(input("INT64", shape, data).unwrap().data, TensorData::I64(vec![7]));
    }
    for (shape, data) in [
        ("[0]", "[]"),
        ("[2,0]", "[[],[]]"),
        ("[2,0,3]", "[[],[]]"),
        ("[0,3]", "[]"),
        ("[2,0]", "[]"),
    ] {
        assert_eq!(
            input("INT64", shape, data).unwrap().data,
            TensorData::I64(vec![]),
            "{shape} {data}"
        );
    }
}

#[test]
fn data_nested_otherwise_is_refused() {
    for (shape, data, nesting) in [
        ("[3,2]", "[[1,2,3],[4,5,6]]", "[2, 3]"),
        ("[6]", "[[1,2,3],[4,5,6]]", "[2, 3]"),
        ("[6]", "[[1,2,3,4,5,6]]", "[1, 6]"),
        ("[1]", "7", "[]"),
        ("[1,3]", "[[]]", "[1, 0]"),
    ] {
        let problem = input("INT64", shape, data).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("inputs[0].data"));
        let expected = format!("`inputs[0].data` is nested as {nesting}, but the shape is ");
        assert!(problem.message.starts_with(&expected), "{}", problem.message);
    }
    for data in
        ["[[1,2],[3]]", "[[1],2]", "[1,[2]]", "[[1],[[2]]]", "[[],[1]]", "[[[]],[]]", "[[[]],[1]]"]
    {
        let problem = input("INT64", "[2,2]", data).unwrap_err();
        assert!(
            problem.message.contains("differ in length or depth"),
            "{data}: {}",
            problem.message
        );
    }
}

#[test]
fn the_number_of_elements_is_the_shapes() {
    let problem = input("FP32", "[2,3]", "[1,2,3,4,5]").unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("inputs[0].data"));
    assert_eq!(problem.message, "`x` has 5 elements, but its shape [2, 3] asks for 6");
    let problem = input("FP32", "[4294967296,4294967296]", "[1]").unwrap_err();
    assert_eq!(problem.message, "the shape [4294967296, 4294967296] of `x` is too large");
}

fn refusal(body: &str) -> (Option<String>, String) {
    let problem = decode(body.as_bytes(), &signature("FP32", json!(["n", 2]))).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
    (problem.field, problem.message)
}

#[test]
fn a_refusal_names_the_place() {
    let x = r#"{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}"#;
    let cases = [
        ("", None, "the body is not JSON: EOF while parsing a value at line 1 column 0".to_owned()),
        ("[]", None, "the body is a list: expected an object with `inputs`".to_owned()),
        ("3", None, "the body: invalid type: integer `3`, expected an object with `inputs`".to_owned()),
        ("{}", None, "the body: missing field `inputs`".to_owned()),
        (
            &format!(r#"{{"inputs":[{x}]}} x"#),
            None,
            format!("the body is not JSON: trailing characters at line 1 column {}", x.len() + 15),
        ),
        (
            r#"{"inputs":[],"input":3}"#,
            Some("input"),
            "`input`: unknown field `input`, expected one of `id`, `parameters`, `inputs`, `outputs`".to_owned(),
        ),
        (r#"{"inputs":3}"#, Some("inputs"), "`inputs`: invalid type: integer `3`, expected a sequence".to_owned()),
        (r#"{"id":7,"inputs":[]}"#, Some("id"), "`id`: invalid type: integer `7`, expected a string".to_owned()),
        (
            r#"{"inputs":[3]}"#,
            Some("inputs[0]"),
            "`inputs[0]`: invalid type: integer `3`, expected an object with `name`, `shape`, `datatype` and `data`".to_owned(),
        ),
        (
            r#"{"inputs":[{"name":"x","dtype":"FP32"}]}"#,
            Some("inputs[0].dtype"),
            "`inputs[0].dtype`: unknown field `dtype`, expected one of `name`, `shape`, `datatype`, `parameters`, `data`".to_owned(),
        ),
        (r#"{"inputs":[{"name":"x"}]}"#, Some("inputs[0]"), "`inputs[0]`: missing field `shape`".to_owned()),
        (
            r#"{"inputs":[{"name":"x","name":"x"}]}"#,
            Some("inputs[0]"),
            "`inputs[0]`: duplicate field `name`".to_owned(),
        ),
        (
            r#"{"parameters":{"timeout":1,"timeout":2},"inputs":[]}"#,
            Some("parameters"),
            "`parameters`: parameter `timeout` is there twice".to_owned(),
        ),
        ("{", None, "the body is not JSON: EOF while parsing an object at line 1 column 1".to_owned()),
        (
            r#"{"inputs":[{"name":"x","shape":[1,-1],"datatype":"FP32","data":[1,2]}]}"#,
            Some("inputs[0].shape"),
            "`inputs[0].shape` has a size of -1: expected sizes of 0 or more".to_owned(),
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,"2"],"datatype":"FP32","data":[1,2]}]}"#,
            Some("inputs[0].shape[1]"),
            r#"`inputs[0].shape[1]`: invalid type: string "2", expected i64"#.to_owned(),
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32"}]}"#,
            Some("inputs[0]"),
            "`x` has no `data`".to_owned(),
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,}]}"#,
            Some("inputs[0].data[1]"),
            "`inputs[0].data[1]` is not JSON: expected value at line 1 column 66".to_owned(),
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}"#,
            Some("inputs[0].parameters.binary_data_size"),
            "`inputs[0].parameters.binary_data_size` is there, but all of the body is JSON".to_owned(),
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}"#,
            Some("inputs[0]"),
            "`x` has shape [1, 3], but the model expects [n, 2]".to_owned(),
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[1,2]}]}"#,
            Some("inputs[0]"),
            "`x` has datatype FP64, but the model expects FP32".to_owned(),
        ),
        (
            r#"{"inputs":[]}"#,
            Some("inputs"),
            "input `x` is missing: expected `x` FP32 [n, 2]".to_owned(),
        ),
        (
            &format!(r#"{{"inputs":[{x}],"outputs":[{{"name":"y"}},{{"name":"q"}}]}}"#),
            Some("outputs[1].name"),
            "the model has no output `q`: it has `y`, `z`".to_owned(),
        ),
        (
            &format!(r#"{{"inputs":[{x}],"outputs":[{{"name":"y"}},{{"name":"y"}}]}}"#),
            Some("outputs[1].name"),
            "output `y` stands twice".to_owned(),
        ),
        (
            &format!(r#"{{"inputs":[{x}],"outputs":[{{"name":"y","parameters":{{"classification":3}}}}]}}"#),
            Some("outputs[0].parameters.classification"),
            "parameter `classification` is not supported".to_owned(),
        ),
        (
            &format!(r#"{{"inputs":[{x}],"parameters":{{"sequence_id":3}}}}"#),
            Some("parameters.sequence_id"),
            "parameter `sequence_id` is not supported".to_owned(),
        ),
    ];
    for (body, field, message) in cases {
        assert_eq!(refusal(body), (field.map(str::to_owned), message), "{body}");
    }
}

#[test]
fn an_unknown_datatype_is_answered_with_the_known_ones() {
    let (field, message) =
        refusal(r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FLOAT","data":[1]}]}"#);
    assert_eq!(field.as_deref(), Some("inputs[0].datatype"));
    assert!(
        message.contains("unknown variant `FLOAT`, expected one of `BOOL`, `UINT8`"),
        "{message}"
    );
}

#[test]
fn a_refusal_is_short_whatever_the_request_says() {
    let name = "é".repeat(100_000);
    for body in [
        format!(r#"{{"{name}":1}}"#),
        format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","data":["{name}"]}}]}}"#
        ),
        format!(r#"{{"inputs":[{{"name":"{name}","shape":[1],"datatype":"FP32","data":[1]}}]}}"#),
        format!(r#"{{"inputs":[],"outputs":[{{"name":"{name}"}}]}}"#),
    ] {
        let (field, message) = refusal(&body);
        assert!(message.len() < 1100 && field.unwrap_or_default().len() < 1100);
    }
}

#[test]
fn json_10_000_deep_is_refused_without_overflowing_the_stack() {
    let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
    let objects = r#"{"a":"#.repeat(10_000);
    for body in [
        open.clone(),
        format!("{open}{close}"),
        format!(
            r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","data":{open}{close}}}]}}"#
        ),
        format!(
            r#"{{"inputs":[{{"data":{open}{close},"name":"x","shape":[1,2],"datatype":"FP32"}}]}}"#
        ),
        format!(r#"{{"inputs":[],"parameters":{{"a":{open}{close}}}}}"#),
        format!(r#"{{"inputs":[],"parameters":{objects}"#),
        format!(r#"{{"x":{open}{close}}}"#),
        objects,
    ] {
        let (_, message) = refusal(&body);
        let named = ["levels deep", "unknown field", "invalid", "is a list"];
        assert!(named.iter().any(|part| message.contains(part)), "{message}");
    }
    let deep = format!(r#"{{"inputs":[{{"name":"x","shape":[1,2],"datatype":"FP32","data":{open}"#);
    assert_eq!(refusal(&deep).1, "the body is nested more than 127 levels deep");
}

fn request(body: Value) -> Result<InferRequest, Problem> {
    decode(body.to_string().as_bytes(), &signature("FP32", json!([-1, 2])))
}

#[test]
fn optional_fields_may_be_absent_null_or_empty() {
    let x = json!({"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]});
    let bare = request(json!({"inputs": [x]})).unwrap();
    assert_eq!((&bare.id, bare.outputs.len(), bare.parameters.len()), (&None, 0, 0));
    let mut nulls = x.clone();
    nulls["parameters"] = Value::Null;
    let explicit = json!({"id": null, "parameters": null, "inputs": [nulls], "outputs": null});
    assert_eq!(request(explicit).unwrap(), bare);
    assert_eq!(request(json!({"inputs": [x], "outputs": [], "parameters": {}})).unwrap(), bare);
}

#[test]
fn id_parameters_and_outputs_are_the_callers() {
    let x = json!({"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]});
    let request = request(json!({
        "id": "42", "parameters": {"timeout": 1}, "inputs": [x], "outputs": [{"name": "z"}, {"name": "y"}],
    }))
    .unwrap();
    assert_eq!(request.id.as_deref(), Some("42"));
    assert_eq!(request.timeout(), Some(Duration::from_micros(1)));
    assert_eq!(Value::from(request.parameters), json!({"timeout": 1}));
    let names: Vec<_> = request.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["z", "y"]);
}

#[test]
fn binary_outputs_are_wanted_by_the_output_else_by_the_request() {
    let x = json!({"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]});
    let y = |parameters: Value| json!({"name": "y", "parameters": parameters});
    let these =
        |names: &[&str]| BinaryOutputs::These(names.iter().map(|&name| name.to_owned()).collect());
    let (yes, no) = (json!({"binary_data": true}), json!({"binary_data": false}));
    let (by_default, not) =
        (json!({"binary_data_output": true}), json!({"binary_data_output": false}));
    for (parameters, outputs, wanted) in [
        (json!({}), json!([]), these(&[])),
        (by_default.clone(), json!([]), BinaryOutputs::All),
        (not, json!([]), these(&[])),
        (json!({}), json!([y(yes.clone())]), these(&["y"])),
        (by_default.clone(), json!([y(no.clone())]), these(&[])),
        (by_default.clone(), json!([y(json!({}))]), these(&["y"])),
        (by_default, json!([y(no.clone()), {"name": "z"}]), these(&["z"])),
        (json!({}), json!([y(no), {"name": "z"}]), these(&[])),
    ] {
        let body = json!({"inputs": [x], "parameters": parameters, "outputs": outputs});
        assert_eq!(request(body.clone()).unwrap().binary_outputs(), wanted, "{body}");
    }
}
