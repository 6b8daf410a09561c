//! Signatures on the wire.

use domain::{DataType, Dim, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What goes in and comes out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "inputs": [{"name": "features", "datatype": "FP32", "shape": ["batch", 30]}],
    "outputs": [{"name": "score", "datatype": "FP32", "shape": ["batch", 1]}],
}))]
pub struct Signature {
    /// In the model's order.
    inputs: Vec<TensorSpec>,
    /// In the model's order.
    outputs: Vec<TensorSpec>,
    /// What a request may set besides, for all of its rows; MLflow's `params`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    params: Vec<TensorSpec>,
}

/// One input or output.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    name: String,
    /// The elements' type, by its Open Inference Protocol name.
    #[schema(value_type = String, examples("FP32"))]
    datatype: DataType,
    shape: Vec<Dimension>,
    /// Whether a request may leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    optional: bool,
}

/// A size; a name, for any size that is the same wherever the name stands; -1 for any size.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a size, a name, or -1 for any size")]
pub enum Dimension {
    /// A size, or -1.
    Size(i64),
    /// A name.
    Name(String),
}

impl From<domain::Signature> for Signature {
    fn from(signature: domain::Signature) -> Self {
        let specs = |specs: Vec<domain::TensorSpec>| specs.into_iter().map(Into::into).collect();
        Self {
            inputs: specs(signature.inputs),
            outputs: specs(signature.outputs),
            params: specs(signature.params),
        }
    }
}

impl From<domain::TensorSpec> for TensorSpec {
    fn from(spec: domain::TensorSpec) -> Self {
        let shape = spec.shape.into_iter().map(Into::into).collect();
        Self { name: spec.name, datatype: spec.datatype, shape, optional: spec.optional }
    }
}

impl From<Dim> for Dimension {
    fn from(dim: Dim) -> Self {
        match dim {
            // ONNX's own sizes are signed: none is larger.
            Dim::Fixed(size) => Self::Size(i64::try_from(size).unwrap_or(i64::MAX)),
            Dim::Symbolic(name) => Self::Name(name),
            Dim::Any => Self::Size(-1),
        }
    }
}

impl TryFrom<Signature> for domain::Signature {
    type Error = Problem;

    fn try_from(signature: Signature) -> Result<Self, Problem> {
        let specs = |side: &str, specs: Vec<TensorSpec>| -> Result<Vec<_>, Problem> {
            let at = |problem: Problem| problem.at(format!("signature.{side}"));
            specs.into_iter().map(|spec| spec.try_into().map_err(at)).collect()
        };
        Ok(Self {
            inputs: specs("inputs", signature.inputs)?,
            outputs: specs("outputs", signature.outputs)?,
            params: specs("params", signature.params)?,
        })
    }
}

impl TryFrom<TensorSpec> for domain::TensorSpec {
    type Error = Problem;

    fn try_from(spec: TensorSpec) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            let message = format!("the shape of `{}` holds {what}", spec.name);
            Problem::invalid("signature", message)
                .hint("a dimension is a size, a name, or -1 for any size")
        };
        let shape = spec.shape.into_iter().map(|dimension| match dimension {
            Dimension::Size(-1) => Ok(Dim::Any),
            Dimension::Size(size) => {
                u64::try_from(size).map(Dim::Fixed).map_err(|_| wrong(&size.to_string()))
            }
            Dimension::Name(name) if name.is_empty() || name.contains('\0') => {
                Err(wrong("a name that is none"))
            }
            Dimension::Name(name) => Ok(Dim::Symbolic(name)),
        });
        let shape = shape.collect::<Result<_, _>>()?;
        if spec.name.contains('\0') {
            return Err(Problem::invalid("signature", "a tensor's name holds U+0000"));
        }
        Ok(Self { name: spec.name, datatype: spec.datatype, shape, optional: spec.optional })
    }
}
