//! An object whose values are left as they are.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of an object, in its order.
#[derive(Debug)]
pub(crate) struct Row<'a>(pub Vec<(Name<'a>, &'a RawValue)>);

/// A name, borrowed where it has no escapes.
#[derive(Debug, Clone, Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl<'a> Row<'a> {
    /// The value of that name, which may well stand at `guess`.
    pub fn get(&self, name: &str, guess: usize) -> Option<&'a RawValue> {
        let is_it = |(Name(it), _): &&(Name<'_>, &RawValue)| it == name;
        let Self(fields) = self;
        let found = fields.get(guess).filter(is_it).or_else(|| fields.iter().find(is_it));
        found.map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Row(fields))
    }
}
