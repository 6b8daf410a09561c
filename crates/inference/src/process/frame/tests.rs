use domain::TensorData;
use half::{bf16, f16};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::{BoxedStrategy, Union},
};

use super::*;

const LIMIT: u64 = 1 << 20;

/// What a frame with these tensors says when it has come.
fn there_and_back(tensors: &[Tensor]) -> Vec<Tensor> {
    let mut bytes = Vec::new();
    let head = Infer { within_us: 7, tensors: describe(tensors) };
    encode(&mut bytes, Kind::Infer, 9, &head, tensors).unwrap();
    let mut buffer = b"of the last one".to_vec();
    let frame = read(&mut bytes.as_slice(), LIMIT, &mut buffer).unwrap();
    assert_eq!((frame.kind, frame.number), (Kind::Infer, 9));
    let head: Infer<'_> = frame.head().unwrap();
    assert_eq!(head.within_us, 7);
    frame.tensors(head.tensors).unwrap()
}

fn data(elements: usize) -> BoxedStrategy<TensorData> {
    fn of<T: std::fmt::Debug + 'static>(
        element: impl Strategy<Value = T> + 'static,
        elements: usize,
        data: fn(Vec<T>) -> TensorData,
    ) -> BoxedStrategy<TensorData> {
        vec(element, elements).prop_map(data).boxed()
    }
    Union::new([
        of(any::<bool>(), elements, TensorData::Bool),
        of(any::<u8>(), elements, TensorData::U8),
        of(any::<u16>(), elements, TensorData::U16),
        of(any::<u32>(), elements, TensorData::U32),
        of(any::<u64>(), elements, TensorData::U64),
        of(any::<i8>(), elements, TensorData::I8),
        of(any::<i16>(), elements, TensorData::I16),
        of(any::<i32>(), elements, TensorData::I32),
        of(any::<i64>(), elements, TensorData::I64),
        of(any::<f32>().prop_map(f16::from_f32), elements, TensorData::F16),
        of(any::<f32>().prop_map(bf16::from_f32), elements, TensorData::BF16),
        of(any::<f32>(), elements, TensorData::F32),
        of(any::<f64>(), elements, TensorData::F64),
        of(vec(any::<u8>(), 0..9), elements, TensorData::Bytes),
    ])
    .boxed()
}

fn tensor() -> impl Strategy<Value = Tensor> {
    let shape = vec(0..4_usize, 0..4);
    ("\\PC{0,8}", shape).prop_flat_map(|(name, shape)| {
        data(Tensor::elements(&shape).unwrap())
            .prop_map(move |data| Tensor::new(name.clone(), shape.clone(), data).unwrap())
    })
}

proptest! {
    #[test]
    fn tensors_arrive_as_they_were(tensors in vec(tensor(), 0..5)) {
        prop_assert_eq!(there_and_back(&tensors), tensors);
    }

    /// Whatever comes is a frame or is none: nothing panics, and nothing larger than allowed is kept.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), magic: bool) {
        let bytes = if magic { [MAGIC.as_slice(), &bytes].concat() } else { bytes };
        let mut buffer = Vec::new();
        if let Ok(frame) = read(&mut bytes.as_slice(), LIMIT, &mut buffer) {
            drop(frame.head::<Infer<'_>>().and_then(|head| frame.tensors(head.tensors)));
            drop(frame.refusal());
        }
        prop_assert!(buffer.capacity() as u64 <= AT_ONCE + 1);
    }

    /// One changed byte makes another frame or none.
    #[test]
    fn a_damaged_frame_harms_nobody(tensors in vec(tensor(), 1..3), at: usize, byte: u8) {
        let mut bytes = Vec::new();
        let head = Infer { within_us: 7, tensors: describe(&tensors) };
        encode(&mut bytes, Kind::Infer, 9, &head, &tensors).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut buffer = Vec::new();
        if let Ok(frame) = read(&mut bytes.as_slice(), LIMIT, &mut buffer) {
            drop(frame.head::<Infer<'_>>().and_then(|head| frame.tensors(head.tensors)));
        }
    }
}

#[test]
fn tensors_are_aligned_and_the_prefix_is_as_written_down() {
    let tensors = [
        Tensor::new("a", vec![3], TensorData::U8(vec![1, 2, 3])).unwrap(),
        Tensor::new("b", vec![1], TensorData::F64(vec![1.0])).unwrap(),
    ];
    let mut bytes = Vec::new();
    encode(&mut bytes, Kind::Answer, 258, &Answer { tensors: describe(&tensors) }, &tensors)
        .unwrap();
    assert_eq!(bytes[..8], *b"BTG1\x04\0\0\0");
    assert_eq!(bytes[12..24], [2, 1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]);
    let body = &bytes[bytes.len() - 16..];
    assert_eq!(body, [&[1, 2, 3, 0, 0, 0, 0, 0][..], &1.0_f64.to_le_bytes()].concat());
    assert_eq!((bytes.len() - 16) % 8, 0);
    assert_eq!(there_and_back(&tensors), tensors);
}

#[test]
fn what_is_announced_is_held_against_the_bounds() {
    let announced = |head: u32, body: u64| {
        let mut bytes = Vec::new();
        encode(&mut bytes, Kind::Confined, 1, &Confined { without: vec![] }, &[]).unwrap();
        bytes.splice(8..12, head.to_le_bytes());
        bytes.splice(16..24, body.to_le_bytes());
        let mut buffer = Vec::new();
        let refused = read(&mut bytes.as_slice(), LIMIT, &mut buffer).unwrap_err().to_string();
        assert!(buffer.capacity() as u64 <= AT_ONCE);
        refused
    };
    assert!(announced(8, LIMIT + 1).contains("1048576 are the limit"));
    assert!(announced(u32::MAX, 0).contains("4194304 are the limit"));
    assert!(announced(8, u64::MAX).contains("the limit"));
    // What is announced and does not come.
    announced(8, LIMIT);
}

#[test]
fn bodies_that_are_not_what_the_head_says_are_refused() {
    let tensors = [Tensor::new("x", vec![2], TensorData::I32(vec![1, 2])).unwrap()];
    let refused = |head: &str, what: &str| {
        let mut bytes = Vec::new();
        let head: serde_json::Value = serde_json::from_str(head).unwrap();
        encode(&mut bytes, Kind::Answer, 1, &head, &tensors).unwrap();
        let mut buffer = Vec::new();
        let frame = read(&mut bytes.as_slice(), LIMIT, &mut buffer).unwrap();
        let read = frame.head::<Answer<'_>>().and_then(|head| frame.tensors(head.tensors));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let one = |shape: &str, bytes: u64| {
        format!(
            r#"{{"tensors":[{{"name":"x","datatype":"INT32","shape":{shape},"bytes":{bytes}}}]}}"#
        )
    };
    refused(&one("[2]", 4), "has 4 bytes, but 2 elements");
    refused(&one("[2]", 99), "ends before `x`");
    refused(&one("[1]", 4), "4 bytes are behind");
    refused(&one("[9223372036854775807,4]", 8), "too large");
    refused(r#"{"tensors":[]}"#, "8 bytes are behind");
    refused(r#"{"tensors":[{"name":"x"}]}"#, "its head");
}

#[test]
fn what_was_loaded_has_a_signature_or_the_versions() {
    let said = |head: serde_json::Value| {
        let mut bytes = Vec::new();
        encode(&mut bytes, Kind::Loaded, 1, &head, &[]).unwrap();
        let mut buffer = Vec::new();
        let frame = read(&mut bytes.as_slice(), LIMIT, &mut buffer).unwrap();
        frame.head::<Loaded>().map(|loaded| loaded.signature)
    };
    assert!(said(serde_json::json!({"signature": null})).unwrap().is_none());
    let one = serde_json::json!({"name": "x", "datatype": "FP32", "shape": [-1, 4]});
    let signature = serde_json::json!({"inputs": [one], "outputs": []});
    assert_eq!(said(serde_json::json!({"signature": signature})).unwrap().unwrap().inputs.len(), 1);
    assert!(said(serde_json::json!({"signature": 7})).is_err());
}

#[test]
fn an_error_is_told_in_bounded_words() {
    let mut bytes = Vec::new();
    let refusal = Refusal { kind: Fault::TooLarge, message: "é".repeat(1 << 20), field: None };
    encode(&mut bytes, Kind::Error, 1, &refusal, &[]).unwrap();
    let mut buffer = Vec::new();
    let frame = read(&mut bytes.as_slice(), LIMIT, &mut buffer).unwrap();
    let refusal = frame.refusal().unwrap();
    assert_eq!((refusal.kind, refusal.message.len()), (Fault::TooLarge, MAX_MESSAGE));
}
