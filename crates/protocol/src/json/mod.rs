//! How elements of tensors stand in JSON, for all protocols that have them there.

pub(crate) mod data;
pub(crate) mod element;
pub(crate) mod explain;

use domain::DataType;
use serde_json::{Value, json};

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
