//! Tables as Parquet, and back.

use std::sync::Arc;

use bytes::Bytes;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type},
    errors::{ParquetError, Result},
    file::{
        properties::WriterProperties,
        reader::{FileReader as _, SerializedFileReader},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{ColumnDescriptor, Type},
};

use super::table::{Cells, Column, Table};

/// Rows that are read at a time.
const AT_ONCE: usize = 4_096;

impl Table {
    /// As a file.
    pub(crate) fn write(&self) -> Result<Vec<u8>> {
        let fields = self.columns.iter().map(Column::schema).collect::<Result<_>>()?;
        let schema = Type::group_type_builder("captured").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_created_by(concat!("bottega ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let mut writer =
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        let mut rows = writer.next_row_group()?;
        let mut columns = self.columns.iter();
        while let Some(mut out) = rows.next_column()? {
            let Some(column) = columns.next() else { return Err(odd("more columns than it has")) };
            column.write(&mut out)?;
            out.close()?;
        }
        rows.close()?;
        writer.into_inner()
    }

    /// Reads what [`Table::write`] wrote.
    pub(crate) fn read(bytes: Bytes) -> Result<Self> {
        let file = SerializedFileReader::new(bytes)?;
        let mut table = Self::default();
        for at in 0..file.num_row_groups() {
            if at > 0 {
                return Err(odd("more than one group of rows"));
            }
            let group = file.get_row_group(at)?;
            let rows = group.metadata().num_rows();
            table.rows = usize::try_from(rows).map_err(|_| odd("a number of rows below nought"))?;
            for at in 0..group.num_columns() {
                let schema = group.metadata().column(at).column_descr();
                table.columns.push(read(schema, group.get_column_reader(at)?, table.rows)?);
            }
        }
        Ok(table)
    }
}

fn odd(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

impl Column {
    fn schema(&self) -> Result<Arc<Type>> {
        let (physical, logical) = match &self.cells {
            Cells::Bool(_) => (Physical::BOOLEAN, None),
            Cells::Int(_) => (Physical::INT32, None),
            Cells::Long(_) => (Physical::INT64, None),
            Cells::Unsigned(_) => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Cells::Time(_) => {
                (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
            }
            Cells::Float(_) => (Physical::FLOAT, None),
            Cells::Double(_) => (Physical::DOUBLE, None),
            Cells::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let name = if self.lengths.is_some() { "element" } else { self.name.as_str() };
        let value = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(logical)
            .build()?;
        if self.lengths.is_none() {
            return Ok(Arc::new(value));
        }
        let list = Type::group_type_builder("list")
            .with_repetition(Repetition::REPEATED)
            .with_fields(vec![Arc::new(value)])
            .build()?;
        let column = Type::group_type_builder(&self.name)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::List))
            .with_fields(vec![Arc::new(list)])
            .build()?;
        Ok(Arc::new(column))
    }

    fn write(&self, out: &mut SerializedColumnWriter<'_>) -> Result<()> {
        let levels = self.lengths.as_deref().map(levels).unzip();
        let (there, again) = (levels.0.as_deref(), levels.1.as_deref());
        match &self.cells {
            Cells::Bool(values) => out.typed::<BoolType>().write_batch(values, there, again),
            Cells::Int(values) => out.typed::<Int32Type>().write_batch(values, there, again),
            Cells::Long(values) | Cells::Unsigned(values) | Cells::Time(values) => {
                out.typed::<Int64Type>().write_batch(values, there, again)
            }
            Cells::Float(values) => out.typed::<FloatType>().write_batch(values, there, again),
            Cells::Double(values) => out.typed::<DoubleType>().write_batch(values, there, again),
            Cells::Text(values) => out.typed::<ByteArrayType>().write_batch(values, there, again),
        }?;
        Ok(())
    }
}

/// Dremel's levels of lists of these lengths: whether there is a value, and whether it is one more of
/// the same row.
fn levels(lengths: &[usize]) -> (Vec<i16>, Vec<i16>) {
    let mut there = Vec::new();
    let mut again = Vec::new();
    for length in lengths {
        there.push(i16::from(*length > 0));
        again.push(0);
        there.extend(std::iter::repeat_n(1, length.saturating_sub(1)));
        again.extend(std::iter::repeat_n(1, length.saturating_sub(1)));
    }
    (there, again)
}

/// The lengths that made these levels.
fn lengths(there: &[i16], again: &[i16]) -> Vec<usize> {
    let mut lengths = Vec::new();
    for (there, again) in there.iter().zip(again) {
        if *again == 0 {
            lengths.push(0);
        }
        if let Some(last) = lengths.last_mut() {
            *last += usize::from(*there > 0);
        }
    }
    lengths
}

fn read(schema: &ColumnDescriptor, reader: ColumnReader, rows: usize) -> Result<Column> {
    let name = schema.path().parts().first().cloned().unwrap_or_default();
    let is_list = schema.max_rep_level() > 0;
    let (cells, lengths) = match reader {
        ColumnReader::BoolColumnReader(reader) => values(reader, is_list, rows, Cells::Bool),
        ColumnReader::Int32ColumnReader(reader) => values(reader, is_list, rows, Cells::Int),
        ColumnReader::Int64ColumnReader(reader) => {
            let kind = match schema.logical_type_ref() {
                None => Cells::Long,
                Some(LogicalType::Timestamp(_)) => Cells::Time,
                Some(_) => Cells::Unsigned,
            };
            values(reader, is_list, rows, kind)
        }
        ColumnReader::FloatColumnReader(reader) => values(reader, is_list, rows, Cells::Float),
        ColumnReader::DoubleColumnReader(reader) => values(reader, is_list, rows, Cells::Double),
        ColumnReader::ByteArrayColumnReader(reader) => values(reader, is_list, rows, Cells::Text),
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err(odd("a column of a kind that we do not write"))
        }
    }?;
    Ok(Column { name, cells, lengths })
}

fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    is_list: bool,
    rows: usize,
    cells: impl FnOnce(Vec<T::T>) -> Cells,
) -> Result<(Cells, Option<Vec<usize>>)> {
    let (mut values, mut there, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    loop {
        let levels = is_list.then_some((&mut there, &mut again)).unzip();
        let (records, _, _) = reader.read_records(AT_ONCE, levels.0, levels.1, &mut values)?;
        if records == 0 {
            break;
        }
        read += records;
    }
    if read != rows {
        return Err(odd("a column with another number of rows"));
    }
    Ok((cells(values), is_list.then(|| lengths(&there, &again))))
}

#[cfg(test)]
mod tests {
    use parquet::data_type::ByteArray;
    use proptest::prelude::*;

    use super::*;

    fn column(name: &str, cells: Cells, lengths: Option<Vec<usize>>) -> Column {
        Column { name: name.to_owned(), cells, lengths }
    }

    fn table(values: &[i64], lists: &[Vec<f32>]) -> Table {
        let texts = values.iter().map(|it| ByteArray::from(it.to_string().into_bytes())).collect();
        let each = |of: fn(i64) -> i64| values.iter().map(|it| of(*it)).collect::<Vec<_>>();
        let columns = vec![
            column("text", Cells::Text(texts), None),
            column("long", Cells::Long(values.to_vec()), None),
            column("unsigned", Cells::Unsigned(values.to_vec()), None),
            column("time", Cells::Time(each(|it| it / 4)), None),
            column("int", Cells::Int(values.iter().map(|it| *it as i32).collect()), None),
            column("bool", Cells::Bool(values.iter().map(|it| it % 2 == 0).collect()), None),
            column("double", Cells::Double(values.iter().map(|it| *it as f64).collect()), None),
            column(
                "list",
                Cells::Float(lists.concat()),
                Some(lists.iter().map(Vec::len).collect()),
            ),
        ];
        Table { columns, rows: values.len() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_written_is_read_and_rows_go_with_all_they_have(
            rows in prop::collection::vec((any::<i64>(), prop::collection::vec(-1e9..1e9_f32, 0..4), any::<bool>()), 1..300),
        ) {
            let split = |rows: &[(i64, Vec<f32>, bool)]| {
                let (values, lists): (Vec<_>, Vec<_>) =
                    rows.iter().map(|(value, list, _)| (*value, list.clone())).unzip();
                table(&values, &lists)
            };
            let whole = split(&rows);
            let mut read = Table::read(whole.write().unwrap().into()).unwrap();
            prop_assert_eq!(&read, &whole);
            let keep: Vec<bool> = rows.iter().map(|(_, _, keep)| *keep).collect();
            read.retain(&keep);
            let kept: Vec<_> = rows.into_iter().filter(|(_, _, keep)| *keep).collect();
            prop_assert_eq!(read, split(&kept));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Table::read(bytes.into());
        }
    }
}
