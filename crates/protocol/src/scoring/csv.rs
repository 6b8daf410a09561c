//! CSV with a header.

use csv::{ReaderBuilder, StringRecord};
use domain::{ErrorCode, Problem, Signature, Tensor};

use crate::{json::data::Dialect, table::Frame};

/// The tensors of a table; the first line names its columns.
pub(super) fn tensors(body: &[u8], signature: &Signature) -> Result<Vec<Tensor>, Problem> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(body);
    let wrong = |error: csv::Error| {
        Problem::new(ErrorCode::Invalid, format!("the body is no CSV in UTF-8: {error}"))
    };
    let header = reader.headers().map_err(wrong)?.clone();
    let records: Vec<StringRecord> = reader.records().collect::<Result<_, _>>().map_err(wrong)?;
    let columns = header.iter().map(Into::into).collect();
    let rows = records.iter().map(|record| record.iter().collect()).collect();
    let frame = Frame { columns, rows, dialect: Dialect::Cells };
    frame.tensors(signature, |row, column| {
        let name = header.get(column).unwrap_or_default();
        format!("row {}, column `{name}`", row + 1)
    })
}
