//! What the server and its endpoints say of themselves, over HTTP and over gRPC.

use auth::{Permit, verbs};
use domain::Problem;
use protocol::v2::metadata::{ModelMetadata, ServerMetadata};

use crate::{State, predict::route};

/// What Triton calls ONNX models that ONNX Runtime runs.
const PLATFORM: &str = "onnxruntime_onnx";

pub(crate) fn server() -> ServerMetadata {
    ServerMetadata {
        name: "bottega".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: Vec::new(),
    }
}

/// An endpoint, by the version that answers now, or by one of those that may be asked for.
///
/// # Errors
/// No such endpoint, no version ready, or that version is not in the present release.
pub(crate) fn endpoint(
    state: &State,
    permit: &Permit<verbs::View>,
    version: Option<i32>,
) -> Result<ModelMetadata, Problem> {
    let route = route(state, permit.resource().name())?;
    let served = route.pick(version)?;
    let versions = route.shares.iter().map(|share| share.served.labels.version.clone()).collect();
    Ok(ModelMetadata::new(route.name.as_str(), versions, PLATFORM, &served.signature))
}
