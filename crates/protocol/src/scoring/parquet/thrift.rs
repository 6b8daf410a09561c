//! Thrift's compact protocol, as far as Parquet's headers need it, read where it stands: nothing is set
//! aside on the word of a length, and what lies deep is not followed.

use super::{Odd, odd};

/// What is unknown is skipped this deep; Parquet's own headers have fewer levels.
const DEEPEST: u8 = 12;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool(bool),
    Byte,
    Integer,
    Double,
    Text,
    List,
    Map,
    Struct,
}

/// Bytes that are read one thing after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn byte(&mut self) -> Result<u8, Odd> {
        let (&byte, rest) = self.0.split_first().ok_or(odd("a header is cut off"))?;
        self.0 = rest;
        Ok(byte)
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Odd> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(odd("something is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn varint(&mut self) -> Result<u64, Odd> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(odd("a number has too many bytes"))
    }

    /// A length or a count of bytes.
    pub fn length(&mut self) -> Result<usize, Odd> {
        usize::try_from(self.varint()?).map_err(|_| odd("a length is too large"))
    }

    /// An integer of 16, 32 or 64 bits.
    pub fn integer(&mut self) -> Result<i64, Odd> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// An integer that is a size, a place or a count.
    pub fn count(&mut self) -> Result<usize, Odd> {
        usize::try_from(self.integer()?).map_err(|_| odd("a size is below nought or too large"))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Odd> {
        let length = self.length()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'a str, Odd> {
        str::from_utf8(self.bytes()?).map_err(|_| odd("a name is not UTF-8"))
    }

    /// A struct: `field` reads those that it knows, by number, and says of others that it did not.
    pub fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, Kind) -> Result<bool, Odd>,
    ) -> Result<(), Odd> {
        let mut number: i64 = 0;
        while let Some((delta, kind)) = self.field_head()? {
            number = match delta {
                0 => self.integer()?,
                delta => number.saturating_add(i64::from(delta)),
            };
            if !field(self, number, kind)? {
                self.skip(kind, DEEPEST)?;
            }
        }
        Ok(())
    }

    /// How far its number is from the one before, and its kind; nothing at the end of the struct.
    fn field_head(&mut self) -> Result<Option<(u8, Kind)>, Odd> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        Ok(Some((byte >> 4, kind(byte & 0xf)?)))
    }

    /// A list: `element` reads each, and is of that kind.
    pub fn list(
        &mut self,
        wanted: Kind,
        mut element: impl FnMut(&mut Self) -> Result<(), Odd>,
    ) -> Result<(), Odd> {
        let (count, found) = self.list_head()?;
        if count > 0 && found != wanted {
            return Err(odd("a list holds something else"));
        }
        // Each takes a byte at least, so a count that lies ends with the bytes.
        (0..count).try_for_each(|_| element(self))
    }

    fn list_head(&mut self) -> Result<(usize, Kind), Odd> {
        let byte = self.byte()?;
        let kind = kind(byte & 0xf)?;
        let count = match byte >> 4 {
            15 => self.length()?,
            short => usize::from(short),
        };
        Ok((count, kind))
    }

    fn skip(&mut self, kind: Kind, deep: u8) -> Result<(), Odd> {
        let deeper = deep.checked_sub(1).ok_or(odd("a header is nested too deep"))?;
        match kind {
            Kind::Bool(_) => Ok(()),
            Kind::Byte => self.byte().map(drop),
            Kind::Integer => self.varint().map(drop),
            Kind::Double => self.take(8).map(drop),
            Kind::Text => self.bytes().map(drop),
            Kind::List => {
                let (count, kind) = self.list_head()?;
                (0..count).try_for_each(|_| self.skip_element(kind, deeper))
            }
            Kind::Map => {
                let count = self.length()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                let (key, value) = (self::kind(kinds >> 4)?, self::kind(kinds & 0xf)?);
                (0..count).try_for_each(|_| {
                    self.skip_element(key, deeper)?;
                    self.skip_element(value, deeper)
                })
            }
            Kind::Struct => {
                while let Some((delta, kind)) = self.field_head()? {
                    if delta == 0 {
                        self.integer()?;
                    }
                    self.skip(kind, deeper)?;
                }
                Ok(())
            }
        }
    }

    /// In lists a truth value has a byte of its own.
    fn skip_element(&mut self, kind: Kind, deep: u8) -> Result<(), Odd> {
        if let Kind::Bool(_) = kind { self.byte().map(drop) } else { self.skip(kind, deep) }
    }
}

fn kind(code: u8) -> Result<Kind, Odd> {
    Ok(match code {
        1 => Kind::Bool(true),
        2 => Kind::Bool(false),
        3 => Kind::Byte,
        4..=6 => Kind::Integer,
        7 => Kind::Double,
        8 => Kind::Text,
        9 | 10 => Kind::List,
        11 => Kind::Map,
        12 => Kind::Struct,
        _ => return Err(odd("a header has a field of no known kind")),
    })
}
