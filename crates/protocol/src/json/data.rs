//! The elements of one tensor, read straight into its typed vector.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{DataType, Problem, TensorData, with_elements};
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::element::Element;

/// How an element may be written besides its plain form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// In no other way.
    Plain,
    /// `null` is a float that is missing: NaN, as pandas writes and reads it.
    DataFrame,
    /// As text, as in CSV; an empty one is a float that is missing.
    Cells,
    /// As values that know their type: a float may be no number, and what is missing is NaN.
    Typed,
    /// BYTES may be `{"b64": "…"}`.
    TensorFlow,
    /// As servers answer: a float may be the name of one that is no number, or missing, and BYTES `{"b64": "…"}`.
    Answered,
}

/// A tensor's elements, and the arrays that they stood in.
#[derive(Debug)]
pub(crate) struct Data {
    pub elements: TensorData,
    /// The length of the arrays at each depth; empty for a bare element.
    pub nesting: Vec<usize>,
}

impl Data {
    /// Refuses arrays that are neither flat nor nested as the shape says.
    pub(crate) fn check_nesting(
        &self,
        shape: &[usize],
        field: impl fmt::Display,
    ) -> Result<(), Problem> {
        let nesting = self.nesting.as_slice();
        let fits = match nesting {
            [] => shape.is_empty(),
            // Flat: the tensor counts its elements itself.
            [_] => true,
            // An empty array ends the nesting early: `[[], []]` has any shape [2, 0, …].
            [.., last] => nesting == shape || (*last == 0 && shape.starts_with(nesting)),
        };
        if fits {
            return Ok(());
        }
        Err(Problem::invalid(
            field.to_string(),
            format!("`{field}` is nested as {nesting:?}, but the shape is {shape:?}"),
        )
        .hint("write the elements as one flat array, row-major, or nested as the shape says"))
    }
}

/// Reads the elements of a tensor of this type, written so.
#[derive(Clone, Copy)]
pub(crate) struct DataSeed(pub DataType, pub Dialect);

impl<'de> DeserializeSeed<'de> for DataSeed {
    type Value = Data;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data, D::Error> {
        Expecting(self, 0).deserialize(deserializer)
    }
}

/// The same, where about so many elements are to come.
pub(crate) struct Expecting(pub DataSeed, pub usize);

/// No more is set aside on the word of a shape.
const MOST_EXPECTED: usize = 1024;

impl<'de> DeserializeSeed<'de> for Expecting {
    type Value = Data;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data, D::Error> {
        let Self(DataSeed(datatype, dialect), count) = self;
        let mut data = empty(datatype);
        let mut lengths = Vec::new();
        with_elements!(&mut data, elements => {
            elements.reserve_exact(count.min(MOST_EXPECTED));
            let lengths = &mut lengths;
            Reader { elements, lengths, depth: 0, dialect }.deserialize(deserializer)?
        });
        Ok(Data { elements: data, nesting: lengths.into_iter().flatten().collect() })
    }
}

fn empty(datatype: DataType) -> TensorData {
    match datatype {
        DataType::Bool => TensorData::Bool(Vec::new()),
        DataType::U8 => TensorData::U8(Vec::new()),
        DataType::U16 => TensorData::U16(Vec::new()),
        DataType::U32 => TensorData::U32(Vec::new()),
        DataType::U64 => TensorData::U64(Vec::new()),
        DataType::I8 => TensorData::I8(Vec::new()),
        DataType::I16 => TensorData::I16(Vec::new()),
        DataType::I32 => TensorData::I32(Vec::new()),
        DataType::I64 => TensorData::I64(Vec::new()),
        DataType::F16 => TensorData::F16(Vec::new()),
        DataType::BF16 => TensorData::BF16(Vec::new()),
        DataType::F32 => TensorData::F32(Vec::new()),
        DataType::F64 => TensorData::F64(Vec::new()),
        DataType::Bytes => TensorData::Bytes(Vec::new()),
    }
}

/// Reads one value, an element or an array, at one depth. The deserializer bounds the depth.
struct Reader<'a, T> {
    elements: &'a mut Vec<T>,
    /// Known once the first array of a depth has ended; there is an entry once one has begun.
    lengths: &'a mut Vec<Option<usize>>,
    depth: usize,
    dialect: Dialect,
}

impl<T: Element> Reader<'_, T> {
    fn push<E: Error>(self, element: Option<T>, found: Unexpected<'_>) -> Result<(), E> {
        let Some(element) = element else {
            return Err(E::invalid_value(found, &self));
        };
        if self.depth != self.lengths.len() {
            return Err(ragged());
        }
        self.elements.push(element);
        Ok(())
    }
}

/// The float that is no number of this name.
fn special(name: &str) -> Option<f64> {
    match name {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn ragged<E: Error>() -> E {
    E::custom("arrays at the same depth differ in length or depth")
}

impl<'de, T: Element> DeserializeSeed<'de> for Reader<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Element> Visitor<'de> for Reader<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::describe(f)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.push(T::from_bool(value), Unexpected::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.push(T::from_unsigned(value), Unexpected::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.push(T::from_signed(value), Unexpected::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let is_special = self.dialect == Dialect::Typed && !value.is_finite();
        let element = if is_special { T::from_special(value) } else { T::from_float(value) };
        self.push(element, Unexpected::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let element = match self.dialect {
            Dialect::Cells => T::from_cell(value),
            Dialect::Answered => T::from_text(value).or_else(|| T::from_special(special(value)?)),
            Dialect::Plain | Dialect::DataFrame | Dialect::Typed | Dialect::TensorFlow => {
                T::from_text(value)
            }
        };
        self.push(element, Unexpected::Str(value))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let may_miss =
            matches!(self.dialect, Dialect::DataFrame | Dialect::Typed | Dialect::Answered);
        match T::missing().filter(|_| may_miss) {
            Some(element) => self.push(Some(element), Unexpected::Unit),
            None => Err(E::invalid_type(Unexpected::Unit, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let may_be = matches!(self.dialect, Dialect::TensorFlow | Dialect::Answered);
        let is_b64 = |key: &str| may_be && key == "b64";
        let Some(true) = map.next_key::<Cow<'_, str>>()?.map(|key| is_b64(&key)) else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        let text: Cow<'_, str> = map.next_value()?;
        if map.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("an object with `b64` has nothing else"));
        }
        let bytes = BASE64_STANDARD.decode(text.as_bytes());
        let bytes = bytes.map_err(|wrong| A::Error::custom(format!("`b64`: {wrong}")))?;
        self.push(T::from_bytes(bytes), Unexpected::Map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let Self { elements, lengths, depth, dialect } = self;
        if lengths.len() == depth {
            // The first array this deep: no element may have stood here.
            if !elements.is_empty() {
                return Err(ragged());
            }
            lengths.push(None);
        }
        let mut length = 0;
        while array
            .next_element_seed(Reader { elements, lengths, depth: depth + 1, dialect })?
            .is_some()
        {
            length += 1;
        }
        let known = lengths.get_mut(depth).map(|known| *known.get_or_insert(length));
        if known == Some(length) { Ok(()) } else { Err(ragged()) }
    }
}
