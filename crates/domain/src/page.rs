//! Lists are paged by key, never by offset.

use std::str::FromStr;

use crate::Problem;

/// How many items a page holds: 1 to 1000, 100 unless asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// The limit asked for, or the default.
    ///
    /// # Errors
    /// Outside 1 to 1000.
    pub fn new(asked: Option<u32>) -> Result<Self, Problem> {
        match asked {
            None => Ok(Self(100)),
            Some(n @ 1..=1000) => Ok(Self(u16::try_from(n).unwrap_or(1000))),
            Some(n) => Err(Problem::invalid("limit", format!("limit is {n}: expected 1 to 1000"))),
        }
    }

    /// The number of items.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0 as i64
    }
}

/// Where the next page begins: the key of the last item seen, in hex so that callers leave it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor behind the item with this key.
    #[must_use]
    pub fn after(key: &str) -> Self {
        Self(key.to_owned())
    }

    /// Reads what an earlier page gave.
    ///
    /// # Errors
    /// What no page gave.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        hex::decode(value)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Self)
            .ok_or_else(|| {
                Problem::invalid("cursor", "the cursor is not one that we gave")
                    .hint("use `next_cursor` of the page before")
            })
    }

    /// The key of the last item seen.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0
    }

    /// That key as what a list is ordered by.
    ///
    /// # Errors
    /// It is none: the cursor was given by another list.
    pub fn key_as<T: FromStr>(&self) -> Result<T, Problem> {
        self.0.parse().map_err(|_| Self::foreign())
    }

    /// That key as the two that a list is ordered by, with `/` between them.
    ///
    /// # Errors
    /// It is not two: the cursor was given by another list.
    pub fn key_as_pair(&self) -> Result<(&str, &str), Problem> {
        self.0.split_once('/').ok_or_else(Self::foreign)
    }

    fn foreign() -> Problem {
        Problem::invalid("cursor", "the cursor is not of this list")
    }

    /// As callers see it.
    #[must_use]
    pub fn encode(&self) -> String {
        hex::encode(&self.0)
    }
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of rows that were asked for with `limit + 1`: the extra one says that more follow.
    #[must_use]
    pub fn from_rows(mut rows: Vec<T>, limit: Limit, key: impl Fn(&T) -> String) -> Self {
        let size = usize::from(limit.0);
        let more = rows.len() > size;
        rows.truncate(size);
        let next = if more { rows.last().map(|row| Cursor::after(&key(row))) } else { None };
        Self { items: rows, next }
    }

    /// The same page of other items.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}
