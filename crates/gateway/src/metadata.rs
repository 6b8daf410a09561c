//! What the server and its endpoints say of themselves, over HTTP and over gRPC.

use auth::{Permit, verbs};
use domain::{Problem, Runtime};
use protocol::v2::{
    config::{DynamicBatching, InstanceGroup, ModelConfig, VersionPolicy, Versions},
    metadata::{ModelMetadata, ServerMetadata},
};

use crate::{State, predict::settled_route};

/// What Triton calls models that this runs, and what runs them.
const fn platform(runtime: Runtime) -> (&'static str, &'static str) {
    match runtime {
        Runtime::Onnx => ("onnxruntime_onnx", "onnxruntime"),
        Runtime::Python => ("python", "python"),
        Runtime::External => ("external", "external"),
        Runtime::Process => ("process", "process"),
        Runtime::None => ("", ""),
    }
}

/// Triton's extensions, by the names that its clients look for.
const EXTENSIONS: [&str; 4] =
    ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];

pub(crate) fn server() -> ServerMetadata {
    ServerMetadata {
        name: "bottega".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).into(),
    }
}

/// An endpoint, by the version that answers now, or by one of those that may be asked for.
///
/// # Errors
/// No such endpoint, no version ready, or that version is not in the present release.
pub(crate) async fn endpoint(
    state: &State,
    permit: &Permit<verbs::View>,
    version: Option<i32>,
) -> Result<ModelMetadata, Problem> {
    let route = settled_route(state, permit.resource().name()).await?;
    let share = route.pick(version)?;
    let versions = route.shares.iter().map(|share| share.served.labels.version.clone()).collect();
    let (name, platform) = (route.name.as_str(), platform(share.served.runtime).0);
    Ok(ModelMetadata::new(name, versions, platform, share.signature()))
}

/// How an endpoint is run, by the version that answers now, or by one of those that may be asked for.
///
/// # Errors
/// As for [`endpoint`].
pub(crate) async fn config(
    state: &State,
    permit: &Permit<verbs::View>,
    version: Option<i32>,
) -> Result<ModelConfig, Problem> {
    let route = settled_route(state, permit.resource().name()).await?;
    let share = route.pick(version)?;
    let served = &share.served;
    let (profile, signature) = (served.replica.profile(), share.signature());
    let is_batched = profile.batchable && ModelConfig::has_batch(signature);
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let versions = route.shares.iter().map(|share| share.served.number.into()).collect();
    Ok(ModelConfig {
        name: route.name.clone(),
        platform: platform(served.runtime).0.to_owned(),
        backend: platform(served.runtime).1.to_owned(),
        version_policy: VersionPolicy { specific: Versions { versions } },
        max_batch_size: if is_batched { count(served.replica.max_batch()) } else { 0 },
        input: ModelConfig::tensors(&signature.inputs, is_batched),
        output: ModelConfig::tensors(&signature.outputs, is_batched),
        instance_group: vec![InstanceGroup {
            count: count(served.replica.threads()),
            kind: "KIND_CPU".to_owned(),
        }],
        default_model_filename: served.model_file.clone(),
        dynamic_batching: is_batched.then(|| {
            let wait = u64::try_from(served.replica.batch_wait().as_micros()).unwrap_or(u64::MAX);
            DynamicBatching { max_queue_delay_microseconds: wait }
        }),
    })
}
