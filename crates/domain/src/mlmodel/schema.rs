//! Signatures as MLflow writes them, and as ours where they can be.
//!
//! A side is a list of columns or of tensors. A tensor becomes the same tensor. A column becomes a
//! tensor of one dimension, any number of rows: MLflow's `datetime` is text in ISO 8601, `binary`
//! any bytes. What has no name gets the one that other V2 servers give it: `input-0`, `output-0`.
//! Columns that may be absent become inputs that may not: V2 knows no others. Lists, objects and
//! maps become nothing: V2 has no such type, and what a tensor of them would be is a guess.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wrong;
use crate::{
    DataType, Dim, Problem, Signature, TensorSpec,
    json::holds_nul,
    python::{Column, Input},
};

/// A line that shows a column or a tensor is cut here.
const LONGEST_LINE: usize = 300;

/// What goes in and comes out, as the file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Schemas {
    inputs: Vec<Field>,
    outputs: Vec<Field>,
    /// What may be set at each prediction.
    pub params: Vec<Param>,
}

/// Something that may be set at each prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type, in MLflow's words.
    #[serde(rename = "type", alias = "dtype")]
    pub kind: String,
    /// What holds where it is not set.
    #[serde(default)]
    pub default: Value,
    /// `[-1]` for a list; absent for one value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<i64>>,
}

/// A column or a tensor.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Field {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "tensor-spec")]
    tensor: Option<Tensor>,
    required: Option<bool>,
    /// What MLflow wrote in place of `required` before 2.9.
    optional: Option<bool>,
    /// Of an array.
    items: Option<Value>,
    /// Of an object.
    properties: Option<Value>,
    /// Of a map.
    values: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<i64>,
}

impl Schemas {
    /// Reads the three JSON texts.
    ///
    /// # Errors
    /// One of them is not what MLflow writes.
    pub(super) fn parse(
        inputs: Option<&str>,
        outputs: Option<&str>,
        params: Option<&str>,
    ) -> Result<Self, Problem> {
        Ok(Self {
            inputs: list("inputs", inputs)?,
            outputs: list("outputs", outputs)?,
            params: list("params", params)?,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.outputs.is_empty() && self.params.is_empty()
    }

    pub(super) fn input_lines(&self) -> Vec<String> {
        self.inputs.iter().map(Field::line).collect()
    }

    pub(super) fn output_lines(&self) -> Vec<String> {
        self.outputs.iter().map(Field::line).collect()
    }

    /// The inputs that may be left out of a request, for MLflow.
    #[must_use]
    pub fn optional_inputs(&self) -> Vec<&str> {
        let optional = self.inputs.iter().filter(|field| field.is_optional());
        optional.filter_map(|field| field.name.as_deref()).collect()
    }

    /// What may be set at each prediction, as our signature has it: one value, or a list of them.
    ///
    /// # Errors
    /// The first that has no counterpart, in words.
    pub fn params(&self) -> Result<Vec<TensorSpec>, String> {
        let spec = |param: &Param| {
            let Param { name, kind, shape, .. } = param;
            let strange = || format!("the param `{name}` has the type `{kind}`");
            let datatype = column(kind).or_else(|| element(kind)).ok_or_else(strange)?;
            let shape = match shape.as_deref() {
                None => vec![Dim::Fixed(1)],
                Some([-1]) => vec![Dim::Any],
                Some(shape) => return Err(format!("the param `{name}` has the shape {shape:?}")),
            };
            Ok(TensorSpec { name: name.clone(), datatype, shape, optional: false })
        };
        self.params.iter().map(spec).collect()
    }

    /// As our signature, without params.
    ///
    /// # Errors
    /// The first column or tensor that has no counterpart, in words.
    pub fn signature(&self) -> Result<Signature, String> {
        Ok(Signature::new(specs("input", &self.inputs)?, specs("output", &self.outputs)?))
    }

    /// What a Python model of this signature is given; none where it is not this one's.
    pub(crate) fn python_input(&self, signature: &Signature) -> Option<Input> {
        if self.inputs.len() != signature.inputs.len() {
            return None;
        }
        if self.inputs.iter().all(|field| field.tensor.is_none()) {
            let column =
                |field: &Field| Column { name: field.name.clone(), kind: field.kind.clone() };
            return Some(Input::Columns(self.inputs.iter().map(column).collect()));
        }
        let is_alone = self.inputs.len() == 1 && self.inputs.iter().all(|it| it.name.is_none());
        Some(if is_alone { Input::Array } else { Input::Arrays })
    }

    /// As our signature of a model whose file says this of itself: it must be the same but for
    /// names and sizes that only one of both tells.
    ///
    /// # Errors
    /// The first column or tensor that has no counterpart or does not fit, in words.
    pub fn signature_of(&self, read: &Signature) -> Result<Signature, String> {
        let mut given = self.signature()?;
        let sides = [
            (&mut given.inputs, &self.inputs, &read.inputs),
            (&mut given.outputs, &self.outputs, &read.outputs),
        ];
        for (given, fields, read) in sides {
            for ((spec, field), read) in given.iter_mut().zip(fields).zip(read) {
                if field.name.is_none() {
                    spec.name.clone_from(&read.name);
                }
                for (dim, read) in spec.shape.iter_mut().zip(&read.shape) {
                    if *dim == Dim::Any && read.is_dynamic() {
                        dim.clone_from(read);
                    }
                }
            }
        }
        read.overridden_by(given).map_err(|problem| problem.message)
    }
}

fn list<T: for<'de> Deserialize<'de>>(side: &str, text: Option<&str>) -> Result<Vec<T>, Problem> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let strange = |error: serde_json::Error| {
        wrong(format!("`signature.{side}` is not the JSON text that MLflow writes: {error}"))
    };
    let value: Value = serde_json::from_str(text).map_err(strange)?;
    if holds_nul(&value) {
        return Err(wrong(format!("a text in `signature.{side}` holds the character U+0000")));
    }
    serde_json::from_str(text).map_err(strange)
}

fn specs(side: &str, fields: &[Field]) -> Result<Vec<TensorSpec>, String> {
    if fields.is_empty() {
        return Err(format!("it names no {side}s"));
    }
    let mut specs = Vec::<TensorSpec>::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        let name = field.name.clone().unwrap_or_else(|| format!("{side}-{at}"));
        if specs.iter().any(|spec| spec.name == name) {
            return Err(format!("two {side}s are named `{name}`"));
        }
        let (datatype, shape) =
            field.tensor().map_err(|why| format!("{side} `{}` {why}", field.line()))?;
        specs.push(TensorSpec { name, datatype, shape, optional: false });
    }
    Ok(specs)
}

impl Field {
    fn is_optional(&self) -> bool {
        self.required == Some(false) || self.optional == Some(true)
    }

    /// The tensor that it is.
    fn tensor(&self) -> Result<(DataType, Vec<Dim>), String> {
        if let Some(tensor) = &self.tensor {
            let strange = || format!("has elements of NumPy's type `{}`", tensor.dtype);
            let datatype = element(&tensor.dtype).ok_or_else(strange)?;
            let dims = tensor.shape.iter().map(|&size| match size {
                -1 => Ok(Dim::Any),
                size => u64::try_from(size)
                    .map(Dim::Fixed)
                    .map_err(|_| "has a negative size".to_owned()),
            });
            return Ok((datatype, dims.collect::<Result<_, _>>()?));
        }
        let datatype = column(&self.kind).ok_or("is no tensor and no plain column")?;
        Ok((datatype, vec![Dim::Any]))
    }

    /// As people read it: `place: object {city: string}`, `x: float32 [-1, 30]`.
    fn line(&self) -> String {
        let mut line = self.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        match &self.tensor {
            Some(Tensor { dtype, shape }) => line.push_str(&format!("{dtype} {shape:?}")),
            None => kind(
                &self.kind,
                self.items.as_ref(),
                self.properties.as_ref(),
                self.values.as_ref(),
                &mut line,
            ),
        }
        if self.is_optional() {
            line.push_str(" (optional)");
        }
        match line.char_indices().nth(LONGEST_LINE) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
            None => line,
        }
    }
}

/// Writes a column's type. How deep types nest is bounded by how deep their JSON may.
fn kind(
    word: &str,
    items: Option<&Value>,
    properties: Option<&Value>,
    values: Option<&Value>,
    line: &mut String,
) {
    if line.len() > LONGEST_LINE * 4 {
        return;
    }
    line.push_str(word);
    match (items.or(values), properties.and_then(Value::as_object)) {
        (Some(of), _) => {
            line.push_str(" of ");
            inner(of, line);
        }
        (None, Some(properties)) => {
            line.push_str(" {");
            for (at, (name, of)) in properties.iter().enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                line.push_str(&format!("{comma}{name}: "));
                inner(of, line);
            }
            line.push('}');
        }
        (None, None) => {}
    }
}

fn inner(of: &Value, line: &mut String) {
    let word = of.get("type").and_then(Value::as_str).unwrap_or("?");
    kind(word, of.get("items"), of.get("properties"), of.get("values"), line);
}

/// A column's type.
fn column(word: &str) -> Option<DataType> {
    Some(match word {
        "boolean" => DataType::Bool,
        "integer" => DataType::I32,
        "long" => DataType::I64,
        "float" => DataType::F32,
        "double" => DataType::F64,
        "string" | "binary" | "datetime" => DataType::Bytes,
        _ => return None,
    })
}

/// A NumPy type's name.
fn element(dtype: &str) -> Option<DataType> {
    Some(match dtype {
        "bool" => DataType::Bool,
        "uint8" => DataType::U8,
        "uint16" => DataType::U16,
        "uint32" => DataType::U32,
        "uint64" => DataType::U64,
        "int8" => DataType::I8,
        "int16" => DataType::I16,
        "int32" => DataType::I32,
        "int64" => DataType::I64,
        "float16" => DataType::F16,
        "float32" => DataType::F32,
        "float64" => DataType::F64,
        "str" | "bytes" => DataType::Bytes,
        _ => return None,
    })
}
