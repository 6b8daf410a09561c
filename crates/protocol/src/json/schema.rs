//! JSON Schemas (2020-12) of elements, and of arrays of them.

use domain::{DataType, Dim};
use serde_json::{Value, json};

/// The dialect that the schemas here are written in.
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What fits any of these: a schema may not list none of them, and need not list one.
pub(crate) fn any_of(mut schemas: Vec<Value>) -> Value {
    match schemas.len() {
        0 => json!(false),
        1 => schemas.remove(0),
        _ => json!({ "anyOf": schemas }),
    }
}

/// An element of a request.
pub(crate) fn element(datatype: DataType) -> Value {
    match datatype {
        DataType::Bool => json!({ "type": "boolean" }),
        DataType::U8 => integer(u8::MIN, u8::MAX),
        DataType::U16 => integer(u16::MIN, u16::MAX),
        DataType::U32 => integer(u32::MIN, u32::MAX),
        DataType::U64 => integer(u64::MIN, u64::MAX),
        DataType::I8 => integer(i8::MIN, i8::MAX),
        DataType::I16 => integer(i16::MIN, i16::MAX),
        DataType::I32 => integer(i32::MIN, i32::MAX),
        DataType::I64 => integer(i64::MIN, i64::MAX),
        DataType::F16 | DataType::BF16 | DataType::F32 | DataType::F64 => {
            json!({ "type": "number" })
        }
        DataType::Bytes => json!({ "type": "string" }),
    }
}

/// An element of an answer, where floats that are no numbers are strings.
pub(crate) fn answered(datatype: DataType) -> Value {
    let plain = element(datatype);
    if matches!(datatype, DataType::F16 | DataType::BF16 | DataType::F32 | DataType::F64) {
        return any_of(vec![plain, json!({ "enum": ["NaN", "Infinity", "-Infinity"] })]);
    }
    plain
}

/// Arrays of arrays, down to the elements.
pub(crate) fn nested(element: Value, shape: &[Dim]) -> Value {
    shape.iter().rev().fold(element, |inner, dim| match dim {
        Dim::Fixed(size) => {
            json!({ "type": "array", "minItems": size, "maxItems": size, "items": inner })
        }
        Dim::Symbolic(name) => json!({ "type": "array", "description": name, "items": inner }),
        Dim::Any => json!({ "type": "array", "items": inner }),
    })
}

/// The sizes of a tensor.
pub(crate) fn sizes(shape: &[Dim]) -> Value {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => json!({ "const": size }),
        Dim::Symbolic(name) => json!({ "type": "integer", "minimum": 0, "description": name }),
        Dim::Any => json!({ "type": "integer", "minimum": 0 }),
    };
    let sizes: Vec<_> = shape.iter().map(size).collect();
    // `prefixItems` may not be empty.
    match sizes.len() {
        0 => json!({ "type": "array", "maxItems": 0 }),
        rank => json!({
            "type": "array", "prefixItems": sizes, "minItems": rank, "maxItems": rank,
        }),
    }
}

fn integer<T: Into<Value>>(min: T, max: T) -> Value {
    let (min, max): (Value, Value) = (min.into(), max.into());
    json!({ "type": "integer", "minimum": min, "maximum": max })
}
