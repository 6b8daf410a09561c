//! The seam between a request and whatever computes the answer.

use std::{path::PathBuf, time::Instant};

use domain::{FilePath, Problem, Signature, Tensor};

use crate::Error;

/// One loaded model, used by one thread at a time.
///
/// To add a kind of engine: load it from a [`ModelFolder`], read its signature, and run arranged
/// inputs; queueing, batching and draining come from [`Replica`](crate::Replica).
pub trait Engine: Send {
    /// What goes in and what comes out.
    fn signature(&self) -> &Signature;

    /// Computes the answer to inputs that [`arrange`] has put in order.
    ///
    /// # Errors
    /// The model's own failure, an answer that is too large, or a run that the deadline ended.
    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error>;

    /// Whether a run that takes too long for its caller's thread may be ended, to be begun again elsewhere.
    fn ends_runs_early(&self) -> bool {
        true
    }
}

/// A version's files on this node, verified, and which of them is loaded.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// The folder.
    pub path: PathBuf,
    /// The file that the engine loads; others, such as external weights, lie around it.
    pub file: FilePath,
    /// All files together, which tells how much memory one loaded copy takes.
    pub bytes: u64,
}

/// Checks a request's tensors and puts them in the signature's order, params behind inputs.
///
/// # Errors
/// The first tensor that does not fit the signature, by name.
pub fn arrange(signature: &Signature, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>, Problem> {
    signature.check(&tensors)?;
    // One that is optional may not be there: then the next one takes its place.
    let mut at = 0;
    for spec in signature.inputs.iter().chain(&signature.params) {
        if let Some(found) = tensors.iter().skip(at).position(|tensor| tensor.name == spec.name) {
            tensors.swap(at, at + found);
            at += 1;
        }
    }
    Ok(tensors)
}
