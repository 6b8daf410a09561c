//! A cell of a table that knows its type.

use serde::{
    Deserializer,
    de::{Error as _, IntoDeserializer, Visitor, value::SeqDeserializer},
    forward_to_deserialize_any,
};
use serde_json::Error;

use crate::{
    json::{data::DataSeed, explain::reason},
    table::Cell,
};
use domain::Problem;

/// A value, or a list of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'p> {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text(&'p [u8]),
    List(Vec<Value<'p>>),
}

impl<'de> IntoDeserializer<'de, Error> for &'de Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Value<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => match str::from_utf8(value) {
                Ok(text) => visitor.visit_str(text),
                Err(_) => Err(Error::custom("bytes that are no text in UTF-8")),
            },
            Value::List(values) => visitor.visit_seq(SeqDeserializer::new(values.iter())),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> Cell<'de> for &'de Value<'_> {
    fn explain(self, error: &Error, _: DataSeed, field: &str) -> Problem {
        Problem::invalid(field, format!("{field}: {}", reason(error)))
    }
}
