//! Rows in memory, by columns.

use std::borrow::Cow;

use parquet::data_type::ByteArray;
use serde_json::{Map, Value, json};

/// The values of a column, one behind the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cells {
    Bool(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    /// The same 64 bits without a sign.
    Unsigned(Vec<i64>),
    /// Microseconds since 1970, in UTC.
    Time(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(Vec<ByteArray>),
}

/// Runs the same expression over whichever vector there is.
macro_rules! with_cells {
    ($cells:expr, $values:ident => $body:expr) => {
        match $cells {
            Cells::Bool($values) => $body,
            Cells::Int($values) => $body,
            Cells::Long($values) | Cells::Unsigned($values) | Cells::Time($values) => $body,
            Cells::Float($values) => $body,
            Cells::Double($values) => $body,
            Cells::Text($values) => $body,
        }
    };
}

impl Cells {
    fn json(&self, at: usize) -> Value {
        match self {
            Self::Bool(values) => json!(values.get(at)),
            Self::Int(values) => json!(values.get(at)),
            Self::Long(values) => json!(values.get(at)),
            Self::Unsigned(values) => json!(values.get(at).map(|value| value.cast_unsigned())),
            Self::Time(values) => {
                let micros = values.get(at).copied().unwrap_or_default();
                json!(domain::Timestamp::from_timestamp_micros(micros))
            }
            // JSON has no NaN: it is null, as for the callers of V2.
            Self::Float(values) => json!(values.get(at)),
            Self::Double(values) => json!(values.get(at)),
            Self::Text(values) => json!(values.get(at).map(text)),
        }
    }
}

fn text(value: &ByteArray) -> Cow<'_, str> {
    String::from_utf8_lossy(value.data())
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) cells: Cells,
    /// How many values each row has; absent where each has one.
    pub(crate) lengths: Option<Vec<usize>>,
}

/// Rows of equal columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: usize,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(crate) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let Cells::Text(values) = &self.column(name)?.cells else { return None };
        Some(values.iter().map(|it| text(it).into_owned()).collect())
    }

    pub(crate) fn bools(&self, name: &str) -> Option<&[bool]> {
        let Cells::Bool(values) = &self.column(name)?.cells else { return None };
        Some(values)
    }

    pub(crate) fn longs(&self, name: &str) -> Option<&[i64]> {
        let Cells::Long(values) = &self.column(name)?.cells else { return None };
        Some(values)
    }

    pub(crate) fn times(&self, name: &str) -> Option<&[i64]> {
        let Cells::Time(values) = &self.column(name)?.cells else { return None };
        Some(values)
    }

    /// Keeps the rows whose place says so.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        for column in &mut self.columns {
            let of_row = |row: usize| keep.get(row).copied().unwrap_or(false);
            match &mut column.lengths {
                None => with_cells!(&mut column.cells, values => retain(values, of_row)),
                Some(lengths) => {
                    let each: Vec<bool> = lengths
                        .iter()
                        .enumerate()
                        .flat_map(|(row, length)| std::iter::repeat_n(of_row(row), *length))
                        .collect();
                    let of_value = |at: usize| each.get(at).copied().unwrap_or(false);
                    with_cells!(&mut column.cells, values => retain(values, of_value));
                    retain(lengths, of_row);
                }
            }
        }
        self.rows = keep.iter().take(self.rows).filter(|keep| **keep).count();
    }

    /// Each row as an object: columns by name, those behind a prefix in an object of their own.
    pub(crate) fn json(&self, groups: &[(&str, &str)]) -> Vec<Map<String, Value>> {
        let mut rows = vec![Map::new(); self.rows];
        for (_, group) in groups {
            for row in &mut rows {
                row.insert((*group).to_owned(), json!({}));
            }
        }
        for column in &self.columns {
            let group = groups.iter().find(|(prefix, _)| column.name.starts_with(prefix));
            let mut from = 0;
            for (at, row) in rows.iter_mut().enumerate() {
                let value = match column.lengths.as_ref().map(|lengths| lengths.get(at)) {
                    None => column.cells.json(at),
                    Some(length) => {
                        let upto = from + length.copied().unwrap_or_default();
                        let list = (from..upto).map(|at| column.cells.json(at)).collect();
                        from = upto;
                        Value::Array(list)
                    }
                };
                match group {
                    None => drop(row.insert(column.name.clone(), value)),
                    Some((prefix, group)) => {
                        let name = column.name.strip_prefix(prefix).unwrap_or_default();
                        if let Some(Value::Object(fields)) = row.get_mut(*group) {
                            fields.insert(name.to_owned(), value);
                        }
                    }
                }
            }
        }
        rows
    }
}

fn retain<T>(values: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut at = 0;
    values.retain(|_| {
        at += 1;
        keep(at - 1)
    });
}
