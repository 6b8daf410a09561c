//! Sketches of what was answered since they were written down last, by the minute, and how many requests
//! failed. What shadows answered has sketches of its own.

use std::collections::HashMap;

use domain::{
    EndpointId, Tensor, TensorData, Timestamp, VersionId,
    capture::{How, Record},
};
use store::capture::{
    failures::{Failures, Kind},
    sketches::{Key, Part, Role, Sketch},
};

use crate::{
    Hashes,
    sketch::{Column, Numeric, Text},
    values::{layout, text},
};

/// A tensor of more values a row has one column for all of them.
const WIDEST: usize = 256;

const MINUTE: i64 = 60;

/// Windows of a minute, of one version behind one endpoint each, as a shadow or not.
#[derive(Default)]
pub(crate) struct Minutes {
    windows: HashMap<(EndpointId, VersionId, i64, bool), Window>,
    failures: HashMap<Kind, i64>,
}

#[derive(Default)]
struct Window {
    rows: u64,
    inputs: Vec<Columns>,
    outputs: Vec<Columns>,
}

/// The columns of a tensor.
struct Columns {
    name: String,
    shape: Shape,
    columns: Vec<Column>,
}

/// How a row of a tensor is told apart into columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// It is one value.
    One,
    /// Each value is a column.
    Each,
    /// All values are one column, since they are too many.
    Pooled,
}

impl Shape {
    const fn of(width: usize) -> Self {
        match width {
            1 => Self::One,
            2..=WIDEST => Self::Each,
            _ => Self::Pooled,
        }
    }
}

impl Minutes {
    /// Adds a request, without what its owner masks; one that failed to the counts alone.
    pub(crate) fn add(&mut self, record: &Record, hashes: &Hashes) {
        let (source, rows, shadow) = (&record.source, record.held(), record.shadow);
        let (endpoint, version) = (source.endpoint, source.version);
        let minute = minute(record);
        if let Some(code) = record.code {
            let (minute, code) = (beginning(minute), code.as_str().to_owned());
            let kind = Kind { endpoint, minute, version, shadow, code };
            *self.failures.entry(kind).or_default() += 1;
            return;
        }
        let window = self.windows.entry((endpoint, version, minute, shadow)).or_default();
        window.rows = window.rows.saturating_add(rows as u64);
        for (at, tensor) in record.inputs.iter().enumerate() {
            let mask = source.settings.mask(&tensor.name);
            // Who somebody is has no distribution that says anything.
            let is_subject = source.settings.subject.as_ref() == Some(&tensor.name);
            if mask != Some(How::Drop) && !is_subject {
                add(&mut window.inputs, at, tensor, rows, mask.map(|_| hashes));
            }
        }
        for (at, tensor) in record.outputs.iter().enumerate() {
            add(&mut window.outputs, at, tensor, rows, None);
        }
    }

    /// Takes all of it, to be written down.
    pub(crate) fn take(&mut self) -> Part {
        let mut sketches = Vec::new();
        for ((endpoint, version, minute, shadow), window) in std::mem::take(&mut self.windows) {
            let minute = beginning(minute);
            let rows = i64::try_from(window.rows).unwrap_or(i64::MAX);
            let roles = match shadow {
                false => [Role::Input, Role::Output],
                true => [Role::ShadowInput, Role::ShadowOutput],
            };
            for (role, tensors) in roles.into_iter().zip([&window.inputs, &window.outputs]) {
                for (name, column) in tensors.iter().flat_map(Columns::named) {
                    let key = Key { endpoint, minute, version, role, name };
                    sketches.push(Sketch { key, rows, bytes: column.encode() });
                }
            }
        }
        // Whoever writes takes them in the same order as others.
        sketches.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        let failures = std::mem::take(&mut self.failures).into_iter();
        let failures = failures.map(|(kind, requests)| Failures { kind, requests });
        let mut failures: Vec<_> = failures.collect();
        failures.sort_unstable_by(|one, other| one.kind.cmp(&other.kind));
        Part { sketches, failures }
    }
}

/// The minute that a record belongs to, since 1970.
pub(crate) fn minute(record: &Record) -> i64 {
    record.at.timestamp().div_euclid(MINUTE)
}

/// When a minute began.
fn beginning(minute: i64) -> Timestamp {
    Timestamp::from_timestamp(minute * MINUTE, 0).unwrap_or_default()
}

impl Columns {
    fn named(&self) -> impl Iterator<Item = (String, &Column)> {
        // Postgres takes no NUL.
        let name = self.name.replace('\0', "\u{fffd}");
        self.columns.iter().enumerate().map(move |(at, column)| {
            let name = match self.shape {
                Shape::One => name.clone(),
                Shape::Each => format!("{name}[{at}]"),
                Shape::Pooled => format!("{name}[*]"),
            };
            (name, column)
        })
    }
}

/// Adds a tensor to its columns, which are most often at the same place as last time.
fn add(all: &mut Vec<Columns>, at: usize, tensor: &Tensor, rows: usize, masked: Option<&Hashes>) {
    let (_, width) = layout(tensor, rows);
    if width == 0 {
        return;
    }
    let shape = Shape::of(width);
    let is_it = |columns: &Columns| columns.name == tensor.name && columns.shape == shape;
    let at = match all.get(at).filter(|columns| is_it(columns)) {
        Some(_) => at,
        None => all.iter().position(is_it).unwrap_or_else(|| {
            all.push(Columns { name: tensor.name.clone(), shape, columns: Vec::new() });
            all.len() - 1
        }),
    };
    let Some(Columns { columns, .. }) = all.get_mut(at) else { return };
    let is_text =
        masked.is_some() || matches!(tensor.data, TensorData::Bytes(_) | TensorData::Bool(_));
    let wanted = if shape == Shape::Pooled { 1 } else { width };
    if columns.len() < wanted {
        columns.resize_with(wanted, || {
            if is_text {
                Column::Text(Text::default())
            } else {
                Column::Numeric(Numeric::default())
            }
        });
    }
    fill(columns, &tensor.data, width, masked);
}

/// Adds each value to its column: of rows that are too wide, some values that lie equally far apart.
fn fill(columns: &mut [Column], data: &TensorData, width: usize, masked: Option<&Hashes>) {
    if let Some(hashes) = masked {
        let masked = |at: usize| text(data, at).map(|value| hashes.mask(&value));
        each(columns, width, 0..data.len(), |column, at| {
            if let (Column::Text(column), Some(masked)) = (column, masked(at)) {
                column.add(masked.as_bytes());
            }
        });
        return;
    }
    macro_rules! numbers {
        ($values:expr, $number:expr) => {
            each(columns, width, $values, |column, value| {
                if let Column::Numeric(column) = column {
                    column.add($number(value));
                }
            })
        };
    }
    match data {
        TensorData::Bytes(texts) => each(columns, width, texts, |column, value| {
            if let Column::Text(column) = column {
                column.add(value);
            }
        }),
        TensorData::Bool(values) => each(columns, width, values, |column, value| {
            if let Column::Text(column) = column {
                column.add(if *value { b"true" } else { b"false" });
            }
        }),
        TensorData::U8(values) => numbers!(values, |value: &u8| f64::from(*value)),
        TensorData::U16(values) => numbers!(values, |value: &u16| f64::from(*value)),
        TensorData::U32(values) => numbers!(values, |value: &u32| f64::from(*value)),
        TensorData::U64(values) => numbers!(values, |value: &u64| *value as f64),
        TensorData::I8(values) => numbers!(values, |value: &i8| f64::from(*value)),
        TensorData::I16(values) => numbers!(values, |value: &i16| f64::from(*value)),
        TensorData::I32(values) => numbers!(values, |value: &i32| f64::from(*value)),
        TensorData::I64(values) => numbers!(values, |value: &i64| *value as f64),
        TensorData::F16(values) => numbers!(values, |value: &half::f16| value.to_f64()),
        TensorData::BF16(values) => numbers!(values, |value: &half::bf16| value.to_f64()),
        TensorData::F32(values) => numbers!(values, |value: &f32| f64::from(*value)),
        TensorData::F64(values) => numbers!(values, |value: &f64| *value),
    }
}

fn each<T>(
    columns: &mut [Column],
    width: usize,
    values: impl IntoIterator<Item = T> + Clone,
    mut add: impl FnMut(&mut Column, T),
) {
    let (count, apart) = if width > WIDEST { (1, width.div_ceil(WIDEST)) } else { (width, width) };
    for (at, column) in columns.iter_mut().take(count).enumerate() {
        values.clone().into_iter().skip(at).step_by(apart).for_each(|value| add(column, value));
    }
}

#[cfg(test)]
mod tests {
    use auth::SecretKey;
    use domain::{
        ErrorCode,
        capture::{Mask, Settings},
    };

    use super::*;
    use crate::testing;

    fn hashes() -> Hashes {
        Hashes::new(SecretKey::new("k".repeat(32).into()).unwrap())
    }

    fn taken(minutes: &mut Minutes) -> HashMap<(Role, String), Column> {
        let sketches = minutes.take().sketches.into_iter();
        sketches
            .map(|it| ((it.key.role, it.key.name), Column::decode(&it.bytes).unwrap()))
            .collect()
    }

    fn texts(name: &str, texts: &[&str]) -> Tensor {
        let data = TensorData::Bytes(texts.iter().map(|text| text.as_bytes().to_vec()).collect());
        Tensor::new(name, vec![texts.len(), 1], data).unwrap()
    }

    #[test]
    fn rows_become_columns_by_the_minute() {
        let source = testing::source(Settings::default());
        let mut minutes = Minutes::default();
        for at in 0..3 {
            let inputs = vec![
                Tensor::new("x", vec![2, 2], TensorData::F32(vec![1.0, 10.0, 3.0, f32::NAN]))
                    .unwrap(),
                texts("color", &["red", ""]),
                Tensor::new("n", vec![2], TensorData::I64(vec![4, 6])).unwrap(),
                Tensor::new("wide", vec![2, 600], TensorData::U8(vec![7; 1200])).unwrap(),
                Tensor::new("none", vec![2, 0], TensorData::U8(vec![])).unwrap(),
            ];
            let outputs =
                vec![Tensor::new("y", vec![2], TensorData::Bool(vec![true, false])).unwrap()];
            let mut record = testing::record_of(&source, "i", inputs, outputs);
            // The third one is of the next minute.
            record.at += chrono::TimeDelta::seconds(40 * at);
            minutes.add(&record, &hashes());
        }
        let sketches = minutes.take().sketches;
        assert_eq!(sketches.len(), 2 * 6, "{sketches:?}");
        assert_eq!(sketches.iter().filter(|it| it.rows == 4).count(), 6);
        assert_eq!(minutes.take(), Part::default());
        let column = |name: &str| {
            let found = sketches.iter().find(|it| it.key.name == name && it.rows == 4).unwrap();
            Column::decode(&found.bytes).unwrap()
        };
        let Column::Numeric(x) = column("x[0]") else { unreachable!() };
        assert_eq!((x.count, x.missing, x.mean(), x.range()), (4, 0, Some(2.0), Some((1.0, 3.0))));
        let Column::Numeric(x) = column("x[1]") else { unreachable!() };
        assert_eq!((x.count, x.missing), (2, 2));
        let Column::Text(color) = column("color") else { unreachable!() };
        assert_eq!((color.missing, color.frequent(9)), (2, vec![("red".to_owned(), 2)]));
        let Column::Numeric(n) = column("n") else { unreachable!() };
        assert_eq!(n.quantile(0.5), Some(4.0));
        let Column::Numeric(wide) = column("wide[*]") else { unreachable!() };
        assert_eq!(wide.count, 4 * 200);
        let Column::Text(y) = column("y") else { unreachable!() };
        assert_eq!(y.frequent(9), [("false".to_owned(), 2), ("true".to_owned(), 2)]);
    }

    #[test]
    fn shadows_and_failures_are_not_among_what_was_answered() {
        let source = testing::source(Settings::default());
        let record = |shadow, code| {
            let (inputs, outputs) = (vec![testing::row("x", &[1.0])], vec![]);
            Record { shadow, code, ..testing::record_of(&source, "i", inputs, outputs) }
        };
        let mut minutes = Minutes::default();
        let (invalid, late) = (Some(ErrorCode::Invalid), Some(ErrorCode::Timeout));
        for (shadow, code) in [
            (false, None),
            (true, None),
            (true, None),
            (false, invalid),
            (false, invalid),
            (false, late),
            (true, invalid),
        ] {
            minutes.add(&record(shadow, code), &hashes());
        }
        let Part { sketches, failures } = minutes.take();
        let rows: Vec<_> = sketches.iter().map(|it| (it.key.role, it.rows)).collect();
        assert_eq!(rows, [(Role::Input, 1), (Role::ShadowInput, 2)]);
        let failures: Vec<_> = failures
            .iter()
            .map(|it| (it.kind.shadow, it.kind.code.as_str(), it.requests))
            .collect();
        assert_eq!(failures, [(false, "invalid", 2), (false, "timeout", 1), (true, "invalid", 1)]);
    }

    #[test]
    fn what_is_masked_is_not_in_any_sketch() {
        let mask = |input: &str, how| Mask { input: input.to_owned(), how };
        let masks = vec![mask("name", How::Drop), mask("city", How::Hash)];
        let settings =
            Settings { masks, subject: Some("customer".to_owned()), ..Settings::default() };
        let source = testing::source(settings);
        let inputs = vec![
            texts("name", &["Ana Silva"]),
            texts("city", &["Lisboa"]),
            texts("customer", &["c-4711"]),
            texts("color", &["red"]),
        ];
        let mut minutes = Minutes::default();
        minutes.add(&testing::record_of(&source, "i", inputs, vec![]), &hashes());
        let columns = taken(&mut minutes);
        let mut names: Vec<_> = columns.keys().map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["city", "color"]);
        let Column::Text(city) = &columns[&(Role::Input, "city".to_owned())] else {
            unreachable!()
        };
        assert_eq!(city.frequent(9), [(hashes().mask("Lisboa"), 1)]);
    }
}
