//! MLflow's input examples as V2 requests.
//!
//! MLflow writes a request for its own server: a table (`dataframe_split`, `dataframe_records`) or
//! arrays (`inputs`, `instances`), one or by name; before 2.14 the bare table or array. What every
//! such example has in common is rows. Columns go to inputs of their names, or all of them to the
//! only input as MLflow's ONNX flavour does it; arrays go to inputs of their names, or to the only
//! one. Values are turned into the input's datatype only where that loses nothing: a trial must
//! not fail for an example that its author did not write.

use std::collections::HashSet;

use domain::{DataType, Signature, TensorSpec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{DEEPEST, LONGEST, check};

/// The example, or why it cannot be a request, in words.
pub(crate) fn of_mlflow(content: &[u8], signature: &Signature) -> Result<Value, String> {
    let value: Value =
        serde_json::from_slice(content).map_err(|error| format!("it is no JSON: {error}"))?;
    let inputs = match rows(value)? {
        Rows::Table(table) => table.inputs(signature)?,
        Rows::Named(mut arrays) => {
            let take = |spec: &TensorSpec| {
                let array = arrays.remove(&spec.name);
                input(spec, array.ok_or_else(|| format!("it has no `{}`", spec.name))?)
            };
            let inputs = signature.inputs.iter().map(take).collect::<Result<Vec<_>, _>>()?;
            match arrays.keys().next() {
                Some(other) => return Err(format!("the model has no input `{}`", short(other))),
                None => inputs,
            }
        }
        Rows::Bare(array) => vec![input(only(signature)?, array)?],
    };
    let example = json!({"inputs": inputs});
    let length = example.to_string().len();
    if length > LONGEST {
        return Err(format!("it has {length} bytes as a request: expected at most {LONGEST}"));
    }
    check(&example, Some(signature)).map_err(|problem| problem.message)?;
    Ok(example)
}

/// What an example's file holds.
enum Rows {
    Table(Table),
    Named(Map<String, Value>),
    Bare(Value),
}

#[derive(Deserialize)]
struct Table {
    /// Absent where they have no names.
    columns: Option<Vec<Value>>,
    data: Vec<Vec<Value>>,
}

fn rows(value: Value) -> Result<Rows, String> {
    let mut fields = match value {
        Value::Object(fields) => fields,
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            return records(items).map(Rows::Table);
        }
        bare @ (Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)) => return Ok(Rows::Bare(bare)),
    };
    // Params have no place in a V2 request.
    if fields.len() > 1 && (fields.contains_key("inputs") || is_request(&fields)) {
        fields.remove("params");
    }
    if let Some(table) = fields.remove("dataframe_split") {
        return split(table).map(Rows::Table);
    }
    for field in ["dataframe_records", "instances", "inputs"] {
        if let Some(found) = fields.remove(field) {
            return match found {
                Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                    records(items).map(Rows::Table)
                }
                Value::Object(inner) if inner.contains_key("data") => {
                    split(Value::Object(inner)).map(Rows::Table)
                }
                Value::Object(named) => Ok(Rows::Named(named)),
                bare @ (Value::Array(_)
                | Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)) => Ok(Rows::Bare(bare)),
            };
        }
    }
    match fields.contains_key("data") {
        true => split(Value::Object(fields)).map(Rows::Table),
        false => Ok(Rows::Named(fields)),
    }
}

fn is_request(fields: &Map<String, Value>) -> bool {
    ["dataframe_split", "dataframe_records", "instances"].iter().any(|it| fields.contains_key(*it))
}

fn split(table: Value) -> Result<Table, String> {
    Table::deserialize(table).map_err(|error| format!("it is no table: {error}"))
}

/// A table of rows that each name their values.
fn records(items: Vec<Value>) -> Result<Table, String> {
    let mut columns = Vec::new();
    let mut data = Vec::with_capacity(items.len());
    for item in items {
        let Value::Object(mut fields) = item else { return Err("a row is no object".to_owned()) };
        if columns.is_empty() {
            columns = fields.keys().cloned().collect();
        }
        let row: Vec<Value> = columns.iter().filter_map(|name| fields.remove(name)).collect();
        if row.len() < columns.len() || !fields.is_empty() {
            return Err("its rows have different columns".to_owned());
        }
        data.push(row);
    }
    Ok(Table { columns: Some(columns.into_iter().map(Value::String).collect()), data })
}

impl Table {
    fn inputs(self, signature: &Signature) -> Result<Vec<Value>, String> {
        let width = self.data.first().map_or(0, Vec::len);
        if width == 0 || self.data.iter().any(|row| row.len() != width) {
            return Err("it has no rows, or rows of different lengths".to_owned());
        }
        let names: Vec<&str> = self.columns.iter().flatten().filter_map(Value::as_str).collect();
        let given: HashSet<&str> = names.iter().copied().collect();
        let by_name = names.len() == width
            && signature.inputs.len() == width
            && signature.inputs.iter().all(|spec| given.contains(spec.name.as_str()));
        if !by_name {
            let whole = self.data.into_iter().map(Value::Array).collect();
            return Ok(vec![input(only(signature)?, Value::Array(whole))?]);
        }
        let column = |spec: &TensorSpec| {
            let at = names.iter().position(|name| *name == spec.name).unwrap_or_default();
            let values = self.data.iter().filter_map(|row| row.get(at).cloned());
            // A column is `[rows]` or `[rows, 1]`.
            let values: Vec<Value> = match spec.shape.len() {
                2 => values.map(|value| json!([value])).collect(),
                _ => values.collect(),
            };
            input(spec, Value::Array(values))
        };
        signature.inputs.iter().map(column).collect()
    }
}

/// The input that takes all there is.
fn only(signature: &Signature) -> Result<&TensorSpec, String> {
    match signature.inputs.as_slice() {
        [only] => Ok(only),
        many => Err(format!("it does not tell which of {} inputs gets what", many.len())),
    }
}

/// One input of a request: the array, flattened, with the shape that it has.
fn input(spec: &TensorSpec, array: Value) -> Result<Value, String> {
    let (mut shape, mut data) = (Vec::new(), Vec::new());
    flatten(spec, array, 0, &mut shape, &mut data)?;
    // One row is written without a list around it.
    if shape.len() + 1 == spec.shape.len() {
        shape.insert(0, 1);
    }
    Ok(json!({"name": spec.name, "datatype": spec.datatype, "shape": shape, "data": data}))
}

fn flatten(
    spec: &TensorSpec,
    value: Value,
    depth: usize,
    shape: &mut Vec<usize>,
    data: &mut Vec<Value>,
) -> Result<(), String> {
    let name = short(&spec.name);
    let Value::Array(items) = value else {
        if depth < shape.len() {
            return Err(format!("`{name}` gets rows of different lengths"));
        }
        data.push(
            element(spec.datatype, value)
                .map_err(|what| format!("`{name}` gets {what}: expected {}", spec.datatype))?,
        );
        return Ok(());
    };
    if depth >= DEEPEST {
        return Err(format!("what `{name}` gets is nested too deeply"));
    }
    let seen = !data.is_empty() || depth < shape.len();
    match shape.get(depth) {
        Some(length) if *length != items.len() => {
            return Err(format!("`{name}` gets rows of different lengths"));
        }
        Some(_) => {}
        None if seen => return Err(format!("`{name}` gets rows of different lengths")),
        None => shape.push(items.len()),
    }
    items.into_iter().try_for_each(|item| flatten(spec, item, depth + 1, shape, data))
}

/// A value as that datatype is written; in words, what it is where it is something else.
fn element(datatype: DataType, value: Value) -> Result<Value, String> {
    let strange = || format!("`{}`", short(&value.to_string()));
    let (low, high) = match datatype {
        DataType::Bool if value.is_boolean() => return Ok(value),
        DataType::Bytes if value.is_string() => return Ok(value),
        DataType::F16 => return within(65_504.0, &value).ok_or_else(strange),
        DataType::BF16 => return within(3.38e38, &value).ok_or_else(strange),
        DataType::F32 => return within(f32::MAX.into(), &value).ok_or_else(strange),
        DataType::F64 => return within(f64::MAX, &value).ok_or_else(strange),
        DataType::I8 => (i64::from(i8::MIN), i8::MAX as u64),
        DataType::I16 => (i64::from(i16::MIN), i16::MAX as u64),
        DataType::I32 => (i64::from(i32::MIN), i32::MAX as u64),
        DataType::I64 => (i64::MIN, i64::MAX as u64),
        DataType::U8 => (0, u64::from(u8::MAX)),
        DataType::U16 => (0, u64::from(u16::MAX)),
        DataType::U32 => (0, u64::from(u32::MAX)),
        DataType::U64 => (0, u64::MAX),
        DataType::Bool | DataType::Bytes => return Err(strange()),
    };
    if let Some(whole) = value.as_u64() {
        return if whole <= high { Ok(value) } else { Err(strange()) };
    }
    // A whole number that went through a column of floats. Beyond 2^53 it may have been another.
    let exact = |float: &f64| float.fract() == 0.0 && float.abs() < 9e15;
    let whole = value.as_i64().or_else(|| value.as_f64().filter(exact).map(|float| float as i64));
    let in_range =
        |whole: &i64| *whole >= low && u64::try_from(*whole).ok().is_none_or(|whole| whole <= high);
    whole.filter(in_range).map(|whole| json!(whole)).ok_or_else(strange)
}

/// A number of at most this size.
fn within(most: f64, value: &Value) -> Option<Value> {
    value.as_f64().filter(|number| number.abs() <= most).map(|_| value.clone())
}

fn short(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(inputs: Value) -> Signature {
        let outputs = json!([{"name": "y", "datatype": "FP32", "shape": [-1]}]);
        serde_json::from_value(json!({"inputs": inputs, "outputs": outputs})).unwrap()
    }

    fn columns() -> Signature {
        signature(json!([
            {"name": "amount", "datatype": "FP64", "shape": [-1]},
            {"name": "age", "datatype": "INT64", "shape": ["n", 1]},
            {"name": "is_new", "datatype": "BOOL", "shape": [-1]},
        ]))
    }

    fn matrix() -> Signature {
        signature(json!([{"name": "X", "datatype": "FP32", "shape": ["n", 2]}]))
    }

    fn made(example: &Value, signature: &Signature) -> Result<Value, String> {
        of_mlflow(example.to_string().as_bytes(), signature)
    }

    #[test]
    fn a_table_goes_to_the_inputs_of_its_columns_in_every_form() {
        let data = json!([[31.0, 1.5, true], [44, 200, false]]);
        let columns_named =
            json!({"columns": ["age", "amount", "is_new"], "data": data, "index": [0, 1]});
        let records = json!([
            {"age": 31, "amount": 1.5, "is_new": true}, {"is_new": false, "age": 44, "amount": 200},
        ]);
        let expected = json!({"inputs": [
            {"name": "amount", "datatype": "FP64", "shape": [2], "data": [1.5, 200]},
            {"name": "age", "datatype": "INT64", "shape": [2, 1], "data": [31, 44]},
            {"name": "is_new", "datatype": "BOOL", "shape": [2], "data": [true, false]},
        ]});
        for example in [
            json!({"dataframe_split": columns_named}),
            columns_named.clone(),
            json!({"inputs": columns_named, "params": {"seed": 1}}),
            json!({"dataframe_split": columns_named, "params": {"seed": 1}}),
            json!({"dataframe_records": records}),
            json!({"inputs": records}),
            json!({"inputs": {"amount": [1.5, 200], "age": [[31], [44]], "is_new": [true, false]}}),
        ] {
            assert_eq!(made(&example, &columns()).as_ref(), Ok(&expected), "{example}");
        }
        let one = json!({"inputs": {"amount": 1.5, "age": [31], "is_new": true}});
        assert_eq!(made(&one, &columns()).unwrap()["inputs"][1]["shape"], json!([1, 1]));
    }

    #[test]
    fn a_whole_table_or_an_array_goes_to_the_only_input() {
        let rows = json!([[1.5, 31.0], [200, 44]]);
        let expected = json!({"inputs": [
            {"name": "X", "datatype": "FP32", "shape": [2, 2], "data": [1.5, 31.0, 200, 44]},
        ]});
        for example in [
            rows.clone(),
            json!({"inputs": rows}),
            json!({"instances": rows}),
            json!({"inputs": {"X": rows}}),
            json!({"dataframe_split": {"data": rows}}),
            json!({"dataframe_split": {"columns": ["amount", "age"], "data": rows}}),
            json!({"data": rows}),
        ] {
            assert_eq!(made(&example, &matrix()).as_ref(), Ok(&expected), "{example}");
        }
    }

    #[test]
    fn what_would_have_to_be_guessed_is_left_out_with_the_reason() {
        let ids = signature(json!([{"name": "id", "datatype": "UINT8", "shape": [-1]}]));
        let texts = signature(json!([{"name": "t", "datatype": "BYTES", "shape": [-1]}]));
        for (example, signature, why) in [
            (json!({"inputs": [1.5]}), ids.clone(), "`id` gets `1.5`: expected UINT8"),
            (json!([256]), ids.clone(), "`id` gets `256`: expected UINT8"),
            (json!([-1]), ids.clone(), "`id` gets `-1`: expected UINT8"),
            (json!([-1.0]), ids.clone(), "`id` gets `-1.0`: expected UINT8"),
            (json!([true]), ids.clone(), "`id` gets `true`: expected UINT8"),
            (json!([1]), texts.clone(), "`t` gets `1`: expected BYTES"),
            (json!([[1, null]]), matrix(), "`X` gets `null`: expected FP32"),
            (json!([[1, 2], [3]]), matrix(), "`X` gets rows of different lengths"),
            (json!([[1, 2], 3]), matrix(), "`X` gets rows of different lengths"),
            (json!([1, [2, 3]]), matrix(), "`X` gets rows of different lengths"),
            (
                json!({"data": [[1, 2], [3]]}),
                matrix(),
                "it has no rows, or rows of different lengths",
            ),
            (json!({"data": []}), matrix(), "it has no rows, or rows of different lengths"),
            (
                json!({"data": 1}),
                matrix(),
                "it is no table: invalid type: integer `1`, expected a sequence",
            ),
            (json!([{"a": 1}, 2]), matrix(), "a row is no object"),
            (json!([[1, 1e300]]), matrix(), "`X` gets `1e+300`: expected FP32"),
            (json!({"inputs": [{"a": 1}, {"b": 1}]}), matrix(), "its rows have different columns"),
            (
                json!({"inputs": [[1, 2, 3]]}),
                columns(),
                "it does not tell which of 3 inputs gets what",
            ),
            (json!({"inputs": {"X": [[1, 2]], "Z": 1}}), matrix(), "the model has no input `Z`"),
            (json!({"Z": [[1, 2]]}), matrix(), "it has no `X`"),
            (
                json!([[1, 2, 3]]),
                matrix(),
                "the input example does not fit the model: `X` has shape [1, 3], but the model expects [n, 2]",
            ),
        ] {
            let found = made(&example, &signature).unwrap_err();
            assert!(found.starts_with(why), "{example}: {found}");
        }
        assert!(of_mlflow(b"{", &matrix()).unwrap_err().starts_with("it is no JSON"));
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(
            of_mlflow(deep.as_bytes(), &matrix()).unwrap_err(),
            "what `X` gets is nested too deeply"
        );
    }
}
