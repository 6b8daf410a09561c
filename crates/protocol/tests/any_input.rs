//! Rules for any input: what is written reads back, and nothing that comes in causes a panic.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may unwrap as it may")]

use domain::{DataType, Dim, Signature, Tensor, TensorData, TensorSpec};
use half::{bf16, f16};
use proptest::{collection::vec, prelude::*};
use prost::Message;
use protocol::v2::{
    BinaryOutputs, binary,
    grpc::{
        self, Contents,
        messages::{
            InferTensorContents, ModelInferRequest, ModelInferResponse,
            model_infer_request::InferInputTensor,
        },
    },
    json,
};

/// A signature that this tensor fits, as an input and as an output.
fn signature_of(tensor: &Tensor) -> Signature {
    let spec = TensorSpec {
        name: tensor.name.clone(),
        datatype: tensor.datatype(),
        shape: vec![Dim::Any; tensor.shape.len()],
        optional: false,
    };
    Signature::new(vec![spec.clone()], vec![spec])
}

/// Elements of any datatype; floats of every bit pattern, strings of any bytes.
fn any_elements(count: usize) -> impl Strategy<Value = TensorData> {
    prop_oneof![
        vec(any::<bool>(), count).prop_map(TensorData::Bool),
        vec(any::<u8>(), count).prop_map(TensorData::U8),
        vec(any::<u16>(), count).prop_map(TensorData::U16),
        vec(any::<u32>(), count).prop_map(TensorData::U32),
        vec(any::<u64>(), count).prop_map(TensorData::U64),
        vec(any::<i8>(), count).prop_map(TensorData::I8),
        vec(any::<i16>(), count).prop_map(TensorData::I16),
        vec(any::<i32>(), count).prop_map(TensorData::I32),
        vec(any::<i64>(), count).prop_map(TensorData::I64),
        vec(any::<u16>().prop_map(f16::from_bits), count).prop_map(TensorData::F16),
        vec(any::<u16>().prop_map(bf16::from_bits), count).prop_map(TensorData::BF16),
        vec(any::<u32>().prop_map(f32::from_bits), count).prop_map(TensorData::F32),
        vec(any::<u64>().prop_map(f64::from_bits), count).prop_map(TensorData::F64),
        vec(vec(any::<u8>(), 0..9), count).prop_map(TensorData::Bytes),
    ]
}

fn any_tensor() -> impl Strategy<Value = Tensor> {
    vec(0_usize..5, 0..4).prop_flat_map(|shape| {
        any_elements(shape.iter().product())
            .prop_map(move |data| Tensor::new("x", shape.clone(), data).unwrap())
    })
}

/// The same tensor with only what JSON can hold: finite numbers and text.
fn for_json(mut tensor: Tensor) -> Tensor {
    fn keep<T>(elements: &mut [T], fits: impl Fn(&T) -> bool, instead: impl Fn() -> T) {
        elements
            .iter_mut()
            .filter(|element| !fits(element))
            .for_each(|element| *element = instead());
    }
    match &mut tensor.data {
        TensorData::F16(elements) => keep(elements, |element| element.is_finite(), || f16::ONE),
        TensorData::BF16(elements) => keep(elements, |element| element.is_finite(), || bf16::ONE),
        TensorData::F32(elements) => keep(elements, |element| element.is_finite(), || 0.1),
        TensorData::F64(elements) => keep(elements, |element| element.is_finite(), || 0.1),
        TensorData::Bytes(elements) => {
            keep(elements, |element| str::from_utf8(element).is_ok(), || "é\"\n".into());
        }
        TensorData::Bool(_)
        | TensorData::U8(_)
        | TensorData::U16(_)
        | TensorData::U32(_)
        | TensorData::U64(_)
        | TensorData::I8(_)
        | TensorData::I16(_)
        | TensorData::I32(_)
        | TensorData::I64(_) => {}
    }
    tensor
}

/// A request whose input is what an answer has as its output.
fn json_request(tensor: &Tensor) -> Vec<u8> {
    let mut body = Vec::new();
    json::encode(&mut body, "m", "1", None, std::slice::from_ref(tensor)).unwrap();
    let head = br#"{"model_name":"m","model_version":"1","outputs":"#;
    [br#"{"inputs":"#, body.strip_prefix(head).unwrap()].concat()
}

/// The same with its elements behind the JSON, whose length is told.
fn binary_request(tensor: &Tensor) -> (Vec<u8>, usize) {
    let (mut body, outputs) = (Vec::new(), std::slice::from_ref(tensor));
    let length = binary::encode(&mut body, "m", "1", None, outputs, &BinaryOutputs::All).unwrap();
    let head = br#"{"model_name":"m","model_version":"1","outputs":"#;
    let begin = br#"{"inputs":"#;
    let body = [begin, body.strip_prefix(head).unwrap()].concat();
    (body, length - head.len() + begin.len())
}

fn grpc_request(response: ModelInferResponse) -> ModelInferRequest {
    let inputs = response.outputs.into_iter().map(|output| InferInputTensor {
        name: output.name,
        datatype: output.datatype,
        shape: output.shape,
        contents: output.contents,
        ..Default::default()
    });
    let inputs = inputs.collect();
    let raw_input_contents = response.raw_output_contents;
    ModelInferRequest { inputs, raw_input_contents, ..Default::default() }
}

/// NaN differs from itself; its bits do not.
fn bits(tensor: &Tensor) -> ModelInferResponse {
    grpc::encode("m", "1", None, vec![tensor.clone()], Contents::Raw).unwrap()
}

/// Something to do to a byte of a good body.
fn any_damage() -> impl Strategy<Value = (prop::sample::Index, u8, u8)> {
    let telling = prop::sample::select(br#"[]{}",:-+.0123456789eEnNtfui\/"#.to_vec());
    (any::<prop::sample::Index>(), prop_oneof![telling, any::<u8>()], 0_u8..4)
}

fn damaged(mut body: Vec<u8>, damage: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (at, byte, kind) in damage {
        if body.is_empty() {
            break;
        }
        let at = at.index(body.len());
        match kind {
            0 => body[at] = *byte,
            1 => body.insert(at, *byte),
            2 => drop(body.remove(at)),
            _ => body.truncate(at),
        }
    }
    body
}

fn any_contents() -> impl Strategy<Value = InferTensorContents> {
    (
        vec(any::<bool>(), 0..3),
        vec(any::<i32>(), 0..3),
        vec(any::<u32>(), 0..3),
        vec(any::<f32>(), 0..3),
        vec(vec(any::<u8>(), 0..3), 0..3),
    )
        .prop_map(
            |(bool_contents, int_contents, uint_contents, fp32_contents, bytes_contents)| {
                InferTensorContents {
                    bool_contents,
                    int_contents,
                    uint_contents,
                    fp32_contents,
                    bytes_contents,
                    ..Default::default()
                }
            },
        )
}

proptest! {
    #[test]
    fn json_reads_back_what_it_wrote(tensor in any_tensor().prop_map(for_json)) {
        let body = json_request(&tensor);
        let request = json::decode(&body, &signature_of(&tensor));
        prop_assert_eq!(request.map(|request| request.inputs), Ok(vec![tensor]));
    }

    #[test]
    fn json_is_written_for_every_tensor_but_bytes_that_are_not_text(tensor in any_tensor()) {
        let mut body = Vec::new();
        let written = json::encode(&mut body, "m", "1", Some("id"), std::slice::from_ref(&tensor));
        let text = if let TensorData::Bytes(elements) = &tensor.data {
            elements.iter().all(|element| str::from_utf8(element).is_ok())
        } else {
            true
        };
        prop_assert_eq!(written.is_ok(), text);
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), text);
    }

    #[test]
    fn binary_reads_back_what_it_wrote(tensor in any_tensor()) {
        let (body, length) = binary_request(&tensor);
        let request = binary::decode(&body, length, &signature_of(&tensor)).unwrap();
        prop_assert_eq!(bits(&request.inputs[0]), bits(&tensor));
    }

    #[test]
    fn binary_decode_takes_a_damaged_body_or_refuses_it(
        tensor in any_tensor(),
        damage in vec(any_damage(), 0..6),
        length in prop_oneof![Just(None), (0_usize..300).prop_map(Some)],
    ) {
        let signature = signature_of(&tensor);
        let (body, right) = binary_request(&tensor);
        match binary::decode(&damaged(body, &damage), length.unwrap_or(right), &signature) {
            Ok(request) => prop_assert_eq!(signature.check(&request.inputs), Ok(())),
            Err(problem) => prop_assert!(!problem.message.is_empty()),
        }
    }

    #[test]
    fn a_bare_tensor_is_taken_or_refused_whatever_the_signature(
        body in vec(any::<u8>(), 0..64),
        datatype in prop::sample::select(DataType::ALL),
        shape in vec(prop_oneof![
            Just(Dim::Any), (0_u64..5).prop_map(Dim::Fixed), any::<u64>().prop_map(Dim::Fixed)
        ], 0..4),
    ) {
        let spec = TensorSpec { name: "x".to_owned(), datatype, shape, optional: false };
        let signature = Signature::new(vec![spec], vec![]);
        if let Ok(request) = binary::decode(&body, 0, &signature) {
            prop_assert_eq!(signature.check(&request.inputs), Ok(()));
        }
    }

    #[test]
    fn grpc_reads_back_what_it_wrote_in_both_forms(tensor in any_tensor(), raw in any::<bool>()) {
        let contents = if raw { Contents::Raw } else { Contents::Typed };
        let response = grpc::encode("m", "1", None, vec![tensor.clone()], contents).unwrap();
        // Over the wire, as a client would see it.
        let response = ModelInferResponse::decode(response.encode_to_vec().as_slice()).unwrap();
        let request = grpc::decode(grpc_request(response), &signature_of(&tensor)).unwrap();
        prop_assert_eq!(bits(&request.inputs[0]), bits(&tensor));
    }

    #[test]
    fn json_decode_never_panics_on_any_bytes(body in vec(any::<u8>(), 0..200), tensor in any_tensor()) {
        let _ = json::decode(&body, &signature_of(&tensor));
    }

    #[test]
    fn json_decode_takes_a_damaged_body_or_refuses_it(
        tensor in any_tensor().prop_map(for_json),
        damage in vec(any_damage(), 1..6),
    ) {
        let signature = signature_of(&tensor);
        match json::decode(&damaged(json_request(&tensor), &damage), &signature) {
            Ok(request) => prop_assert_eq!(signature.check(&request.inputs), Ok(())),
            Err(problem) => prop_assert!(!problem.message.is_empty()),
        }
    }

    #[test]
    fn grpc_decode_never_panics_on_any_message(
        name in prop_oneof![Just("x".to_owned()), ".{0,5}"],
        datatype in prop::sample::select(DataType::ALL),
        shape in vec(prop_oneof![0_i64..4, any::<i64>()], 0..4),
        contents in prop::option::of(any_contents()),
        raw_input_contents in vec(vec(any::<u8>(), 0..20).prop_map(Into::into), 0..3),
    ) {
        let rank = shape.len();
        let datatype_name = datatype.to_string();
        let input = InferInputTensor {
            name, datatype: datatype_name, shape, contents, ..Default::default()
        };
        let request =
            ModelInferRequest { inputs: vec![input], raw_input_contents, ..Default::default() };
        let spec = TensorSpec {
            name: "x".to_owned(),
            datatype,
            shape: vec![Dim::Any; rank],
            optional: false,
        };
        let signature = Signature::new(vec![spec], vec![]);
        if let Ok(request) = grpc::decode(request, &signature) {
            prop_assert_eq!(signature.check(&request.inputs), Ok(()));
        }
    }
}
