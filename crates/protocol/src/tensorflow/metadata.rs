//! What a model is, and whether it answers.

use domain::{DataType, Dim, Signature, TensorSpec};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::predict::SIGNATURE;

/// One version's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus<'a> {
    /// Its number.
    pub version: &'a str,
    /// Whether it answers.
    pub is_available: bool,
}

/// The body that tells which versions there are.
#[must_use]
pub fn status<'a>(versions: impl IntoIterator<Item = ModelStatus<'a>>) -> Value {
    #[derive(Serialize)]
    struct Version<'a> {
        version: &'a str,
        state: &'static str,
        status: Value,
    }
    let versions = versions.into_iter().map(|ModelStatus { version, is_available }| Version {
        version,
        state: if is_available { "AVAILABLE" } else { "LOADING" },
        status: json!({"error_code": "OK", "error_message": ""}),
    });
    json!({"model_version_status": versions.collect::<Vec<_>>()})
}

/// The body that tells what goes in and comes out.
#[must_use]
pub fn metadata(name: &str, version: &str, signature: &Signature) -> Value {
    let signatures = json!({SIGNATURE: {
        "inputs": tensors(&signature.inputs),
        "outputs": tensors(&signature.outputs),
        "method_name": "tensorflow/serving/predict",
    }});
    json!({
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": signatures}},
    })
}

fn tensors(specs: &[TensorSpec]) -> Map<String, Value> {
    let tensor = |spec: &TensorSpec| {
        let size = |dim: &Dim| match dim {
            Dim::Fixed(size) => json!({"size": size.to_string(), "name": ""}),
            Dim::Symbolic(name) => json!({"size": "-1", "name": name}),
            Dim::Any => json!({"size": "-1", "name": ""}),
        };
        let dims: Vec<Value> = spec.shape.iter().map(size).collect();
        let described = json!({
            "dtype": datatype(spec.datatype),
            "tensor_shape": {"dim": dims, "unknown_rank": false},
            "name": spec.name,
        });
        (spec.name.clone(), described)
    };
    specs.iter().map(tensor).collect()
}

/// The type of that name.
pub(super) fn datatype_of(name: &str) -> Option<DataType> {
    DataType::ALL.iter().copied().find(|known| datatype(*known) == name)
}

const fn datatype(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "DT_BOOL",
        DataType::U8 => "DT_UINT8",
        DataType::U16 => "DT_UINT16",
        DataType::U32 => "DT_UINT32",
        DataType::U64 => "DT_UINT64",
        DataType::I8 => "DT_INT8",
        DataType::I16 => "DT_INT16",
        DataType::I32 => "DT_INT32",
        DataType::I64 => "DT_INT64",
        DataType::F16 => "DT_HALF",
        DataType::BF16 => "DT_BFLOAT16",
        DataType::F32 => "DT_FLOAT",
        DataType::F64 => "DT_DOUBLE",
        DataType::Bytes => "DT_STRING",
    }
}
