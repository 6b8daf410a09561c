//! Records as a table, with masks applied: nothing that is masked gets past here.

use domain::{
    DataType, Tensor, TensorData,
    capture::{How, Record},
};
use parquet::data_type::ByteArray;

use super::{
    AT, CALLER, CODE, Cells, Column, ID, INPUT, LATENCY, OK, OUTPUT, PROTOCOL, RELEASE, ROW,
    SHADOW, SUBJECT, Table,
};
use crate::{Hashes, values::text};

impl Table {
    /// The rows of records of one version and the same settings.
    pub(crate) fn of(records: &[Record], hashes: &Hashes) -> Self {
        let mut columns = context(records);
        let settings = records.first().map(|record| &record.source.settings);
        if let Some(subject) = settings.and_then(|settings| settings.subject.as_ref()) {
            let cells = Cells::Long(subjects(records, subject, hashes));
            columns.push(Column { name: SUBJECT.to_owned(), cells, lengths: None });
        }
        for name in names(records, inputs) {
            let mask = settings.and_then(|settings| settings.mask(name));
            if mask != Some(How::Drop) {
                let masked = mask.map(|_| hashes);
                columns.push(tensor(INPUT, name, records, inputs, masked));
            }
        }
        for name in names(records, outputs) {
            columns.push(tensor(OUTPUT, name, records, outputs, None));
        }
        Self { columns, rows: records.iter().map(|record| record.held()).sum() }
    }
}

/// What the rows are, besides their values.
fn context(records: &[Record]) -> Vec<Column> {
    fn each<T: Clone>(records: &[Record], of: impl Fn(&Record) -> T) -> Vec<T> {
        let rows = |record: &Record| std::iter::repeat_n(of(record), record.held());
        records.iter().flat_map(rows).collect()
    }
    let texts = |of: &dyn Fn(&Record) -> String| {
        Cells::Text(each(records, |record| ByteArray::from(of(record).into_bytes())))
    };
    let rows = records.iter().flat_map(|record| 0..record.held());
    let rows = rows.map(|row| i32::try_from(row).unwrap_or(i32::MAX)).collect();
    let took = |record: &Record| i64::try_from(record.took.as_micros()).unwrap_or(i64::MAX);
    [
        (ID, texts(&|record| record.id.to_string())),
        (ROW, Cells::Int(rows)),
        (AT, Cells::Time(each(records, |record| record.at.timestamp_micros()))),
        (RELEASE, Cells::Int(each(records, |record| record.source.release))),
        (CALLER, texts(&|record| record.caller.to_string())),
        (PROTOCOL, texts(&|record| record.protocol.to_string())),
        (SHADOW, Cells::Bool(each(records, |record| record.shadow))),
        (CODE, texts(&|record| code(record).to_owned())),
        (LATENCY, Cells::Long(each(records, took))),
    ]
    .map(|(name, cells)| Column { name: name.to_owned(), cells, lengths: None })
    .into()
}

fn code(record: &Record) -> &'static str {
    record.code.map_or(OK, domain::ErrorCode::as_str)
}

fn inputs(record: &Record) -> &[Tensor] {
    &record.inputs
}

fn outputs(record: &Record) -> &[Tensor] {
    &record.outputs
}

fn find<'a>(tensors: &'a [Tensor], name: &str) -> Option<&'a Tensor> {
    tensors.iter().find(|tensor| tensor.name == name)
}

/// The names of all tensors, in the order in which they come first.
fn names(records: &[Record], of: fn(&Record) -> &[Tensor]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for tensor in records.iter().flat_map(of) {
        if !names.contains(&tensor.name.as_str()) {
            names.push(&tensor.name);
        }
    }
    names
}

/// Whom each row is about; nought where it does not say.
fn subjects(records: &[Record], input: &str, hashes: &Hashes) -> Vec<i64> {
    let of = |record: &Record, row: usize| {
        let tensor = find(&record.inputs, input)?;
        let width = tensor.width(record.held())?;
        text(&tensor.data, row * width).map(|value| hashes.subject(&value))
    };
    let rows = |record: &Record| -> Vec<i64> {
        (0..record.held()).map(|row| of(record, row).unwrap_or_default()).collect()
    };
    records.iter().flat_map(rows).collect()
}

/// The column of a tensor: a list where a row has other than one value.
fn tensor(
    prefix: &str,
    name: &str,
    records: &[Record],
    tensors: fn(&Record) -> &[Tensor],
    masked: Option<&Hashes>,
) -> Column {
    let kind = records.iter().find_map(|record| find(tensors(record), name)).map(Tensor::datatype);
    let mut cells = match (kind, masked) {
        (_, Some(_)) | (None | Some(DataType::Bytes), None) => Cells::Text(Vec::new()),
        (Some(kind), None) => empty(kind),
    };
    let mut lengths = Vec::new();
    for record in records {
        let rows = record.held();
        let Some(tensor) =
            find(tensors(record), name).filter(|tensor| Some(tensor.datatype()) == kind)
        else {
            lengths.extend(std::iter::repeat_n(0, rows));
            continue;
        };
        match masked {
            Some(hashes) => mask(&mut cells, &tensor.data, hashes),
            None => extend(&mut cells, &tensor.data),
        }
        match tensor.width(rows) {
            Some(width) => lengths.extend(std::iter::repeat_n(width, rows)),
            // It belongs to the request as a whole, which its first row stands for.
            None => {
                let whole = std::iter::once(tensor.data.len());
                lengths.extend(whole.chain(std::iter::repeat(0)).take(rows));
            }
        }
    }
    let is_list = lengths.iter().any(|length| *length != 1);
    let lengths = is_list.then_some(lengths);
    Column { name: format!("{prefix}{name}"), cells, lengths }
}

fn empty(kind: DataType) -> Cells {
    match kind {
        DataType::Bool => Cells::Bool(Vec::new()),
        DataType::U8 | DataType::U16 | DataType::I8 | DataType::I16 | DataType::I32 => {
            Cells::Int(Vec::new())
        }
        DataType::U32 | DataType::I64 => Cells::Long(Vec::new()),
        DataType::U64 => Cells::Unsigned(Vec::new()),
        DataType::F16 | DataType::BF16 | DataType::F32 => Cells::Float(Vec::new()),
        DataType::F64 => Cells::Double(Vec::new()),
        DataType::Bytes => Cells::Text(Vec::new()),
    }
}

fn mask(cells: &mut Cells, data: &TensorData, hashes: &Hashes) {
    if let Cells::Text(out) = cells {
        let values = (0..data.len()).map(|at| text(data, at).unwrap_or_default());
        out.extend(values.map(|value| ByteArray::from(hashes.mask(&value).into_bytes())));
    }
}

/// Adds values; the cells were made for their kind.
fn extend(cells: &mut Cells, data: &TensorData) {
    match (cells, data) {
        (Cells::Bool(out), TensorData::Bool(values)) => out.extend(values),
        (Cells::Int(out), TensorData::U8(values)) => {
            out.extend(values.iter().map(|it| i32::from(*it)))
        }
        (Cells::Int(out), TensorData::U16(values)) => {
            out.extend(values.iter().map(|it| i32::from(*it)))
        }
        (Cells::Int(out), TensorData::I8(values)) => {
            out.extend(values.iter().map(|it| i32::from(*it)))
        }
        (Cells::Int(out), TensorData::I16(values)) => {
            out.extend(values.iter().map(|it| i32::from(*it)))
        }
        (Cells::Int(out), TensorData::I32(values)) => out.extend(values),
        (Cells::Long(out), TensorData::U32(values)) => {
            out.extend(values.iter().map(|it| i64::from(*it)))
        }
        (Cells::Long(out), TensorData::I64(values)) => out.extend(values),
        (Cells::Unsigned(out), TensorData::U64(values)) => {
            out.extend(values.iter().map(|it| it.cast_signed()));
        }
        (Cells::Float(out), TensorData::F16(values)) => {
            out.extend(values.iter().map(|it| it.to_f32()))
        }
        (Cells::Float(out), TensorData::BF16(values)) => {
            out.extend(values.iter().map(|it| it.to_f32()))
        }
        (Cells::Float(out), TensorData::F32(values)) => out.extend(values),
        (Cells::Double(out), TensorData::F64(values)) => out.extend(values),
        (Cells::Text(out), TensorData::Bytes(values)) => {
            // The column says that it is text.
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned().into_bytes();
            out.extend(values.iter().map(|it| ByteArray::from(text(it))));
        }
        _ => tracing::error!("a tensor does not fit the column that was made for it"),
    }
}

#[cfg(test)]
mod tests {
    use auth::SecretKey;
    use domain::capture::{Mask, Settings};
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn texts(name: &str, texts: &[&str]) -> Tensor {
        let data = TensorData::Bytes(texts.iter().map(|text| text.as_bytes().to_vec()).collect());
        Tensor::new(name, vec![texts.len(), 1], data).unwrap()
    }

    #[test]
    fn rows_are_what_was_sent_but_for_what_is_masked() {
        let hashes = Hashes::new(SecretKey::new("k".repeat(32).into()).unwrap());
        let mask = |input: &str, how| Mask { input: input.to_owned(), how };
        let masks = vec![mask("name", How::Drop), mask("city", How::Hash), mask("age", How::Hash)];
        let settings = Settings { masks, subject: Some("name".to_owned()), ..Settings::default() };
        let source = testing::source(settings);
        let inputs = || {
            vec![
                Tensor::new("x", vec![2, 2], TensorData::F32(vec![1.5, 10.0, f32::NAN, -2.0]))
                    .unwrap(),
                texts("name", &["Ana Silva", "Bob Stone"]),
                texts("city", &["Lisboa", "Lisboa"]),
                Tensor::new("age", vec![2], TensorData::U8(vec![33, 44])).unwrap(),
                Tensor::new("big", vec![2], TensorData::U64(vec![u64::MAX, 1])).unwrap(),
            ]
        };
        let outputs = || {
            vec![
                Tensor::new("label", vec![2], TensorData::I64(vec![1, 0])).unwrap(),
                Tensor::new("whole", vec![3], TensorData::F64(vec![0.1, 0.2, 0.3])).unwrap(),
            ]
        };
        let records: Vec<_> = ["i1", "i2"]
            .iter()
            .map(|id| testing::record_of(&source, id, inputs(), outputs()))
            .collect();
        let table = Table::of(&records, &hashes);
        let bytes = table.write().unwrap();
        for secret in ["Ana", "Silva", "Bob", "Lisboa"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in the file");
        }
        let read = Table::read(bytes.into()).unwrap();
        assert_eq!(read.columns.len(), table.columns.len());
        let rows = read.json(&[(INPUT, "inputs"), (OUTPUT, "outputs")]);
        assert_eq!(rows.len(), 4);
        assert_eq!(
            json!(rows[0]),
            json!({
                "inference_id": "i1", "row": 0, "at": "2027-01-15T08:00:00.123Z", "release": 2, "caller": "user:ana",
                "protocol": "v2", "shadow": false, "code": "ok", "latency_us": 250, "subject_hash": hashes.subject("Ana Silva"),
                "inputs": {
                    "x": [1.5, 10.0], "city": hashes.mask("Lisboa"), "age": hashes.mask("33"), "big": u64::MAX,
                },
                "outputs": {"label": 1, "whole": [0.1, 0.2, 0.3]},
            })
        );
        assert_eq!(rows[3]["inputs"]["x"], json!([null, -2.0]));
        assert_eq!(rows[3]["outputs"], json!({"label": 0, "whole": []}));
        let place = (source.endpoint, source.version);
        let segment = read.describe(place, (domain::Digest::of(b""), 9), &hashes);
        assert_eq!((segment.rows, segment.ids.len(), segment.subjects.len()), (4, 2, 2));
        assert!(segment.subjects.contains(&hashes.subject("Bob Stone")));
    }
}
