//! A request's body, to tensors.

use std::borrow::Cow;

use domain::{ErrorCode, Problem, Signature, Tensor};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Format, Layout, ScoringRequest, csv, parquet};
use crate::{
    json::{data::Dialect, explain::explain},
    table::{Frame, Row, inputs, instances, params},
};

/// Reads the body of a scoring request. What it becomes when it is unpacked has `limit` bytes at most.
///
/// # Errors
/// A body that is no such request, becomes too large, or does not fit the signature.
pub fn decode(
    format: Format,
    body: &[u8],
    signature: &Signature,
    limit: usize,
) -> Result<ScoringRequest, Problem> {
    let (inputs, layout) = match format {
        Format::Csv => (csv::tensors(body, signature)?, Layout::Records),
        Format::Parquet => (parquet::tensors(body, signature, limit)?, Layout::Records),
        Format::Json => json(body, signature)?,
    };
    signature.check(&inputs)?;
    Ok(ScoringRequest { inputs, layout })
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `inputs`, `instances`, `dataframe_split` or `dataframe_records`"
)]
struct Wire<'a> {
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
    #[serde(borrow)]
    instances: Option<&'a RawValue>,
    #[serde(borrow)]
    dataframe_split: Option<Split<'a>>,
    #[serde(borrow)]
    dataframe_records: Option<Vec<Row<'a>>>,
    #[serde(borrow)]
    params: Option<Row<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `columns` and `data`")]
struct Split<'a> {
    #[serde(borrow)]
    columns: Option<Vec<ColumnName<'a>>>,
    /// pandas' names for rows: no value depends on them.
    #[serde(rename = "index")]
    _index: Option<Vec<Value>>,
    #[serde(borrow)]
    data: Vec<Vec<&'a RawValue>>,
}

/// pandas numbers columns that nobody named.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a name or a number")]
enum ColumnName<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Number(i64),
}

fn json(body: &[u8], signature: &Signature) -> Result<(Vec<Tensor>, Layout), Problem> {
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new(ErrorCode::Invalid, "the body is a list: expected an object")
            .hint(EXPECTED));
    }
    let wire: Wire<'_> =
        serde_json::from_slice(body).map_err(|error| explain::<Wire<'_>>(&error, body))?;
    let params = wire.params.map(|given| params(&given, &signature.params)).transpose()?;
    let (mut tensors, layout) =
        match (wire.inputs, wire.instances, wire.dataframe_split, wire.dataframe_records) {
            (Some(it), None, None, None) => {
                (inputs(it, signature, Dialect::DataFrame)?, Layout::Tensors)
            }
            (None, Some(it), None, None) => {
                (instances(it, signature, Dialect::DataFrame)?, Layout::Tensors)
            }
            (None, None, Some(it), None) => (split(it, signature)?, Layout::Records),
            (None, None, None, Some(it)) => (records(&it, signature)?, Layout::Records),
            _ => {
                let message = "the body has none of the four forms, or several";
                return Err(Problem::new(ErrorCode::Invalid, message).hint(EXPECTED));
            }
        };
    tensors.extend(params.unwrap_or_default());
    Ok((tensors, layout))
}

const EXPECTED: &str =
    "send one of `inputs`, `instances`, `dataframe_split` and `dataframe_records`";

fn split(split: Split<'_>, signature: &Signature) -> Result<Vec<Tensor>, Problem> {
    let width = split.data.first().map_or(0, Vec::len);
    let columns = match split.columns {
        Some(columns) => columns
            .into_iter()
            .map(|name| match name {
                ColumnName::Text(text) => text,
                ColumnName::Number(number) => number.to_string().into(),
            })
            .collect(),
        None => (0..width).map(|at| at.to_string().into()).collect(),
    };
    let frame = Frame { columns, rows: split.data, dialect: Dialect::DataFrame };
    frame.tensors(signature, |row, column| format!("dataframe_split.data[{row}][{column}]"))
}

fn records(rows: &[Row<'_>], signature: &Signature) -> Result<Vec<Tensor>, Problem> {
    const FIELD: &str = "dataframe_records";
    let Some(first) = rows.first() else {
        return Err(Problem::invalid(FIELD, "there is no row"));
    };
    let columns: Vec<Cow<'_, str>> = first.names().cloned().collect();
    let cells = |(at, row)| {
        ordered(row, &columns).map_err(|wrong| Problem::invalid(format!("{FIELD}[{at}]"), wrong))
    };
    let cells = rows.iter().enumerate().map(cells).collect::<Result<_, Problem>>()?;
    let names = columns.clone();
    let frame = Frame { columns, rows: cells, dialect: Dialect::DataFrame };
    frame.tensors(signature, |row, column| {
        let name = names.get(column).map(Cow::as_ref).unwrap_or_default();
        format!("{FIELD}[{row}].{name}")
    })
}

/// A row's values in the order of the columns, which are the first row's.
fn ordered<'a>(row: &Row<'a>, columns: &[Cow<'_, str>]) -> Result<Vec<&'a RawValue>, String> {
    if row.len() != columns.len() {
        let (here, first) = (row.len(), columns.len());
        return Err(format!("the row has {here} values, the first one {first}"));
    }
    let value = |(guess, name): (usize, &Cow<'_, str>)| {
        let absent = || format!("there is no `{name}`, which the first row has");
        row.get(name, guess).ok_or_else(absent)
    };
    columns.iter().enumerate().map(value).collect()
}

#[cfg(test)]
mod tests {
    use domain::{TensorData, with_elements};
    use serde_json::json;

    use super::*;

    fn signature(inputs: Value) -> Signature {
        serde_json::from_value(json!({"inputs": inputs, "outputs": []})).unwrap()
    }

    fn matrix() -> Signature {
        signature(json!([{"name": "X", "datatype": "FP32", "shape": ["batch", 2]}]))
    }

    fn columns() -> Signature {
        signature(json!([
            {"name": "age", "datatype": "INT64", "shape": [-1]},
            {"name": "income", "datatype": "FP64", "shape": [-1, 1]},
            {"name": "city", "datatype": "BYTES", "shape": [-1]},
        ]))
    }

    fn read(body: &str, signature: &Signature) -> Result<ScoringRequest, Problem> {
        let format =
            if body.starts_with('{') || body.starts_with('[') { Format::Json } else { Format::Csv };
        decode(format, body.as_bytes(), signature, 0)
    }

    #[test]
    fn the_same_values_in_all_forms_are_the_same_tensors() {
        let expected =
            Tensor::new("X", vec![2, 2], TensorData::F32(vec![1., 2., 3., 4.5])).unwrap();
        for (body, layout) in [
            (r#"{"inputs": [[1, 2], [3, 4.5]]}"#, Layout::Tensors),
            (r#"{"inputs": {"X": [[1, 2], [3, 4.5]]}, "params": {}}"#, Layout::Tensors),
            (r#"{"instances": [[1, 2], [3, 4.5]]}"#, Layout::Tensors),
            (
                r#"{"dataframe_split": {"columns": ["a", "b"], "index": [0, 1], "data": [[1, 2], [3, 4.5]]}}"#,
                Layout::Records,
            ),
            (
                r#"{"dataframe_split": {"columns": [0, 1], "data": [[1, 2], [3, 4.5]]}}"#,
                Layout::Records,
            ),
            (r#"{"dataframe_split": {"data": [[1, 2], [3, 4.5]]}}"#, Layout::Records),
            (r#"{"dataframe_records": [{"a": 1, "b": 2}, {"b": 4.5, "a": 3}]}"#, Layout::Records),
            ("a,b\n1,2\n3, 4.5\n", Layout::Records),
        ] {
            let request = read(body, &matrix()).unwrap_or_else(|error| panic!("{body}: {error:?}"));
            assert_eq!(
                request,
                ScoringRequest { inputs: vec![expected.clone()], layout },
                "{body}"
            );
        }
    }

    #[test]
    fn columns_are_inputs_by_name_and_what_is_missing_is_nan() {
        for body in [
            r#"{"dataframe_split": {"columns": ["city", "age", "income"], "data": [["Köln", 3, null], ["a,b", 4, 2]]}}"#,
            r#"{"dataframe_records": [{"age": 3, "income": null, "city": "Köln"}, {"city": "a,b", "age": 4, "income": 2}]}"#,
            "city,age,income\nKöln,3,\n\"a,b\",4,2\n",
        ] {
            let inputs =
                read(body, &columns()).unwrap_or_else(|error| panic!("{body}: {error:?}")).inputs;
            let [age, income, city] = inputs.try_into().unwrap();
            assert_eq!(age, Tensor::new("age", vec![2], TensorData::I64(vec![3, 4])).unwrap());
            let texts = TensorData::Bytes(vec!["Köln".into(), "a,b".into()]);
            assert_eq!(city, Tensor::new("city", vec![2], texts).unwrap());
            let TensorData::F64(values) = income.data else { panic!("{body}") };
            assert_eq!((income.shape, values.len()), (vec![2, 1], 2));
            assert!(values[0].is_nan() && values[1] == 2.0, "{body}: {values:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_place() {
        for (signature, body, told) in [
            (matrix(), "{}", "none of the four"),
            (matrix(), r#"{"inputs": [[1, 2]], "instances": [[1, 2]]}"#, "or several"),
            (matrix(), "[[1, 2]]", "a list"),
            (matrix(), r#"{"inputs": [[1, 2]], "params": {"t": 1}}"#, "takes no `params`"),
            (matrix(), r#"{"inputs": [[1, "x"]]}"#, "inputs[0][1]"),
            (matrix(), r#"{"inputs": [[1, 2], [3]]}"#, "differ in length"),
            (matrix(), r#"{"inputs": 1}"#, "has shape []"),
            (matrix(), r#"{"inputs": [[1e300, 2]]}"#, "FP32"),
            (
                matrix(),
                r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}}"#,
                "dataframe_split.data[1]",
            ),
            (
                matrix(),
                r#"{"dataframe_split": {"columns": ["a"], "data": [[1]]}}"#,
                "has shape [1, 1]",
            ),
            (
                matrix(),
                r#"{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}"#,
                "there twice",
            ),
            (
                matrix(),
                r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"]]}}"#,
                "dataframe_split.data[0][1]",
            ),
            (matrix(), r#"{"dataframe_split": {"columns": ["a", "b"], "rows": []}}"#, "rows"),
            (matrix(), r#"{"dataframe_split": {"columns": ["a", "b"], "data": []}}"#, "no row"),
            (matrix(), r#"{"dataframe_records": []}"#, "no row"),
            (
                matrix(),
                r#"{"dataframe_records": [{"a": 1, "b": 2}, {"a": 1}]}"#,
                "dataframe_records[1]",
            ),
            (matrix(), r#"{"dataframe_records": [{"a": 1, "b": 2}, {"a": 1, "c": 2}]}"#, "no `b`"),
            (matrix(), r#"{"dataframe_records": [{"a": 1, "b": 2}, {"a": 1, "a": 2}]}"#, "no `b`"),
            (matrix(), r#"{"dataframe_records": [{"a": 1, "a": 2}]}"#, "there twice"),
            (columns(), "age,income,city\n1,1e400,x\n", "row 1, column `income`"),
            (columns(), r#"{"dataframe_records": [{"age": 1, "income": 2}]}"#, "no column `city`"),
            (
                columns(),
                r#"{"dataframe_records": [{"age": 1.5, "income": 2, "city": ""}]}"#,
                "dataframe_records[0].age",
            ),
            (
                columns(),
                r#"{"dataframe_records": [{"age": null, "income": 2, "city": ""}]}"#,
                "dataframe_records[0].age",
            ),
            (columns(), "age,income,city,more\n1,2,x,3\n", "no input `more`"),
            (columns(), "age,income,city\n1,2\n", "row 1"),
            (columns(), "age,income,city\n1,2,x\nx,2,x\n", "row 2, column `age`"),
            (columns(), "", "no row"),
            (columns(), "age,income,city\n", "no row"),
        ] {
            let problem = read(body, &signature).expect_err(body);
            assert!(format!("{problem:?}").contains(told), "{body}: {problem:?}");
        }
        assert!(decode(Format::Csv, b"age\n\xff\n", &columns(), 0).is_err());
    }

    #[test]
    fn params_are_read_by_their_types_and_named_where_they_are_wrong() {
        let with = |params: Value| -> Signature {
            let inputs = json!([{"name": "X", "datatype": "FP32", "shape": ["batch", 2]}]);
            serde_json::from_value(json!({"inputs": inputs, "outputs": [], "params": params}))
                .unwrap()
        };
        let signature = with(json!([
            {"name": "t", "datatype": "FP64", "shape": [1]},
            {"name": "stop", "datatype": "BYTES", "shape": [-1]},
        ]));
        let body = |params: &str| format!(r#"{{"inputs": [[1, 2]], "params": {params}}}"#);
        let given = read(&body(r#"{"stop": ["a", "b"], "t": 2}"#), &signature).unwrap();
        let t = Tensor::new("t", vec![1], TensorData::F64(vec![2.0])).unwrap();
        let stop = TensorData::Bytes(vec![b"a".to_vec(), b"b".to_vec()]);
        let stop = Tensor::new("stop", vec![2], stop).unwrap();
        assert_eq!(given.inputs.get(1..), Some([t, stop].as_slice()));
        for none in [r#"{"t": null}"#, "{}", "null"] {
            assert_eq!(read(&body(none), &signature).unwrap().inputs.len(), 1, "{none}");
        }
        for (params, told) in [
            (r#"{"u": 1}"#, "no param `u`: its params are `t`, `stop`"),
            (r#"{"t": "hot"}"#, "params.t"),
            (r#"{"t": [1, 2]}"#, "shape"),
            (r#"{"t": 1, "t": 2}"#, "twice"),
            ("[1]", "params"),
        ] {
            let problem = read(&body(params), &signature).expect_err(params);
            assert!(format!("{problem:?}").contains(told), "{params}: {problem:?}");
        }
    }

    #[test]
    fn csv_has_every_type() {
        for (datatype, text) in [
            ("BOOL", "True"),
            ("UINT8", "7"),
            ("INT8", "-7"),
            ("UINT64", "18446744073709551615"),
            ("FP16", "0.5"),
            ("BF16", "nan"),
            ("FP32", "-inf"),
            ("FP64", "1e-7"),
            ("BYTES", "x"),
        ] {
            let signature = signature(json!([{"name": "x", "datatype": datatype, "shape": [-1]}]));
            let request = read(&format!("x\n{text}\n"), &signature).unwrap();
            with_elements!(&request.inputs[0].data, elements => assert_eq!(elements.len(), 1));
            if datatype != "BYTES" {
                assert!(read("x\nwrong\n", &signature).is_err(), "{datatype}");
            }
        }
    }
}
