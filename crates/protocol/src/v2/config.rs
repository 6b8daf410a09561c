//! How a model is run, as Triton's configuration has it, over REST and over gRPC.
//!
//! Clients read it for `max_batch_size`: where that is more than 0, the first dimension of every
//! tensor is the batch and not among the `dims`.

use domain::{DataType, Dim, Signature, TensorSpec};
use serde::{Deserialize, Serialize};

use super::{grpc::messages, metadata::size};

/// The answer to `GET /v2/models/{name}/config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The name that was asked for.
    pub name: String,
    /// What the model runs on, e.g. `onnxruntime_onnx`.
    pub platform: String,
    /// The same, by the name of Triton's backend.
    pub backend: String,
    /// Which versions are served.
    pub version_policy: VersionPolicy,
    /// How many rows share a run at most; 0 where requests are never put together. More rows in one
    /// request are taken, and run by themselves.
    pub max_batch_size: i32,
    /// In the model's order.
    pub input: Vec<TensorConfig>,
    /// In the model's order.
    pub output: Vec<TensorConfig>,
    /// The runs that go on at once.
    pub instance_group: Vec<InstanceGroup>,
    /// The file that is loaded.
    pub default_model_filename: String,
    /// Present where requests are put together; nobody is made to wait for company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_batching: Option<DynamicBatching>,
}

/// Which versions are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionPolicy {
    /// These.
    pub specific: Versions,
}

/// Versions by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Their numbers.
    pub versions: Vec<i64>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorConfig {
    /// Its name.
    pub name: String,
    /// Its elements' type, e.g. `TYPE_FP32`.
    pub data_type: String,
    /// Its sizes, without the batch; -1 for any.
    pub dims: Vec<i64>,
    /// Whether a request may leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Runs that go on at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceGroup {
    /// How many.
    pub count: i32,
    /// On what: `KIND_CPU`.
    pub kind: String,
}

/// How requests are put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicBatching {
    /// How long a request waits for company.
    pub max_queue_delay_microseconds: u64,
}

impl ModelConfig {
    /// A model's tensors, with the batch apart where it has one.
    #[must_use]
    pub fn tensors(specs: &[TensorSpec], is_batched: bool) -> Vec<TensorConfig> {
        let tensor = |spec: &TensorSpec| TensorConfig {
            name: spec.name.clone(),
            data_type: type_name(spec.datatype),
            dims: spec.shape.iter().skip(usize::from(is_batched)).map(size).collect(),
            optional: spec.optional,
        };
        specs.iter().map(tensor).collect()
    }

    /// Whether the batch can be told apart: every tensor has it as its first dimension, of any size.
    #[must_use]
    pub fn has_batch(signature: &Signature) -> bool {
        let mut specs = signature.inputs.iter().chain(&signature.outputs);
        specs.all(|spec| spec.shape.first().is_some_and(Dim::is_dynamic))
    }
}

fn type_name(datatype: DataType) -> String {
    if datatype == DataType::Bytes {
        return "TYPE_STRING".to_owned();
    }
    format!("TYPE_{datatype}")
}

impl From<ModelConfig> for messages::ModelConfig {
    fn from(config: ModelConfig) -> Self {
        use messages::{model_instance_group::Kind, model_version_policy as policy};
        let versions = config.version_policy.specific.versions;
        let specific = policy::PolicyChoice::Specific(policy::Specific { versions });
        Self {
            name: config.name,
            platform: config.platform,
            backend: config.backend,
            version_policy: Some(messages::ModelVersionPolicy { policy_choice: Some(specific) }),
            max_batch_size: config.max_batch_size,
            input: config.input.into_iter().map(Into::into).collect(),
            output: config.output.into_iter().map(Into::into).collect(),
            instance_group: config
                .instance_group
                .into_iter()
                .map(|group| messages::ModelInstanceGroup {
                    count: group.count,
                    kind: Kind::from_str_name(&group.kind).unwrap_or_default().into(),
                })
                .collect(),
            default_model_filename: config.default_model_filename,
            dynamic_batching: config.dynamic_batching.map(|batching| {
                let max_queue_delay_microseconds = batching.max_queue_delay_microseconds;
                messages::ModelDynamicBatching { max_queue_delay_microseconds }
            }),
        }
    }
}

fn type_number(name: &str) -> i32 {
    messages::DataType::from_str_name(name).unwrap_or_default().into()
}

impl From<TensorConfig> for messages::ModelInput {
    fn from(TensorConfig { name, data_type, dims, optional }: TensorConfig) -> Self {
        Self { name, data_type: type_number(&data_type), dims, optional }
    }
}

impl From<TensorConfig> for messages::ModelOutput {
    fn from(TensorConfig { name, data_type, dims, optional: _ }: TensorConfig) -> Self {
        Self { name, data_type: type_number(&data_type), dims }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_datatype_has_a_name_and_a_number_of_tritons() {
        for &datatype in DataType::ALL {
            let number = type_number(&type_name(datatype));
            assert_ne!(number, 0, "{datatype}");
        }
        assert_eq!(type_number("TYPE_STRING"), 13);
    }

    #[test]
    fn the_batch_is_not_among_the_dims() {
        let signature: Signature = serde_json::from_value(json!({
            "inputs": [{"name": "x", "datatype": "FP32", "shape": ["n", 30]}],
            "outputs": [{"name": "y", "datatype": "BYTES", "shape": [-1]}],
        }))
        .unwrap();
        assert!(ModelConfig::has_batch(&signature));
        let dims =
            |specs: &[TensorSpec], batched| ModelConfig::tensors(specs, batched).remove(0).dims;
        assert_eq!(dims(&signature.inputs, true), [30]);
        assert_eq!(dims(&signature.inputs, false), [-1, 30]);
        assert_eq!(dims(&signature.outputs, true), [0_i64; 0]);
    }
}
