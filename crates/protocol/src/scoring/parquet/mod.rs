//! Parquet: a table by columns, packed.
//!
//! A file may lie about every size in it, and a library for files of one's own sets aside what they say.
//! So it is read here, in the part of the format that pandas, Spark and others write unless they are told
//! otherwise: truth values, integers, floats and texts, missing ones, lists of them, plain or by a
//! dictionary. Nothing is set aside before the bytes for it are there, and all that becomes of the file
//! counts against one limit.

mod column;
mod footer;
mod levels;
mod page;
mod schema;
mod thrift;
mod value;

use std::borrow::Cow;

use domain::{ErrorCode, Problem, Signature, Tensor};

use self::{footer::Footer, page::Page};
use crate::{json::data::Dialect, table::Frame};

/// The tensors of a file's columns. What becomes of the file has no more than so many bytes.
pub(super) fn tensors(
    body: &[u8],
    signature: &Signature,
    limit: usize,
) -> Result<Vec<Tensor>, Problem> {
    let refused = |odd: Odd| odd.problem(limit);
    let mut budget = Budget(limit);
    let footer = Footer::read(body, &mut budget).map_err(refused)?;
    let wanted = footer.columns.iter().enumerate().filter(|(_, column)| footer.is_wanted(column));
    let mut read = Vec::new();
    for (at, column) in wanted {
        let chunks = footer.groups.iter().filter_map(|group| group.get(at));
        let pages = chunks.map(|chunk| page::read(chunk, column, &mut budget));
        read.push((column, pages.collect::<Result<Vec<Vec<Page<'_>>>, Odd>>().map_err(refused)?));
    }
    let values = read.iter().map(|(column, groups)| column::rows(column, groups, &mut budget));
    let values: Vec<Vec<_>> = values.collect::<Result<_, Odd>>().map_err(refused)?;
    let count = values.first().map_or(0, Vec::len);
    if values.iter().any(|column| column.len() != count) {
        return Err(refused(odd("its columns differ in length")));
    }
    let names: Vec<&str> = read.iter().map(|(column, _)| column.name).collect();
    let row = |at: usize| values.iter().filter_map(|column| column.get(at)).collect();
    let frame = Frame {
        columns: names.iter().map(|&name| Cow::Borrowed(name)).collect(),
        rows: (0..count).map(row).collect(),
        dialect: Dialect::Typed,
    };
    frame.tensors(signature, |row, column| {
        format!("row {}, column `{}`", row + 1, names.get(column).unwrap_or(&""))
    })
}

/// What a file may still become, in bytes.
pub(super) struct Budget(usize);

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), Odd> {
        self.0 = self.0.checked_sub(bytes).ok_or(Odd::TooLarge)?;
        Ok(())
    }
}

/// Why a file is not taken.
#[derive(Debug)]
pub(super) enum Odd {
    /// It is no Parquet, or broken.
    Wrong(&'static str),
    /// It is Parquet of a kind that is not read: what it has, and what to write instead.
    Unsupported(String, &'static str),
    /// It becomes too large.
    TooLarge,
}

const fn odd(what: &'static str) -> Odd {
    Odd::Wrong(what)
}

impl Odd {
    fn problem(self, limit: usize) -> Problem {
        match self {
            Self::Wrong(what) => {
                Problem::new(ErrorCode::Invalid, format!("the body is no Parquet: {what}"))
            }
            Self::Unsupported(what, instead) => {
                Problem::new(ErrorCode::Invalid, format!("the body's {what}")).hint(instead)
            }
            Self::TooLarge => {
                let message =
                    format!("the body becomes more than {limit} bytes when it is unpacked");
                Problem::new(ErrorCode::TooLarge, message).hint("send fewer rows at a time")
            }
        }
    }
}
