//! Loads ONNX versions: into this process, or into processes of their own.

use std::{path::PathBuf, sync::Arc};

use domain::{Digest, Tensor};
use inference::{
    Engine, Error, Journal, ModelFolder, Replica, ReplicaOptions, Runtime,
    onnx::{OnnxEngine, OnnxOptions},
    process::{Bounds, Host, ProcessEngine, Program},
};

use crate::State;

/// What loads a version.
pub(super) enum Onnx {
    Here(Runtime, Option<Arc<Journal>>, Digest),
    Apart(Host, PathBuf, Bounds),
}

impl Onnx {
    pub(super) fn here(state: &State, digest: Digest) -> Self {
        Self::Here(state.given.runtime.clone(), state.given.journal.clone(), digest)
    }

    pub(super) fn apart(state: &State, (host, bounds): (Host, Bounds)) -> Self {
        Self::Apart(host, state.given.library.clone(), bounds)
    }

    pub(super) fn load(
        &self,
        model: &ModelFolder,
        options: &ReplicaOptions,
        example: Option<Vec<Tensor>>,
    ) -> Result<Replica, Error> {
        let load = |threads| -> Result<Box<dyn Engine>, Error> {
            let onnx = OnnxOptions { threads, max_output_bytes: options.max_output_bytes };
            Ok(match self {
                Self::Here(runtime, None, _) => Box::new(OnnxEngine::load(runtime, model, &onnx)?),
                Self::Here(runtime, Some(journal), digest) => {
                    Box::new(journal.watch(digest, || OnnxEngine::load(runtime, model, &onnx))?)
                }
                Self::Apart(host, library, bounds) => {
                    let program = Program::onnx(host.exe(), library, model, &onnx);
                    let bounds = bounds.clone().on_processors(threads);
                    Box::new(ProcessEngine::start(host, program, bounds, None)?)
                }
            })
        };
        Replica::of(model.bytes, load, options, example)
    }
}
