//! Our tensors as ONNX Runtime's, and back.

use domain::{DataType, Problem, Tensor, TensorData};
use ort::{
    session::SessionInputValue,
    value::{
        DynTensor, DynTensorValueType, DynValue, PrimitiveTensorElementType, Tensor as OrtTensor,
        TensorRef,
    },
};

use super::signature::datatype;
use crate::Error;

/// Lends a tensor to the runtime; nothing is copied but strings.
///
/// # Errors
/// A string that is not UTF-8 or holds a zero byte, by the tensor's name.
pub(super) fn lend(tensor: &Tensor) -> Result<SessionInputValue<'_>, Error> {
    macro_rules! view {
        ($elements:expr) => {
            TensorRef::from_array_view((tensor.shape.as_slice(), $elements.as_slice()))
                .map(SessionInputValue::from)
        };
    }
    let value = match &tensor.data {
        TensorData::Bool(elements) => view!(elements),
        TensorData::U8(elements) => view!(elements),
        TensorData::U16(elements) => view!(elements),
        TensorData::U32(elements) => view!(elements),
        TensorData::U64(elements) => view!(elements),
        TensorData::I8(elements) => view!(elements),
        TensorData::I16(elements) => view!(elements),
        TensorData::I32(elements) => view!(elements),
        TensorData::I64(elements) => view!(elements),
        TensorData::F16(elements) => view!(elements),
        TensorData::BF16(elements) => view!(elements),
        TensorData::F32(elements) => view!(elements),
        TensorData::F64(elements) => view!(elements),
        TensorData::Bytes(elements) => {
            let texts = texts(&tensor.name, elements)?;
            OrtTensor::from_string_array((tensor.shape.as_slice(), texts.as_slice()))
                .map(SessionInputValue::from)
        }
    };
    value.map_err(|error| Problem::invalid(&tensor.name, error.message()).into())
}

fn texts(name: &str, elements: &[Vec<u8>]) -> Result<Vec<String>, Problem> {
    let wrong = |at: usize, what: &str| {
        Problem::invalid(name, format!("element {at} of `{name}` {what}"))
            .hint("ONNX strings are UTF-8 text without zero bytes")
    };
    elements
        .iter()
        .enumerate()
        .map(|(at, bytes)| match std::str::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => Err(wrong(at, "holds a zero byte")),
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(wrong(at, "is not UTF-8")),
        })
        .collect()
}

/// Why an output cannot be taken.
pub(super) enum TakeError {
    TooLarge,
    Broken(String),
}

impl From<ort::Error> for TakeError {
    fn from(error: ort::Error) -> Self {
        Self::Broken(error.message().to_owned())
    }
}

/// Copies an output out of the runtime, and its size off `left`.
pub(super) fn take(name: &str, value: DynValue, left: &mut usize) -> Result<Tensor, TakeError> {
    let value = value.downcast::<DynTensorValueType>()?;
    let datatype = datatype(*value.data_type())
        .ok_or_else(|| TakeError::Broken(format!("output `{name}` has an unknown type")))?;
    let shape: Vec<usize> =
        value.shape().iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    let count = Tensor::elements(&shape).ok_or(TakeError::TooLarge)?;
    // A string costs its place in the list now, and its bytes once they are known.
    let size = count.saturating_mul(datatype.size().unwrap_or(size_of::<Vec<u8>>()));
    *left = left.checked_sub(size).ok_or(TakeError::TooLarge)?;
    let data = match datatype {
        DataType::Bool => TensorData::Bool(booleans(&value, count)),
        DataType::U8 => TensorData::U8(copy(&value)?),
        DataType::U16 => TensorData::U16(copy(&value)?),
        DataType::U32 => TensorData::U32(copy(&value)?),
        DataType::U64 => TensorData::U64(copy(&value)?),
        DataType::I8 => TensorData::I8(copy(&value)?),
        DataType::I16 => TensorData::I16(copy(&value)?),
        DataType::I32 => TensorData::I32(copy(&value)?),
        DataType::I64 => TensorData::I64(copy(&value)?),
        DataType::F16 => TensorData::F16(copy(&value)?),
        DataType::BF16 => TensorData::BF16(copy(&value)?),
        DataType::F32 => TensorData::F32(copy(&value)?),
        DataType::F64 => TensorData::F64(copy(&value)?),
        DataType::Bytes => {
            let (_, texts) = value.try_extract_strings()?;
            let bytes: usize = texts.iter().map(String::len).sum();
            *left = left.checked_sub(bytes).ok_or(TakeError::TooLarge)?;
            TensorData::Bytes(texts.into_iter().map(String::into_bytes).collect())
        }
    };
    Tensor::new(name, shape, data).map_err(|problem| TakeError::Broken(problem.message))
}

fn copy<T: PrimitiveTensorElementType + Clone>(value: &DynTensor) -> ort::Result<Vec<T>> {
    value.try_extract_tensor::<T>().map(|(_, elements)| elements.to_vec())
}

/// The runtime keeps a boolean in a byte and does not promise that it is 0 or 1 (weights may say
/// 2), but a Rust `bool` of another value is undefined: so the bytes are read as what they are.
#[expect(unsafe_code, reason = "ort offers booleans only as `bool`, which may be undefined")]
fn booleans(value: &DynTensor, count: usize) -> Vec<bool> {
    let bytes = value.data_ptr().cast::<u8>();
    if count == 0 || bytes.is_null() {
        return Vec::new();
    }
    // SAFETY: the tensor lives as long as the reference, lies in the CPU's memory, and holds
    // `count` elements of one byte each.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, count) };
    bytes.iter().map(|&byte| byte != 0).collect()
}
