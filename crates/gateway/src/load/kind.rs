//! The kinds of versions, each loaded in its own way.

use std::sync::Arc;

use domain::{
    Digest, Runtime, Signature, Tensor,
    python::{Native, PythonModel},
    serving::Isolation,
};
use inference::{
    CachedFolder, Error, ModelFolder, NativeTrees, OwnProgram, Replica, ReplicaOptions,
    process::{Apart, Bounds, Host},
};
use store::serving::Loadable;

use super::{Failure, onnx::Onnx};
use crate::{State, external, isolation, python};

/// What loads a version.
pub(super) enum Kind {
    Onnx(Onnx),
    /// What always runs in processes of its own.
    Apart(Box<dyn Apart + Send>, (Host, Bounds)),
    /// Trees that are run here and not in Python.
    Native(Box<PythonModel>, Signature),
    External(Arc<remote::Remote>, Signature),
}

impl Kind {
    /// Which kind a version is of, and why it is run apart where nobody asked for that.
    ///
    /// # Errors
    /// It cannot be run here; the database is away.
    pub(super) async fn choose(
        state: &State,
        (loadable, folder): (&Loadable, &CachedFolder),
        digest: &Digest,
        (isolation, processes): (Isolation, (Host, Bounds)),
    ) -> Result<(Self, Option<&'static str>), Failure> {
        let signature = || loadable.signature.clone();
        if loadable.runtime == Runtime::External {
            return Ok((Self::External(Arc::clone(&state.given.remote), signature()), None));
        }
        if loadable.runtime == Runtime::Process {
            let program = OwnProgram::new(state.given.host.exe(), signature(), folder)?;
            return Ok((Self::Apart(Box::new(program), processes), None));
        }
        if let Some(model) = &loadable.python {
            let is_native = matches!(loadable.native, Some(Native::Native { .. }));
            // Whoever asks for a process of its own gets the one that it has: Python's.
            if is_native && isolation == Isolation::InProcess {
                return Ok((Self::Native(Box::new(model.clone()), signature()), None));
            }
            let program = python::program(state, loadable, model, folder).await?;
            return Ok((Self::Apart(Box::new(program), processes), None));
        }
        let suspicion = isolation::suspicion(state, loadable, digest, isolation).await?;
        let is_apart = isolation == Isolation::Process || suspicion.is_some();
        let onnx = match is_apart {
            true => Onnx::apart(state, processes),
            false => Onnx::here(state, *digest),
        };
        Ok((Self::Onnx(onnx), suspicion))
    }

    /// Loads it, and tells how much memory that takes. Blocks.
    ///
    /// # Errors
    /// As for [`Replica::of`].
    pub(super) fn load(
        &self,
        folder: &ModelFolder,
        options: &ReplicaOptions,
        example: Option<Vec<Tensor>>,
    ) -> Result<(Replica, u64), Error> {
        let each = |replica: Replica, bytes: u64| {
            let all = bytes.saturating_mul(replica.threads() as u64);
            (replica, all)
        };
        Ok(match self {
            Self::Onnx(onnx) => each(onnx.load(folder, options, example)?, folder.bytes),
            Self::Apart(program, (host, bounds)) => {
                each(program.serve(host, bounds, options, example)?, program.bytes())
            }
            Self::Native(model, signature) => {
                let most = options.max_output_bytes;
                let trees = NativeTrees::load(model, signature, &folder.path, most);
                let trees = trees.map_err(Error::Model)?;
                (trees.serve(options, example)?, trees.bytes())
            }
            Self::External(remote, signature) => {
                each(external::replica(folder, signature, remote, options)?, folder.bytes)
            }
        })
    }
}
