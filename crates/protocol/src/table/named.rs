//! `inputs`, a tensor for each name, and `instances`, a row for each request.

use std::{borrow::Cow, collections::HashSet};

use domain::{Problem, Signature, Tensor, TensorSpec};
use serde::de::DeserializeSeed as _;
use serde_json::value::RawValue;

use super::{Row, frame::read, names, tensor};
use crate::json::{
    data::{DataSeed, Dialect},
    explain::{explain, explain_data},
};

/// Whole tensors: an object with one for each input, or the one of a model that has one.
///
/// # Errors
/// The first thing wrong, by its place.
pub(crate) fn inputs(
    json: &RawValue,
    signature: &Signature,
    dialect: Dialect,
) -> Result<Vec<Tensor>, Problem> {
    let specs = signature.inputs.as_slice();
    if let ([only], false) = (specs, is_object(json.get())) {
        return Ok(vec![whole(only, json, dialect, "inputs")?]);
    }
    let row: Row<'_> = object(json, specs, "inputs")?;
    check_names(&row, specs, "inputs")?;
    let each = |(at, spec): (usize, &TensorSpec)| {
        let field = format!("inputs.{}", spec.name);
        match row.get(&spec.name, at) {
            Some(json) => whole(spec, json, dialect, &field).map(Some),
            None if spec.optional => Ok(None),
            None => Err(missing(spec, specs, "inputs")),
        }
    };
    specs.iter().enumerate().filter_map(|spec| each(spec).transpose()).collect()
}

/// What a request sets besides its inputs, by name. What is null is not set.
///
/// # Errors
/// The first thing wrong, by its place.
pub(crate) fn params(given: &Row<'_>, specs: &[TensorSpec]) -> Result<Vec<Tensor>, Problem> {
    const FIELD: &str = "params";
    if specs.is_empty() && given.len() > 0 {
        return Err(Problem::invalid(FIELD, "the model takes no `params`"));
    }
    check(given, specs, FIELD, "param")?;
    let set = specs.iter().enumerate().filter_map(|(at, spec)| {
        let json = given.get(&spec.name, at).filter(|json| json.get() != "null")?;
        Some(whole(spec, json, Dialect::DataFrame, &format!("{FIELD}.{}", spec.name)))
    });
    set.collect()
}

/// A list of rows: an object with a value for each input, or the value for the input of a model that
/// has one.
///
/// # Errors
/// The first thing wrong, by its place.
pub(crate) fn instances(
    json: &RawValue,
    signature: &Signature,
    dialect: Dialect,
) -> Result<Vec<Tensor>, Problem> {
    const FIELD: &str = "instances";
    let specs = signature.inputs.as_slice();
    let text = json.get();
    let Some(first) = text.strip_prefix('[').map(str::trim_start) else {
        let message = "`instances` is no list: expected one with an element for each row";
        return Err(Problem::invalid(FIELD, message));
    };
    if let ([only], false) = (specs, is_object(first)) {
        return Ok(vec![whole(only, json, dialect, FIELD)?]);
    }
    if first.starts_with(']') {
        return Err(Problem::invalid(FIELD, "`instances` is empty: expected a row at least"));
    }
    let rows: Vec<Row<'_>> = serde_json::from_str(text).map_err(|error| {
        let expected = format!("each row is an object with {}", names(specs));
        inside(explain::<Vec<Row<'_>>>(&error, text.as_bytes()), FIELD).hint(expected)
    })?;
    for (at, row) in rows.iter().enumerate() {
        check_names(row, specs, &format!("{FIELD}[{at}]"))?;
    }
    let column = |(at, spec): (usize, &TensorSpec)| {
        let name = spec.name.as_str();
        if let Some(row) = rows.iter().position(|row| row.get(name, at).is_none()) {
            // One that is optional stands in every row or in none.
            if spec.optional && rows.iter().all(|row| row.get(name, at).is_none()) {
                return Ok(None);
            }
            return Err(missing(spec, specs, &format!("{FIELD}[{row}]")));
        }
        let cells = rows.iter().filter_map(move |row| row.get(name, at));
        let place = |row| format!("{FIELD}[{row}].{name}");
        let data = read(cells, DataSeed(spec.datatype, dialect), place)?;
        tensor(spec, data, name).map(Some)
    };
    specs.iter().enumerate().filter_map(|spec| column(spec).transpose()).collect()
}

/// The outputs of an answer, whole: an object with one for each, or the only one.
///
/// # Errors
/// One is not there, or is something else.
pub(crate) fn answered(
    json: &RawValue,
    specs: &[TensorSpec],
    field: &str,
) -> Result<Vec<Tensor>, Problem> {
    if let ([only], false) = (specs, is_object(json.get())) {
        return Ok(vec![whole(only, json, Dialect::Answered, field)?]);
    }
    let row: Row<'_> = object(json, specs, field)?;
    let each = |(at, spec): (usize, &TensorSpec)| {
        let json = row.get(&spec.name, at).ok_or_else(|| unanswered(spec, field))?;
        whole(spec, json, Dialect::Answered, &format!("{field}.{}", spec.name))
    };
    specs.iter().enumerate().map(each).collect()
}

/// The outputs of an answer that has an object for each row.
///
/// # Errors
/// One is not there, or is something else.
pub(crate) fn answered_rows(
    json: &RawValue,
    specs: &[TensorSpec],
    field: &str,
) -> Result<Vec<Tensor>, Problem> {
    let text = json.get();
    let rows: Vec<Row<'_>> = serde_json::from_str(text)
        .map_err(|error| inside(explain::<Vec<Row<'_>>>(&error, text.as_bytes()), field))?;
    let column = |(at, spec): (usize, &TensorSpec)| {
        let name = spec.name.as_str();
        if let Some(row) = rows.iter().position(|row| row.get(name, at).is_none()) {
            return Err(unanswered(spec, &format!("{field}[{row}]")));
        }
        let cells = rows.iter().filter_map(move |row| row.get(name, at));
        let place = |row| format!("{field}[{row}].{name}");
        let data = read(cells, DataSeed(spec.datatype, Dialect::Answered), place)?;
        tensor(spec, data, name)
    };
    specs.iter().enumerate().map(column).collect()
}

fn unanswered(spec: &TensorSpec, field: &str) -> Problem {
    Problem::invalid(field, format!("`{field}` has no output `{}`", spec.name))
}

fn whole(
    spec: &TensorSpec,
    json: &RawValue,
    dialect: Dialect,
    field: &str,
) -> Result<Tensor, Problem> {
    let seed = DataSeed(spec.datatype, dialect);
    let read = seed.deserialize(json);
    tensor(spec, read.map_err(|error| explain_data(&error, seed, json.get(), field))?, field)
}

/// Whether it is an object with names; bytes in Base64 are none.
fn is_object(text: &str) -> bool {
    let inside = text.strip_prefix('{').map(str::trim_start);
    inside.is_some_and(|inside| !inside.starts_with("\"b64\""))
}

fn object<'a>(json: &'a RawValue, specs: &[TensorSpec], field: &str) -> Result<Row<'a>, Problem> {
    serde_json::from_str(json.get()).map_err(|error| {
        let expected = format!("expected an object with {}", names(specs));
        inside(explain::<Row<'_>>(&error, json.get().as_bytes()), field).hint(expected)
    })
}

/// A problem in a part of the body, by its place in all of it.
fn inside(problem: Problem, field: &str) -> Problem {
    let below = problem.field.clone().unwrap_or_default();
    problem.at(format!("{field}{below}"))
}

fn check_names(row: &Row<'_>, specs: &[TensorSpec], field: &str) -> Result<(), Problem> {
    check(row, specs, field, "input")
}

/// Checks that each name is known, and there once.
fn check(row: &Row<'_>, specs: &[TensorSpec], field: &str, kind: &str) -> Result<(), Problem> {
    let is_in_order = |(name, spec): (&Cow<'_, str>, &TensorSpec)| *name == spec.name;
    if row.len() <= specs.len() && row.names().zip(specs).all(is_in_order) {
        return Ok(());
    }
    let known: HashSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    if let Some(name) = row.names().find(|name| !known.contains(name.as_ref())) {
        let message = format!("the model has no {kind} `{name}`: its {kind}s are {}", names(specs));
        return Err(Problem::invalid(field, message));
    }
    match row.repeated() {
        Some(name) => Err(Problem::invalid(field, format!("`{name}` is there twice"))),
        None => Ok(()),
    }
}

fn missing(spec: &TensorSpec, specs: &[TensorSpec], field: &str) -> Problem {
    let message = format!("there is no `{}`: the model needs {}", spec.name, names(specs));
    Problem::invalid(field, message)
}
