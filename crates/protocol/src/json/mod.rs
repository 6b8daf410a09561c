//! How elements of tensors stand in JSON, for all protocols that have them there.

pub(crate) mod data;
pub(crate) mod element;
pub(crate) mod explain;
pub(crate) mod schema;

use domain::{DataType, ErrorCode, Problem, Tensor, TensorData};
use serde_json::{Value, json};

/// Why outputs cannot be written: strings are all that can fail to be. What else there is to do about
/// it is for the caller to say.
pub(crate) fn not_text<'a>(mut outputs: impl Iterator<Item = &'a Tensor>) -> Option<Problem> {
    let is_it = |output: &&Tensor| {
        let TensorData::Bytes(elements) = &output.data else { return false };
        elements.iter().any(|element| str::from_utf8(element).is_err())
    };
    let Tensor { name, .. } = outputs.find(is_it)?;
    let message = format!("output `{name}` holds bytes that are not UTF-8, and JSON has only text");
    Some(Problem::new(ErrorCode::Invalid, message))
}

/// The element that stands for any in an example.
pub(crate) fn zero(datatype: DataType) -> Value {
    match datatype {
        DataType::Bool => json!(false),
        DataType::U8 | DataType::U16 | DataType::U32 | DataType::U64 => json!(0),
        DataType::I8 | DataType::I16 | DataType::I32 | DataType::I64 => json!(0),
        DataType::F16 | DataType::BF16 | DataType::F32 | DataType::F64 => json!(0.0),
        DataType::Bytes => json!(""),
    }
}
