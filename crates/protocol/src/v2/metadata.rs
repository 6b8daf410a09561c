//! What a server and its models say of themselves, over REST and over gRPC.

use domain::{DataType, Dim, ErrorCode, Problem, Signature, TensorSpec};
use serde::{Deserialize, Serialize};

use super::grpc::messages;

/// The answer to `GET /v2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// The server's name.
    pub name: String,
    /// The server's version.
    pub version: String,
    /// Triton's extensions that it speaks.
    pub extensions: Vec<String>,
}

/// The answer to `GET /v2/models/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMetadata {
    /// The name that was asked for.
    pub name: String,
    /// The versions that can be asked for by name.
    pub versions: Vec<String>,
    /// What the model runs on, e.g. `onnxruntime_onnx`.
    pub platform: String,
    /// In the model's order.
    pub inputs: Vec<TensorMetadata>,
    /// In the model's order.
    pub outputs: Vec<TensorMetadata>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorMetadata {
    /// Its name.
    pub name: String,
    /// Its elements' type.
    pub datatype: DataType,
    /// Its sizes; -1 for a dimension of any size.
    pub shape: Vec<i64>,
    /// Whether a request may leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl ModelMetadata {
    /// A model's metadata from its signature.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        versions: Vec<String>,
        platform: impl Into<String>,
        signature: &Signature,
    ) -> Self {
        // V2 knows them as inputs that may be left out.
        let params =
            signature.params.iter().map(|spec| TensorMetadata { optional: true, ..spec.into() });
        Self {
            name: name.into(),
            versions,
            platform: platform.into(),
            inputs: signature.inputs.iter().map(TensorMetadata::from).chain(params).collect(),
            outputs: signature.outputs.iter().map(TensorMetadata::from).collect(),
        }
    }
}

impl ModelMetadata {
    /// Reads what another server says of its model; what else it says goes unseen.
    ///
    /// # Errors
    /// It is no such metadata.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Told {
            name: String,
            #[serde(default)]
            versions: Option<Vec<String>>,
            #[serde(default)]
            platform: String,
            inputs: Vec<TensorMetadata>,
            outputs: Vec<TensorMetadata>,
        }
        let told: Told = serde_json::from_slice(body)
            .map_err(|error| Problem::new(ErrorCode::Invalid, error.to_string()))?;
        let Told { name, versions, platform, inputs, outputs } = told;
        Ok(Self { name, versions: versions.unwrap_or_default(), platform, inputs, outputs })
    }

    /// What goes in and comes out.
    #[must_use]
    pub fn signature(&self) -> Signature {
        let specs = |tensors: &[TensorMetadata]| tensors.iter().map(TensorSpec::from).collect();
        Signature::new(specs(&self.inputs), specs(&self.outputs))
    }
}

impl From<&TensorMetadata> for TensorSpec {
    fn from(told: &TensorMetadata) -> Self {
        let size = |size: &i64| u64::try_from(*size).map_or(Dim::Any, Dim::Fixed);
        Self {
            name: told.name.clone(),
            datatype: told.datatype,
            shape: told.shape.iter().map(size).collect(),
            optional: told.optional,
        }
    }
}

/// A dimension on the wire.
pub(super) fn size(dim: &Dim) -> i64 {
    match dim {
        // A size past i64 fits no tensor; the largest number says so as well as it.
        Dim::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dim::Symbolic(_) | Dim::Any => -1,
    }
}

impl From<&TensorSpec> for TensorMetadata {
    fn from(spec: &TensorSpec) -> Self {
        Self {
            name: spec.name.clone(),
            datatype: spec.datatype,
            shape: spec.shape.iter().map(size).collect(),
            optional: spec.optional,
        }
    }
}

impl From<ServerMetadata> for messages::ServerMetadataResponse {
    fn from(metadata: ServerMetadata) -> Self {
        let ServerMetadata { name, version, extensions } = metadata;
        Self { name, version, extensions }
    }
}

impl From<ModelMetadata> for messages::ModelMetadataResponse {
    fn from(metadata: ModelMetadata) -> Self {
        let ModelMetadata { name, versions, platform, inputs, outputs } = metadata;
        let tensors = |tensors: Vec<TensorMetadata>| tensors.into_iter().map(Into::into).collect();
        Self { name, versions, platform, inputs: tensors(inputs), outputs: tensors(outputs) }
    }
}

impl From<TensorMetadata> for messages::model_metadata_response::TensorMetadata {
    fn from(metadata: TensorMetadata) -> Self {
        let TensorMetadata { name, datatype, shape, optional: _ } = metadata;
        Self { name, datatype: datatype.to_string(), shape }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dynamic_dimension_is_minus_one_in_both_forms() {
        let signature: Signature = serde_json::from_value(json!({
            "inputs": [{"name": "x", "datatype": "FP32", "shape": ["batch", 30]}],
            "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
        }))
        .unwrap();
        let metadata = ModelMetadata::new("fraud", vec!["3".to_owned()], "onnx", &signature);
        assert_eq!(
            serde_json::to_value(&metadata).unwrap(),
            json!({
                "name": "fraud",
                "versions": ["3"],
                "platform": "onnx",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 30]}],
                "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
            })
        );
        let read = ModelMetadata::read(&serde_json::to_vec(&metadata).unwrap()).unwrap();
        assert_eq!(read.signature().inputs[0].shape, [Dim::Any, Dim::Fixed(30)]);
        let message = messages::ModelMetadataResponse::from(metadata);
        assert_eq!(message.inputs[0].datatype, "FP32");
        assert_eq!(message.inputs[0].shape, [-1, 30]);
        assert_eq!(message.outputs[0].name, "y");
    }
}
