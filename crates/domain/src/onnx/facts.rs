//! The result: what the file says, checked and in our own words.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::message::{Kind, Model, Value};
use crate::{DataType, FilePath, Problem, Signature, TensorSpec};

/// What an ONNX file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnnxFacts {
    /// The version of the file format.
    pub ir_version: i64,
    /// The program that wrote the file; may be empty.
    pub producer_name: String,
    /// That program's version; may be empty.
    pub producer_version: String,
    /// The versions of the operator sets that it builds on, by domain; ONNX's own is `ai.onnx`.
    pub opset: BTreeMap<String, i64>,
    /// What goes in and comes out.
    pub interface: Interface,
    /// Every operator, also those in branches, loops and functions: `Add`, `ai.onnx.ml::Scaler`.
    pub operators: BTreeSet<String>,
    /// The files that hold weights beside the model, as the model names them.
    pub external_files: BTreeSet<String>,
}

/// What goes into a model and comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// Tensors only. Inputs that have a default (an initializer) are left out.
    Signature(Signature),
    /// Something that we cannot carry, in words, with what to do about it.
    Unsupported(String),
}

impl OnnxFacts {
    /// Whether it may divide whole numbers that callers send. The processor ends a process that divides
    /// the least of 32 or 64 bits by -1, and ONNX Runtime does not look.
    #[must_use]
    pub fn divides_whole_numbers(&self) -> bool {
        let divides = ["Div", "Mod"].iter().any(|it| self.operators.contains(*it));
        let is_whole = |spec: &TensorSpec| matches!(spec.datatype, DataType::I32 | DataType::I64);
        divides
            && match &self.interface {
                Interface::Signature(signature) => signature.inputs.iter().any(is_whole),
                Interface::Unsupported(_) => false,
            }
    }

    /// The external files as paths in the version's tree, seen from the model's folder.
    ///
    /// # Errors
    /// A path that leads out of that folder.
    pub fn external_paths(&self, model_path: &FilePath) -> Result<Vec<FilePath>, Problem> {
        let folder = model_path.parent();
        let resolve = |location: &String| {
            let path: FilePath = location.parse().map_err(|problem: Problem| {
                let why = problem.message;
                Problem::invalid("files", format!("`{model_path}` keeps weights elsewhere: {why}"))
                    .hint("save the model with its external data in the model's own folder")
            })?;
            if folder.is_empty() { Ok(path) } else { format!("{folder}/{path}").parse() }
        };
        self.external_files.iter().map(resolve).collect()
    }
}

/// The facts of a model that was read to its end.
///
/// # Errors
/// It lacks what every model has; in words.
pub(super) fn of(model: Model) -> Result<OnnxFacts, String> {
    let ir_version = model.ir_version.ok_or("it names no format version")?;
    if !model.has_graph {
        return Err("it has no graph".to_owned());
    }
    if model.outputs.is_empty() {
        return Err("its graph has no outputs".to_owned());
    }
    if let Some(domain) = model.domains.iter().find(|&it| !model.operator_sets.contains_key(it)) {
        return Err(format!(
            "it uses operators of `{}`, but names no version of them; it may be cut short",
            shown(domain)
        ));
    }
    if model.operator_sets.is_empty() {
        return Err("it names no operator set; it may be cut short".to_owned());
    }
    Ok(OnnxFacts {
        ir_version,
        interface: interface(&model),
        producer_name: model.producer_name,
        producer_version: model.producer_version,
        opset: model.operator_sets,
        operators: model.operators,
        external_files: model.external_files,
    })
}

fn interface(model: &Model) -> Interface {
    let inputs = model.inputs.iter().filter(|input| !model.initializers.contains(&input.name));
    let specs = |side, values: &mut dyn Iterator<Item = &Value>| {
        values.map(|value| spec(side, value)).collect::<Result<Vec<_>, String>>()
    };
    let signature = specs("input", &mut { inputs })
        .and_then(|inputs| Ok(Signature::new(inputs, specs("output", &mut model.outputs.iter())?)));
    signature.map_or_else(Interface::Unsupported, Interface::Signature)
}

fn spec(side: &str, value: &Value) -> Result<TensorSpec, String> {
    let name = shown(&value.name);
    match &value.kind {
        Kind::Tensor { element, shape: Some(shape) } => {
            let datatype = datatype(*element).map_err(|element| {
                format!(
                    "{side} `{name}` holds {element}: we carry {}",
                    words(DataType::ALL).join(", ")
                )
            })?;
            Ok(TensorSpec {
                name: value.name.clone(),
                datatype,
                shape: shape.clone(),
                optional: false,
            })
        }
        Kind::Tensor { shape: None, .. } => Err(format!(
            "{side} `{name}` has no shape: run onnx.shape_inference.infer_shapes over the model, or export it with shapes"
        )),
        Kind::Sequence(of) if matches!(**of, Kind::Map) => Err(format!(
            "{side} `{name}` is a sequence of maps: export with zipmap=False (skl2onnx options={{'zipmap': False}})"
        )),
        Kind::Unknown
        | Kind::SparseTensor
        | Kind::Sequence(_)
        | Kind::Map
        | Kind::Optional(_)
        | Kind::Opaque => Err(format!(
            "{side} `{name}` is {}: export the model with tensors only",
            one(&value.kind)
        )),
    }
}

fn words(all: &[DataType]) -> Vec<&'static str> {
    all.iter().map(|datatype| datatype.as_str()).collect()
}

fn one(kind: &Kind) -> String {
    match kind {
        Kind::Unknown => "of no known type".to_owned(),
        Kind::Tensor { .. } => "a tensor".to_owned(),
        Kind::SparseTensor => "a sparse tensor".to_owned(),
        Kind::Sequence(of) => format!("a sequence of {}", many(of)),
        Kind::Map => "a map".to_owned(),
        Kind::Optional(of) => format!("optional ({})", one(of)),
        Kind::Opaque => "of an opaque type".to_owned(),
    }
}

const fn many(kind: &Kind) -> &'static str {
    match kind {
        Kind::Unknown => "unknown values",
        Kind::Tensor { .. } => "tensors",
        Kind::SparseTensor => "sparse tensors",
        Kind::Sequence(_) => "sequences",
        Kind::Map => "maps",
        Kind::Optional(_) => "optional values",
        Kind::Opaque => "opaque values",
    }
}

/// `TensorProto.DataType`; what we don't carry, by its name.
fn datatype(element: u64) -> Result<DataType, String> {
    Ok(match element {
        1 => DataType::F32,
        2 => DataType::U8,
        3 => DataType::I8,
        4 => DataType::U16,
        5 => DataType::I16,
        6 => DataType::I32,
        7 => DataType::I64,
        8 => DataType::Bytes,
        9 => DataType::Bool,
        10 => DataType::F16,
        11 => DataType::F64,
        12 => DataType::U32,
        13 => DataType::U64,
        16 => DataType::BF16,
        14 | 15 => return Err("complex numbers".to_owned()),
        17..=20 | 24 => return Err("8-bit floats".to_owned()),
        21..=23 | 25 | 26 => return Err("elements of less than a byte".to_owned()),
        other => return Err(format!("elements of the unknown type {other}")),
    })
}

/// A name out of the file as it may stand in a message: escaped, and not at full length.
fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_default).collect()
}
