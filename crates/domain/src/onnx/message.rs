//! Which messages and fields of `onnx.proto` matter, and what becomes of them.
//!
//! A message keeps what it has read so far; when it ends it is handed to the one that it stands
//! in, which takes what it wants. What outlives its message goes to [`Model`] and is paid for from
//! [`Kept`], so that no file makes us keep more than 16 MiB.

use std::collections::{BTreeMap, BTreeSet};

use super::Fault;
use crate::Dim;

/// What to do with a field.
#[derive(Debug)]
pub(super) enum Field {
    /// Count its bytes and forget them.
    Skip,
    /// Read the number.
    Number,
    /// Read the text.
    Text,
    /// Walk into the message.
    Enter(Message),
}

/// How much has been kept for longer than its message.
#[derive(Debug, Default)]
pub(super) struct Kept(usize);

impl Kept {
    const MOST: usize = 16 * 1024 * 1024;

    /// Pays for one more `T` and the text that belongs to it.
    fn pay<T>(&mut self, text: &str) -> Result<(), Fault> {
        self.0 = self.0.saturating_add(size_of::<T>() + text.len());
        if self.0 > Self::MOST { Err(Fault::Amount) } else { Ok(()) }
    }
}

/// A message inside the model, with what was read of it.
#[derive(Debug)]
pub(super) enum Message {
    /// `GraphProto`: the model's own graph.
    Graph,
    /// `GraphProto` in an attribute: a branch, a loop's body.
    Subgraph,
    /// `FunctionProto`.
    Function,
    /// `NodeProto`.
    Node { domain: String, operator: String },
    /// `AttributeProto`.
    Attribute,
    /// `TensorProto`.
    Tensor { name: String, external: bool, location: String },
    /// `SparseTensorProto`, called what its values are called.
    SparseTensor { name: String },
    /// `StringStringEntryProto`.
    Entry { key: String, value: String },
    /// `OperatorSetIdProto`.
    OperatorSet { domain: String, version: i64 },
    /// `ValueInfoProto`.
    Value(Value),
    /// `TypeProto`.
    Type(Kind),
    /// `TypeProto.Sequence` and `TypeProto.Optional`.
    Element(Kind),
    /// `TypeProto.Map`, `TypeProto.SparseTensor`, `TypeProto.Opaque`: that they are there is all.
    Other,
    /// `TypeProto.Tensor`.
    TensorType { element: u64, shape: Option<Vec<Dim>> },
    /// `TensorShapeProto`.
    Shape(Vec<Dim>),
    /// `TensorShapeProto.Dimension`.
    Dimension(Dim),
}

/// An input or output of the model.
#[derive(Debug, Default)]
pub(super) struct Value {
    pub name: String,
    pub kind: Kind,
}

/// A value's type.
#[derive(Debug, Default)]
pub(super) enum Kind {
    /// None is given.
    #[default]
    Unknown,
    Tensor {
        element: u64,
        shape: Option<Vec<Dim>>,
    },
    SparseTensor,
    Sequence(Box<Kind>),
    Map,
    Optional(Box<Kind>),
    Opaque,
}

/// `ModelProto`, with all that is kept of what stands in it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub ir_version: Option<i64>,
    pub producer_name: String,
    pub producer_version: String,
    pub has_graph: bool,
    pub operator_sets: BTreeMap<String, i64>,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
    pub initializers: BTreeSet<String>,
    pub operators: BTreeSet<String>,
    /// The domains that the graph's own nodes take their operators from.
    pub domains: BTreeSet<String>,
    pub external_files: BTreeSet<String>,
}

impl Model {
    pub(super) fn field(number: u32) -> Field {
        match number {
            1 => Field::Number,
            2 | 3 => Field::Text,
            7 => Field::Enter(Message::Graph),
            8 => Field::Enter(Message::OperatorSet { domain: String::new(), version: 0 }),
            25 => Field::Enter(Message::Function),
            _ => Field::Skip,
        }
    }

    pub(super) fn number(&mut self, number: u32, value: u64) {
        if number == 1 {
            self.ir_version = Some(value.cast_signed());
        }
    }

    pub(super) fn text(&mut self, number: u32, value: String) {
        match number {
            2 => self.producer_name = value,
            3 => self.producer_version = value,
            _ => {}
        }
    }

    pub(super) fn absorb(
        &mut self,
        number: u32,
        child: Message,
        kept: &mut Kept,
    ) -> Result<(), Fault> {
        match (number, child) {
            (7, Message::Graph) => self.has_graph = true,
            (8, Message::OperatorSet { domain, version }) => {
                kept.pay::<(String, i64)>(&domain)?;
                self.operator_sets.insert(domain_name(domain), version);
            }
            _ => {}
        }
        Ok(())
    }

    fn operator(&mut self, domain: &str, operator: String, kept: &mut Kept) -> Result<(), Fault> {
        let name = if domain == MAIN_DOMAIN { operator } else { format!("{domain}::{operator}") };
        keep(&mut self.operators, name, kept)
    }
}

/// The domain of ONNX's own operators, also written as an empty text.
const MAIN_DOMAIN: &str = "ai.onnx";

fn domain_name(domain: String) -> String {
    if domain.is_empty() { MAIN_DOMAIN.to_owned() } else { domain }
}

fn keep(set: &mut BTreeSet<String>, text: String, kept: &mut Kept) -> Result<(), Fault> {
    if !set.contains(&text) {
        kept.pay::<String>(&text)?;
        set.insert(text);
    }
    Ok(())
}

impl Message {
    fn node() -> Self {
        Self::Node { domain: String::new(), operator: String::new() }
    }

    fn tensor() -> Self {
        Self::Tensor { name: String::new(), external: false, location: String::new() }
    }

    fn sparse_tensor() -> Self {
        Self::SparseTensor { name: String::new() }
    }

    /// What to do with the field of this number.
    pub(super) fn field(&self, number: u32) -> Field {
        match (self, number) {
            (Self::Graph | Self::Subgraph, 1) | (Self::Function, 7) => Field::Enter(Self::node()),
            (Self::Graph | Self::Subgraph, 5) => Field::Enter(Self::tensor()),
            (Self::Graph | Self::Subgraph, 15) => Field::Enter(Self::sparse_tensor()),
            (Self::Graph, 11 | 12) => Field::Enter(Self::Value(Value::default())),
            (Self::Function, 11) | (Self::Node { .. }, 5) => Field::Enter(Self::Attribute),
            (Self::Node { .. }, 4 | 7) => Field::Text,
            (Self::Attribute, 5 | 10) => Field::Enter(Self::tensor()),
            (Self::Attribute, 6 | 11) => Field::Enter(Self::Subgraph),
            (Self::Attribute, 22 | 23) => Field::Enter(Self::sparse_tensor()),
            (Self::SparseTensor { .. }, 1 | 2) => Field::Enter(Self::tensor()),
            (Self::Tensor { .. }, 8) => Field::Text,
            (Self::Tensor { .. }, 13) => {
                Field::Enter(Self::Entry { key: String::new(), value: String::new() })
            }
            (Self::Tensor { .. }, 14) => Field::Number,
            (Self::Entry { .. }, 1 | 2) | (Self::OperatorSet { .. }, 1) => Field::Text,
            (Self::OperatorSet { .. }, 2) => Field::Number,
            (Self::Value(_), 1) => Field::Text,
            (Self::Value(_), 2) | (Self::Element(_), 1) => {
                Field::Enter(Self::Type(Kind::default()))
            }
            (Self::Type(_), 1) => Field::Enter(Self::TensorType { element: 0, shape: None }),
            (Self::Type(_), 4 | 9) => Field::Enter(Self::Element(Kind::default())),
            (Self::Type(_), 5 | 7 | 8) => Field::Enter(Self::Other),
            (Self::TensorType { .. }, 1) => Field::Number,
            (Self::TensorType { .. }, 2) => Field::Enter(Self::Shape(Vec::new())),
            (Self::Shape(_), 1) => Field::Enter(Self::Dimension(Dim::Any)),
            (Self::Dimension(_), 1) => Field::Number,
            (Self::Dimension(_), 2) => Field::Text,
            _ => Field::Skip,
        }
    }

    /// Takes a number in.
    pub(super) fn number(&mut self, number: u32, value: u64) {
        match (self, number) {
            (Self::Tensor { external, .. }, 14) => *external = value == 1,
            (Self::OperatorSet { version, .. }, 2) => *version = value.cast_signed(),
            (Self::TensorType { element, .. }, 1) => *element = value,
            // Some exporters write -1 for a dimension of any size.
            (Self::Dimension(dim), 1) => {
                *dim = if value.cast_signed() < 0 { Dim::Any } else { Dim::Fixed(value) };
            }
            _ => {}
        }
    }

    /// Takes a text in.
    pub(super) fn text(&mut self, number: u32, text: String) {
        match (self, number) {
            (Self::Node { operator, .. }, 4) => *operator = text,
            (Self::Node { domain, .. }, 7) => *domain = text,
            (Self::Tensor { name, .. }, 8) => *name = text,
            (Self::Entry { key, .. }, 1) => *key = text,
            (Self::Entry { value, .. }, 2) => *value = text,
            (Self::OperatorSet { domain, .. }, 1) => *domain = text,
            (Self::Value(value), 1) => value.name = text,
            (Self::Dimension(dim), 2) => {
                *dim = if text.is_empty() { Dim::Any } else { Dim::Symbolic(text) };
            }
            _ => {}
        }
    }

    /// Takes in what was read of the message in the field of this number, which has ended.
    pub(super) fn absorb(
        &mut self,
        number: u32,
        child: Self,
        model: &mut Model,
        kept: &mut Kept,
    ) -> Result<(), Fault> {
        let graphs_own = matches!(self, Self::Graph);
        match (&mut *self, number, child) {
            (_, _, Self::Node { domain, operator }) => {
                let domain = domain_name(domain);
                model.operator(&domain, operator, kept)?;
                if graphs_own {
                    keep(&mut model.domains, domain, kept)?;
                }
            }
            (_, _, Self::Tensor { external: true, name, location }) => {
                keep(&mut model.external_files, location, kept)?;
                self.name_tensor(name, number, model, kept)?;
            }
            (_, _, Self::Tensor { name, .. } | Self::SparseTensor { name }) => {
                self.name_tensor(name, number, model, kept)?;
            }
            (Self::Graph, _, Self::Value(value)) => {
                kept.pay::<Value>(&value.name)?;
                if number == 11 { &mut model.inputs } else { &mut model.outputs }.push(value);
            }
            (Self::Tensor { location, .. }, _, Self::Entry { key, value }) if key == "location" => {
                *location = value;
            }
            (Self::Value(Value { kind, .. }) | Self::Element(kind), _, Self::Type(of)) => {
                *kind = of;
            }
            (Self::Type(kind), _, Self::TensorType { element, shape }) => {
                *kind = Kind::Tensor { element, shape };
            }
            (Self::Type(kind), 4, Self::Element(of)) => *kind = Kind::Sequence(Box::new(of)),
            (Self::Type(kind), 9, Self::Element(of)) => *kind = Kind::Optional(Box::new(of)),
            (Self::Type(kind), 5, Self::Other) => *kind = Kind::Map,
            (Self::Type(kind), 7, Self::Other) => *kind = Kind::Opaque,
            (Self::Type(kind), 8, Self::Other) => *kind = Kind::SparseTensor,
            (Self::TensorType { shape, .. }, _, Self::Shape(dims)) => *shape = Some(dims),
            (Self::Shape(dims), _, Self::Dimension(dim)) => {
                kept.pay::<Dim>(if let Dim::Symbolic(name) = &dim { name } else { "" })?;
                dims.push(dim);
            }
            _ => {}
        }
        Ok(())
    }

    /// A tensor's name matters where it is an initializer of the graph: an input of that name has
    /// a default, and callers don't send it.
    fn name_tensor(
        &mut self,
        tensor: String,
        number: u32,
        model: &mut Model,
        kept: &mut Kept,
    ) -> Result<(), Fault> {
        match (self, number) {
            (Self::Graph, _) => keep(&mut model.initializers, tensor, kept),
            (Self::SparseTensor { name }, 1) => {
                *name = tensor;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
