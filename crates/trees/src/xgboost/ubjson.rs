//! Universal Binary JSON, as far as XGBoost writes it: numbers big-endian, arrays that may say the type
//! and number of their elements first. What an array claims is held against the bytes that are there.

use std::fmt::{self, Display};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use crate::{Error, error::broken};

/// No model is nested deeper.
const DEEPEST: usize = 64;

pub(super) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    let mut reader = Reader { bytes, depth: 0 };
    T::deserialize(Value { kind: None, reader: &mut reader }).map_err(|Wrong(why)| broken(why))
}

#[derive(Debug)]
struct Wrong(String);

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn wrong(why: &str) -> Wrong {
    Wrong(why.to_owned())
}

struct Reader<'de> {
    bytes: &'de [u8],
    depth: usize,
}

impl<'de> Reader<'de> {
    fn take(&mut self, count: usize) -> Result<&'de [u8], Wrong> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| wrong("it ends early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        self.take(N)?.try_into().map_err(|_| wrong("it ends early"))
    }

    fn byte(&mut self) -> Result<u8, Wrong> {
        Ok(self.fixed::<1>()?[0])
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// A length: the type of a whole number, and the number.
    fn length(&mut self) -> Result<usize, Wrong> {
        let length = match self.byte()? {
            b'i' => i64::from(i8::from_be_bytes(self.fixed()?)),
            b'U' => i64::from(self.byte()?),
            b'I' => i64::from(i16::from_be_bytes(self.fixed()?)),
            b'l' => i64::from(i32::from_be_bytes(self.fixed()?)),
            b'L' => i64::from_be_bytes(self.fixed()?),
            _ => return Err(wrong("a length is no whole number")),
        };
        usize::try_from(length).map_err(|_| wrong("a length is negative"))
    }

    fn text(&mut self) -> Result<&'de str, Wrong> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| wrong("a text is no UTF-8"))
    }
}

/// The next value, of a kind that was said already or stands before it.
struct Value<'a, 'de> {
    kind: Option<u8>,
    reader: &'a mut Reader<'de>,
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Self { kind, reader } = self;
        let kind = match kind {
            Some(kind) => kind,
            None => reader.byte()?,
        };
        match kind {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' => visitor.visit_i8(i8::from_be_bytes(reader.fixed()?)),
            b'U' => visitor.visit_u8(reader.byte()?),
            b'I' => visitor.visit_i16(i16::from_be_bytes(reader.fixed()?)),
            b'l' => visitor.visit_i32(i32::from_be_bytes(reader.fixed()?)),
            b'L' => visitor.visit_i64(i64::from_be_bytes(reader.fixed()?)),
            b'd' => visitor.visit_f32(f32::from_be_bytes(reader.fixed()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(reader.fixed()?)),
            b'S' => visitor.visit_borrowed_str(reader.text()?),
            b'[' | b'{' => {
                if reader.depth == DEEPEST {
                    return Err(wrong("it is nested too deep"));
                }
                reader.depth += 1;
                let read = match kind {
                    b'[' => visitor.visit_seq(Array::begin(reader)?),
                    _ => visitor.visit_map(Object { reader: &mut *reader }),
                };
                reader.depth -= 1;
                read
            }
            _ => Err(wrong("a value is of a type that XGBoost does not write")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.kind.is_none() && self.reader.peek() == Some(b'Z') {
            true => {
                self.reader.byte()?;
                visitor.visit_none()
            }
            false => visitor.visit_some(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Array<'a, 'de> {
    kind: Option<u8>,
    /// How many are left; absent where a bracket ends it.
    left: Option<usize>,
    reader: &'a mut Reader<'de>,
}

impl<'a, 'de> Array<'a, 'de> {
    fn begin(reader: &'a mut Reader<'de>) -> Result<Self, Wrong> {
        let mut kind = None;
        if reader.peek() == Some(b'$') {
            reader.byte()?;
            kind = Some(reader.byte()?);
        }
        let mut left = None;
        if reader.peek() == Some(b'#') {
            reader.byte()?;
            let count = reader.length()?;
            let each = match kind {
                Some(b'i' | b'U') | None => 1,
                Some(b'I') => 2,
                Some(b'l' | b'd') => 4,
                Some(b'L' | b'D') => 8,
                Some(_) => return Err(wrong("an array is of a type that XGBoost does not write")),
            };
            if count.checked_mul(each).is_none_or(|bytes| bytes > reader.bytes.len()) {
                return Err(wrong("an array claims more elements than there are"));
            }
            left = Some(count);
        } else if kind.is_some() {
            return Err(wrong("an array says its type, but not its length"));
        }
        Ok(Self { kind, left, reader })
    }
}

impl<'de> SeqAccess<'de> for Array<'_, 'de> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Wrong> {
        match &mut self.left {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None if self.reader.peek() == Some(b']') => {
                self.reader.byte()?;
                return Ok(None);
            }
            None => {}
        }
        seed.deserialize(Value { kind: self.kind, reader: self.reader }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

struct Object<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> MapAccess<'de> for Object<'_, 'de> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Wrong> {
        match self.reader.peek() {
            Some(b'}') => {
                self.reader.byte()?;
                Ok(None)
            }
            // A key is a text without the mark of one.
            _ => seed.deserialize(Value { kind: Some(b'S'), reader: self.reader }).map(Some),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        seed.deserialize(Value { kind: None, reader: self.reader })
    }
}
