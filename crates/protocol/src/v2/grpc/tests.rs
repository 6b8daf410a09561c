use domain::{DataType, ErrorCode, Problem, Signature, Tensor, TensorData};
use half::{bf16, f16};
use serde_json::{Value, json};

use super::{
    Contents, decode, encode,
    messages::{
        InferParameter, InferTensorContents, ModelInferRequest,
        infer_parameter::ParameterChoice,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    },
};

fn signature(datatype: &str) -> Signature {
    serde_json::from_value(json!({
        "inputs": [{"name": "x", "datatype": datatype, "shape": ["n"]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": ["n"]}],
    }))
    .unwrap()
}

fn x(datatype: &str, size: i64, contents: Option<InferTensorContents>) -> ModelInferRequest {
    let name = "x".to_owned();
    let datatype = datatype.to_owned();
    let input =
        InferInputTensor { name, datatype, shape: vec![size], contents, ..Default::default() };
    ModelInferRequest { inputs: vec![input], ..Default::default() }
}

fn raw(datatype: &str, size: i64, bytes: &'static [u8]) -> ModelInferRequest {
    let raw_input_contents = vec![bytes.into()];
    ModelInferRequest { raw_input_contents, ..x(datatype, size, None) }
}

fn elements(request: ModelInferRequest) -> Result<TensorData, Problem> {
    let signature = signature(&request.inputs[0].datatype);
    decode(request, &signature).map(|mut request| request.inputs.remove(0).data)
}

fn refusal(request: ModelInferRequest) -> (String, String) {
    let problem = decode(request, &signature("FP32")).unwrap_err();
    assert_eq!(problem.code, ErrorCode::Invalid);
    (problem.field.unwrap(), problem.message)
}

/// One of each datatype, two elements long, and its raw bytes.
fn each_datatype() -> Vec<(TensorData, &'static [u8])> {
    let cases: Vec<(TensorData, &'static [u8])> = vec![
        (TensorData::Bool(vec![true, false]), b"\x01\x00"),
        (TensorData::U8(vec![1, 255]), b"\x01\xff"),
        (TensorData::U16(vec![1, 0xfffe]), b"\x01\x00\xfe\xff"),
        (TensorData::U32(vec![1, 0xffff_fffe]), b"\x01\0\0\0\xfe\xff\xff\xff"),
        (TensorData::U64(vec![1, 2]), b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"),
        (TensorData::I8(vec![1, -1]), b"\x01\xff"),
        (TensorData::I16(vec![1, -2]), b"\x01\x00\xfe\xff"),
        (TensorData::I32(vec![1, -2]), b"\x01\0\0\0\xfe\xff\xff\xff"),
        (TensorData::I64(vec![1, -1]), b"\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"),
        (TensorData::F16(vec![f16::ONE, f16::INFINITY]), b"\x00\x3c\x00\x7c"),
        (TensorData::BF16(vec![bf16::ONE, bf16::INFINITY]), b"\x80\x3f\x80\x7f"),
        (TensorData::F32(vec![1.0, f32::INFINITY]), b"\0\0\x80\x3f\0\0\x80\x7f"),
        (TensorData::F64(vec![1.0, -2.0]), b"\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\xc0"),
        (TensorData::Bytes(vec![b"\xffa".to_vec(), vec![]]), b"\x02\0\0\0\xffa\0\0\0\0"),
    ];
    assert_eq!(cases.len(), DataType::ALL.len());
    cases
}

#[test]
fn every_datatype_has_its_raw_bytes_both_ways() {
    for (data, bytes) in each_datatype() {
        let datatype = data.datatype();
        assert_eq!(elements(raw(datatype.as_str(), 2, bytes)), Ok(data.clone()), "{datatype}");
        let y = Tensor::new("y", vec![2], data).unwrap();
        let response = encode("m", "1", None, vec![y], Contents::Raw).unwrap();
        assert_eq!(response.raw_output_contents, [bytes], "{datatype}");
        assert_eq!(response.outputs[0].contents, None);
        assert_eq!(response.outputs[0].datatype, datatype.as_str());
        assert_eq!(response.outputs[0].shape, [2]);
    }
}

#[test]
fn every_datatype_but_half_floats_has_its_typed_field_both_ways() {
    for (data, _) in each_datatype() {
        let datatype = data.datatype();
        let y = Tensor::new("y", vec![2], data.clone()).unwrap();
        let mut response = encode("m", "1", None, vec![y], Contents::Typed).unwrap();
        let contents = response.outputs.remove(0).contents;
        if matches!(datatype, DataType::F16 | DataType::BF16) {
            assert_eq!((contents, response.raw_output_contents.len()), (None, 1), "{datatype}");
            continue;
        }
        assert!(response.raw_output_contents.is_empty());
        assert_eq!(elements(x(datatype.as_str(), 2, contents)), Ok(data), "{datatype}");
    }
}

#[test]
fn one_half_float_makes_the_whole_answer_raw() {
    let half = Tensor::new("h", vec![1], TensorData::F16(vec![f16::ONE])).unwrap();
    let full = Tensor::new("y", vec![1], TensorData::F32(vec![1.0])).unwrap();
    let response = encode("m", "1", None, vec![full, half], Contents::Typed).unwrap();
    assert_eq!(response.raw_output_contents.len(), 2);
    assert!(response.outputs.iter().all(|output| output.contents.is_none()));
}

#[test]
fn the_answer_takes_the_form_of_the_request() {
    assert_eq!(Contents::of(&raw("FP32", 1, b"\0\0\0\0")), Contents::Raw);
    assert_eq!(Contents::of(&x("FP32", 1, None)), Contents::Typed);
}

#[test]
fn raw_bytes_are_as_many_as_the_shape_asks_for() {
    let (field, message) = refusal(raw("FP32", 2, b"\0\0\0\0\0"));
    assert_eq!(field, "raw_input_contents[0]");
    assert_eq!(
        message,
        "`raw_input_contents[0]` has 5 bytes, but 2 elements of FP32 take 4 bytes each"
    );
    assert!(refusal(raw("FP32", i64::MAX, b"")).1.contains("has 0 bytes"));
}

#[test]
fn raw_strings_end_where_their_bytes_end() {
    for (size, bytes, counted) in [
        (1, &b"\x02\0\0\0a"[..], "0 whole elements and 5 bytes more"),
        (1, b"\x01\0\0\0ab", "1 whole elements and 1 bytes more"),
        (1, b"\0\0\0\0\0\0\0\0", "2 whole elements and 0 bytes more"),
        (2, b"\x01\0\0\0a", "1 whole elements and 0 bytes more"),
        (1, b"\xff\xff\xff\xff", "0 whole elements and 4 bytes more"),
    ] {
        let problem = decode(raw("BYTES", size, bytes), &signature("BYTES")).unwrap_err();
        assert!(problem.message.contains(counted), "{}", problem.message);
    }
}

#[test]
fn a_raw_bool_is_0_or_1() {
    let problem = decode(raw("BOOL", 2, b"\x01\x02"), &signature("BOOL")).unwrap_err();
    assert_eq!(
        problem.message,
        "element 1 of `raw_input_contents[0]` is not a BOOL: expected the byte 0 or 1"
    );
}

#[test]
fn the_two_forms_are_never_mixed() {
    let contents = InferTensorContents { fp32_contents: vec![1.0], ..Default::default() };
    let mixed = ModelInferRequest {
        raw_input_contents: vec![vec![0; 4].into()],
        ..x("FP32", 1, Some(contents))
    };
    let (field, message) = refusal(mixed);
    assert_eq!(field, "inputs[0].contents");
    assert_eq!(message, "`inputs[0].contents` stands beside `raw_input_contents`");

    let empty = ModelInferRequest {
        raw_input_contents: vec![vec![0; 4].into()],
        ..x("FP32", 1, Some(InferTensorContents::default()))
    };
    assert!(decode(empty, &signature("FP32")).is_ok());

    let mut too_many = raw("FP32", 1, b"\0\0\0\0");
    too_many.raw_input_contents.push(vec![].into());
    let expected = "`raw_input_contents` has 2 entries for 1 inputs";
    assert_eq!(refusal(too_many), ("raw_input_contents".to_owned(), expected.to_owned()));
}

#[test]
fn typed_elements_stand_in_the_field_of_their_type_and_fit_it() {
    let wide = InferTensorContents { fp64_contents: vec![1.0], ..Default::default() };
    let (field, message) = refusal(x("FP32", 1, Some(wide.clone())));
    assert_eq!(field, "inputs[0].contents.fp64_contents");
    assert_eq!(message, "FP32 stands in `fp32_contents`, not in `fp64_contents`");
    let (_, message) = refusal(x("FP16", 1, Some(wide)));
    assert_eq!(message, "FP16 stands in `raw_input_contents`, not in `fp64_contents`");

    let contents = InferTensorContents { uint_contents: vec![255, 256], ..Default::default() };
    let (field, message) = refusal(x("UINT8", 2, Some(contents)));
    assert_eq!(field, "inputs[0].contents[1]");
    assert_eq!(message, "element 1 of `inputs[0].contents` is 256, which does not fit UINT8");

    let (field, message) = refusal(x("FP32", 1, None));
    assert_eq!(field, "inputs[0].contents");
    assert_eq!(message, "`x` has 0 elements, but its shape [1] asks for 1");
}

#[test]
fn a_refusal_names_the_place() {
    let (field, message) = refusal(x("FLOAT", 1, None));
    assert_eq!(field, "inputs[0].datatype");
    assert!(message.starts_with("`FLOAT`: expected one of BOOL, UINT8"), "{message}");
    assert_eq!(refusal(x("FP32", -1, None)).0, "inputs[0].shape");
    assert_eq!(refusal(raw("FP64", 1, &[0; 8])).0, "inputs[0]");
    assert_eq!(refusal(ModelInferRequest::default()).0, "inputs");

    let mut unknown = raw("FP32", 1, &[0; 4]);
    unknown.outputs =
        vec![InferRequestedOutputTensor { name: "q".to_owned(), ..Default::default() }];
    assert_eq!(
        refusal(unknown),
        ("outputs[0].name".to_owned(), "the model has no output `q`: it has `y`".to_owned())
    );
}

#[test]
fn parameters_keep_their_types_and_follow_the_rules_of_json() {
    let with = |name: &str, choice: Option<ParameterChoice>| {
        let mut request = raw("FP32", 1, &[0; 4]);
        let parameter = InferParameter { parameter_choice: choice };
        request.parameters.insert(name.to_owned(), parameter);
        request
    };
    for (name, choice, value) in [
        ("triton_enable_empty_final_response", ParameterChoice::BoolParam(true), json!(true)),
        ("timeout", ParameterChoice::Int64Param(3), json!(3)),
        ("timeout", ParameterChoice::Uint64Param(u64::MAX), json!(u64::MAX)),
        ("content_type", ParameterChoice::StringParam("s".to_owned()), json!("s")),
    ] {
        let request = decode(with(name, Some(choice)), &signature("FP32")).unwrap();
        assert_eq!(Value::from(request.parameters), json!({ name: value }));
    }
    for choice in [
        None,
        Some(ParameterChoice::DoubleParam(f64::NAN)),
        Some(ParameterChoice::DoubleParam(0.5)),
        Some(ParameterChoice::Int64Param(-3)),
    ] {
        assert_eq!(refusal(with("timeout", choice)).0, "parameters.timeout");
    }
    let (field, message) = refusal(with("sequence_id", Some(ParameterChoice::Int64Param(1))));
    assert_eq!(field, "parameters.sequence_id");
    assert_eq!(message, "parameter `sequence_id` is not supported");
    let (field, _) = refusal(with("mine", Some(ParameterChoice::BoolParam(true))));
    assert_eq!(field, "parameters.mine");
    // It is REST's.
    let (field, _) = refusal(with("binary_data_output", Some(ParameterChoice::BoolParam(true))));
    assert_eq!(field, "parameters.binary_data_output");
}

#[test]
fn an_empty_id_is_no_id() {
    let request = decode(raw("FP32", 1, &[0; 4]), &signature("FP32")).unwrap();
    assert_eq!(request.id, None);
    let named = ModelInferRequest { id: "42".to_owned(), ..raw("FP32", 1, &[0; 4]) };
    let request = decode(named, &signature("FP32")).unwrap();
    assert_eq!(request.id.as_deref(), Some("42"));
    let response = encode("fraud", "3", request.id, vec![], Contents::Raw).unwrap();
    assert_eq!((response.id.as_str(), response.model_name.as_str()), ("42", "fraud"));
    assert_eq!(response.model_version, "3");
}
