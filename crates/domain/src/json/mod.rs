//! What rows cannot keep of JSON, and the one way to write it.

pub mod canonical;

use serde_json::Value;

/// Whether a text or a name in it holds U+0000, which Postgres refuses.
#[must_use]
pub fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
