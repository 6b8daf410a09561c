//! The values of a column out of its pages, row by row.

use half::f16;

use super::{
    Budget, Odd,
    levels::Levels,
    odd,
    page::{Page, Place},
    schema::{Column, Step, What},
    thrift::Reader,
    value::Value,
};

/// A value for each row, or a list of them.
pub(super) fn rows<'p>(
    column: &Column<'_>,
    groups: &'p [Vec<Page<'_>>],
    budget: &mut Budget,
) -> Result<Vec<Value<'p>>, Odd> {
    if let What::Other(what) = column.what {
        let what = format!("column `{}` holds {what}", column.name);
        return Err(Odd::Unsupported(what, "send truth values, numbers, texts, or lists of them"));
    }
    let mut rows = Vec::new();
    for pages in groups {
        let mut dictionary = None;
        for page in pages {
            match page.place {
                Place::Dictionary => dictionary = Some(entries(column, page)?),
                Place::Within | Place::Apart(..) => {
                    append(&mut rows, column, page, dictionary.as_deref(), budget)?;
                }
            }
        }
    }
    Ok(rows)
}

fn entries<'p>(column: &Column<'_>, page: &'p Page<'_>) -> Result<Vec<Value<'p>>, Odd> {
    let mut values = Values::Plain(Reader(&page.bytes));
    (0..page.count).map(|_| values.next(column.what)).collect()
}

fn append<'p>(
    rows: &mut Vec<Value<'p>>,
    column: &Column<'_>,
    page: &'p Page<'_>,
    dictionary: Option<&[Value<'p>]>,
    budget: &mut Budget,
) -> Result<(), Odd> {
    let steps = column.steps.as_slice();
    let lists = steps.iter().filter(|&&step| step == Step::Repeated).count();
    let mut bytes = Reader(&page.bytes);
    let (repetition, definition) = match page.place {
        Place::Apart(repetition, definition) => (repetition, definition),
        Place::Dictionary | Place::Within => {
            let repetition = with_length(&mut bytes, lists > 0)?;
            (repetition, with_length(&mut bytes, !steps.is_empty())?)
        }
    };
    let mut again = Levels::up_to(repetition, lists);
    let mut there = Levels::up_to(definition, steps.len());
    let mut values = Values::of(column, page.encoding, bytes, dictionary)?;
    for _ in 0..page.count {
        let again = again.next()? as usize;
        let there = there.next()? as usize;
        let (present, absent) = steps.split_at_checked(there).ok_or(odd("a level is too high"))?;
        let value = match absent.first() {
            None => values.next(column.what)?,
            Some(Step::Optional) => Value::Null,
            Some(Step::Repeated) => Value::List(Vec::new()),
        };
        if let (Value::Text(text), Some(_)) = (&value, dictionary) {
            // Each is a copy in the end.
            budget.take(text.len())?;
        }
        let deep = present.iter().filter(|&&step| step == Step::Repeated).count();
        put(rows, value, again, deep)?;
    }
    Ok(())
}

/// Levels that stand before the values, if there are any.
fn with_length<'p>(bytes: &mut Reader<'p>, there_are: bool) -> Result<&'p [u8], Odd> {
    if !there_are {
        return Ok(&[]);
    }
    let length = u32::from_le_bytes(array(bytes)?);
    bytes.take(length as usize)
}

/// Puts a value into lists so deep: the outer ones, as many as `again`, are those of the value before.
fn put<'p>(
    rows: &mut Vec<Value<'p>>,
    value: Value<'p>,
    again: usize,
    deep: usize,
) -> Result<(), Odd> {
    let mut list = rows;
    for _ in 0..again {
        match list.last_mut() {
            Some(Value::List(inner)) => list = inner,
            _ => return Err(odd("a list goes on that did not begin")),
        }
    }
    let new = deep.checked_sub(again).ok_or(odd("a list goes on that did not begin"))?;
    list.push((0..new).fold(value, |value, _| Value::List(vec![value])));
    Ok(())
}

/// How a page's values are written.
enum Values<'p, 'd> {
    Plain(Reader<'p>),
    /// Truth values, from that bit on.
    Bits(&'p [u8], usize),
    /// Truth values in runs.
    Runs(Levels<'p>),
    /// Places in a dictionary.
    Places(Levels<'p>, &'d [Value<'p>]),
}

impl<'p, 'd> Values<'p, 'd> {
    fn of(
        column: &Column<'_>,
        encoding: i64,
        mut bytes: Reader<'p>,
        dictionary: Option<&'d [Value<'p>]>,
    ) -> Result<Self, Odd> {
        Ok(match encoding {
            0 if column.what == What::Bool => Self::Bits(bytes.0, 0),
            0 => Self::Plain(bytes),
            3 if column.what == What::Bool => {
                Self::Runs(Levels::new(with_length(&mut bytes, true)?, 1))
            }
            2 | 8 => {
                let dictionary = dictionary.ok_or(odd("a column has no dictionary"))?;
                // A page without values may have no width either.
                let width = bytes.byte().unwrap_or(0);
                if width > 32 {
                    return Err(odd("a place in a dictionary has too many bits"));
                }
                Self::Places(Levels::new(bytes.0, width.into()), dictionary)
            }
            other => {
                let name = match other {
                    5 => "DELTA_BINARY_PACKED",
                    6 => "DELTA_LENGTH_BYTE_ARRAY",
                    7 => "DELTA_BYTE_ARRAY",
                    9 => "BYTE_STREAM_SPLIT",
                    _ => "an unknown encoding",
                };
                let what = format!("column `{}` is written in {name}", column.name);
                return Err(Odd::Unsupported(what, "write it PLAIN or by a dictionary"));
            }
        })
    }

    fn next(&mut self, what: What) -> Result<Value<'p>, Odd> {
        match self {
            Self::Plain(bytes) => plain(bytes, what),
            Self::Bits(bytes, at) => {
                let byte = bytes.get(*at / 8).ok_or(odd("a page is cut off"))?;
                let bit = byte >> (*at % 8) & 1;
                *at += 1;
                Ok(Value::Bool(bit == 1))
            }
            Self::Runs(runs) => Ok(Value::Bool(runs.next()? == 1)),
            Self::Places(places, dictionary) => {
                let entry = dictionary.get(places.next()? as usize);
                // A dictionary holds no lists, so that this copies next to nothing.
                entry.cloned().ok_or(odd("a dictionary has no such entry"))
            }
        }
    }
}

fn plain<'p>(bytes: &mut Reader<'p>, what: What) -> Result<Value<'p>, Odd> {
    Ok(match what {
        What::Int32 => Value::Int(i32::from_le_bytes(array(bytes)?).into()),
        What::Unsigned32 => Value::Unsigned(u32::from_le_bytes(array(bytes)?).into()),
        What::Int64 => Value::Int(i64::from_le_bytes(array(bytes)?)),
        What::Unsigned64 => Value::Unsigned(u64::from_le_bytes(array(bytes)?)),
        What::Half => Value::Float(f16::from_le_bytes(array(bytes)?).to_f64()),
        What::Float => Value::Float(f32::from_le_bytes(array(bytes)?).into()),
        What::Double => Value::Float(f64::from_le_bytes(array(bytes)?)),
        What::Text => {
            let length = u32::from_le_bytes(array(bytes)?);
            Value::Text(bytes.take(length as usize)?)
        }
        What::Bool | What::Other(_) => return Err(odd("a dictionary holds truth values")),
    })
}

fn array<const N: usize>(bytes: &mut Reader<'_>) -> Result<[u8; N], Odd> {
    bytes.take(N)?.try_into().map_err(|_| odd("a page is cut off"))
}
