//! What a file says of itself at its end: its columns, and where their pages are.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Budget, Odd, odd,
    schema::{Column, Element, columns},
    thrift::{Kind, Reader},
};

const MAGIC: &[u8] = b"PAR1";
/// Where the columns are encrypted, the file begins and ends so, or only begins so.
const ENCRYPTED: &[u8] = b"PARE";
/// What we keep of an entry in a header, roughly.
const ENTRY: usize = 64;

/// A file's columns, and their chunks for each group of rows.
pub(super) struct Footer<'a> {
    pub columns: Vec<Column<'a>>,
    /// As many chunks as there are columns, in their order.
    pub groups: Vec<Vec<Chunk<'a>>>,
    /// Columns that pandas made of a frame's index, which says nothing of values.
    index: Vec<String>,
}

/// The pages of a column in a group of rows.
#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub codec: i64,
    pub values: usize,
    pub bytes: &'a [u8],
    physical: i64,
}

impl<'a> Footer<'a> {
    pub fn read(body: &'a [u8], budget: &mut Budget) -> Result<Self, Odd> {
        let (data, header) = split(body)?;
        let (mut elements, mut groups, mut index) = (Vec::new(), Vec::new(), Vec::new());
        Reader(header).fields(|file, number, kind| {
            match (number, kind) {
                (2, Kind::List) => file.list(Kind::Struct, |list| {
                    budget.take(ENTRY)?;
                    elements.push(Element::read(list)?);
                    Ok(())
                }),
                (4, Kind::List) => file.list(Kind::Struct, |list| {
                    budget.take(ENTRY)?;
                    groups.push(group(list, data, budget)?);
                    Ok(())
                }),
                (5, Kind::List) => file.list(Kind::Struct, |list| {
                    if let Some(found) = pandas_index(list)? {
                        index = found;
                    }
                    Ok(())
                }),
                (8, _) => Err(encrypted()),
                _ => return Ok(false),
            }?;
            Ok(true)
        })?;
        let columns = columns(&elements, budget)?;
        for group in &groups {
            let is_it =
                |(chunk, column): (&Chunk<'_>, &Column<'_>)| chunk.physical == column.physical;
            if group.len() != columns.len() || !group.iter().zip(&columns).all(is_it) {
                return Err(odd("a group of rows has other columns than the file"));
            }
        }
        Ok(Self { columns, groups, index })
    }

    /// Whether a column is more than the names of rows.
    pub fn is_wanted(&self, column: &Column<'_>) -> bool {
        !self.index.iter().any(|name| name == column.name)
    }
}

/// The part with the pages, at its place in the file, and the footer's header.
fn split(body: &[u8]) -> Result<(&[u8], &[u8]), Odd> {
    let wrong = || odd("it does not begin and end with `PAR1`");
    if body.ends_with(ENCRYPTED) {
        return Err(encrypted());
    }
    let Some(rest) = body.strip_suffix(MAGIC).filter(|rest| rest.starts_with(MAGIC)) else {
        return Err(wrong());
    };
    let (rest, length) = rest.split_last_chunk().ok_or_else(wrong)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let at = rest.len().checked_sub(length).filter(|&at| at >= MAGIC.len());
    at.and_then(|at| rest.split_at_checked(at)).ok_or(odd("its footer is longer than the file"))
}

fn encrypted() -> Odd {
    Odd::Unsupported("Parquet is encrypted".to_owned(), "write it without encryption")
}

fn group<'a>(
    list: &mut Reader<'a>,
    data: &'a [u8],
    budget: &mut Budget,
) -> Result<Vec<Chunk<'a>>, Odd> {
    let mut chunks = Vec::new();
    list.fields(|group, number, kind| {
        if (number, kind) != (1, Kind::List) {
            return Ok(false);
        }
        group.list(Kind::Struct, |list| {
            budget.take(ENTRY)?;
            chunks.push(chunk(list, data)?);
            Ok(())
        })?;
        Ok(true)
    })?;
    Ok(chunks)
}

fn chunk<'a>(list: &mut Reader<'a>, data: &'a [u8]) -> Result<Chunk<'a>, Odd> {
    let mut chunk = None;
    list.fields(|column, number, kind| {
        match (number, kind) {
            (1, Kind::Text) => {
                return Err(Odd::Unsupported(
                    "Parquet has columns in other files".to_owned(),
                    "write it as one file",
                ));
            }
            (3, Kind::Struct) => chunk = Some(pages(column, data)?),
            (8 | 9, _) => return Err(encrypted()),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    chunk.ok_or(odd("a column does not say where its pages are"))
}

fn pages<'a>(column: &mut Reader<'a>, data: &'a [u8]) -> Result<Chunk<'a>, Odd> {
    let mut chunk = Chunk { physical: -1, ..Chunk::default() };
    let (mut length, mut first, mut dictionary) = (0, None, None);
    column.fields(|column, number, kind| {
        match (number, kind) {
            (1, Kind::Integer) => chunk.physical = column.integer()?,
            (4, Kind::Integer) => chunk.codec = column.integer()?,
            (5, Kind::Integer) => chunk.values = column.count()?,
            (7, Kind::Integer) => length = column.count()?,
            (9, Kind::Integer) => first = Some(column.count()?),
            // Some write nought where there is none.
            (11, Kind::Integer) => dictionary = Some(column.count()?).filter(|&at| at > 0),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let first = first.ok_or(odd("a column does not say where its pages are"))?;
    let at = dictionary.map_or(first, |dictionary| dictionary.min(first));
    let end = at.checked_add(length);
    let bytes =
        end.and_then(|end| data.get(at..end)).ok_or(odd("a column lies outside the file"))?;
    chunk.bytes = bytes;
    Ok(chunk)
}

/// What pandas says of a frame's index, where this entry is it.
fn pandas_index(list: &mut Reader<'_>) -> Result<Option<Vec<String>>, Odd> {
    #[derive(Deserialize)]
    struct Pandas<'a> {
        #[serde(borrow, default)]
        index_columns: Vec<&'a RawValue>,
    }
    let (mut key, mut value) = ("", None);
    list.fields(|entry, number, kind| {
        match (number, kind) {
            (1, Kind::Text) => key = entry.text()?,
            (2, Kind::Text) => value = Some(entry.bytes()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let Some(value) = value.filter(|_| key == "pandas") else { return Ok(None) };
    let pandas: Pandas<'_> =
        serde_json::from_slice(value).map_err(|_| odd("what pandas says of it is no JSON"))?;
    // A range has no column of its own: it is an object.
    let named = pandas.index_columns.iter().filter_map(|it| serde_json::from_str(it.get()).ok());
    Ok(Some(named.collect()))
}
