//! An object whose values are left as they are.

use std::{borrow::Cow, cell::OnceCell, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Rows of so many fields are looked through; of longer ones an order by name is made.
const SHORT: usize = 16;

/// The fields of an object, in its order. What stands in requests may have very many.
#[derive(Debug, Default)]
pub(crate) struct Row<'a> {
    fields: Vec<(Name<'a>, &'a RawValue)>,
    /// Where they stand, by name.
    by_name: OnceCell<Vec<usize>>,
}

/// A name, borrowed where it has no escapes.
#[derive(Debug, Clone, Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl<'a> Row<'a> {
    /// How many fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Their names.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Cow<'a, str>> + Clone {
        self.fields.iter().map(|(Name(name), _)| name)
    }

    /// The value of that name, which may well stand at `guess`.
    pub fn get(&self, name: &str, guess: usize) -> Option<&'a RawValue> {
        let is_it = |(Name(it), _): &&(Name<'_>, &RawValue)| it == name;
        let found = match self.fields.get(guess).filter(is_it) {
            None if self.fields.len() <= SHORT => self.fields.iter().find(is_it),
            None => self.look_up(name),
            found => found,
        };
        found.map(|(_, value)| *value)
    }

    fn look_up(&self, name: &str) -> Option<&(Name<'a>, &'a RawValue)> {
        let name_at = |at: usize| self.fields.get(at).map(|(Name(name), _)| name.as_ref());
        let order = self.by_name.get_or_init(|| {
            let mut order: Vec<_> = (0..self.fields.len()).collect();
            order.sort_by_key(|&at| name_at(at));
            order
        });
        let found = order.partition_point(|&at| name_at(at) < Some(name));
        let found = order.get(found).and_then(|&at| self.fields.get(at));
        found.filter(|(Name(it), _)| it == name)
    }

    /// A name that is there twice.
    pub fn repeated(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        self.names().map(Cow::as_ref).find(|&name| !seen.insert(name))
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
        Ok(Row { fields, by_name: OnceCell::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_wherever_they_stand() {
        for count in [1, SHORT, SHORT + 1, 1_000] {
            let fields: Vec<_> = (0..count).map(|at| format!(r#""f{at}": {at}"#)).collect();
            let text = format!("{{{}}}", fields.join(","));
            let row: Row<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(row.len(), count);
            for at in 0..count {
                for guess in [at, 0, count] {
                    let found = row.get(&format!("f{at}"), guess).unwrap();
                    assert_eq!(found.get(), at.to_string());
                }
            }
            assert!(row.get("", 0).is_none() && row.get("g", count).is_none());
            assert_eq!(row.repeated(), None);
        }
        let row: Row<'_> = serde_json::from_str(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap();
        assert_eq!(row.repeated(), Some("a"));
    }
}
