//! Versions that a server of others runs: one engine for each connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{Signature, Tensor, external::External};
use inference::{Engine, Error, ModelFolder, Profile, Replica, ReplicaOptions};
use remote::{Failure, Model, Remote};
use tokio::runtime::Handle;

/// What a request is taken to need until some were answered.
const UNKNOWN: Duration = Duration::from_millis(5);

/// One connection's worth of questions.
struct RemoteEngine {
    model: Model,
    remote: Arc<Remote>,
    handle: Handle,
    max_output_bytes: usize,
}

/// Serves a version by the server that its file names. Nothing is asked of it yet: whether it is there or
/// not, its version is, and each request is told how it fares.
///
/// # Errors
/// The file cannot be read or names none; a thread cannot be started.
pub(crate) fn replica(
    folder: &ModelFolder,
    signature: &Signature,
    remote: &Arc<Remote>,
    options: &ReplicaOptions,
) -> Result<Replica, Error> {
    let file = folder.path.join(folder.file.as_str());
    let content = std::fs::read(&file)
        .map_err(|error| Error::Cache { folder: folder.path.clone(), reason: error.to_string() })?;
    let external = External::read(&content)?;
    let engine = || engine(&external, signature, remote, options.max_output_bytes);
    let engines = (0..external.connections()).map(|_| engine()).collect::<Result<_, _>>()?;
    // Its server puts requests together, if anybody does.
    let profile = Profile { batchable: false, single: UNKNOWN, max_batch: 1, per_row: UNKNOWN };
    Replica::start(engines, profile, options)
}

/// One connection's worth of questions to a server. In tokio's runtime, where they are asked.
///
/// # Errors
/// It has no address.
pub fn engine(
    external: &External,
    signature: &Signature,
    remote: &Arc<Remote>,
    max_output_bytes: usize,
) -> Result<Box<dyn Engine>, Error> {
    let model = Model::new(external, signature).map_err(|it| Error::Model(it.to_string()))?;
    let (remote, handle) = (Arc::clone(remote), Handle::current());
    Ok(Box::new(RemoteEngine { model, remote, handle, max_output_bytes }))
}

impl Engine for RemoteEngine {
    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let asked = self.model.ask(&*self.remote, inputs, self.max_output_bytes, deadline);
        let host = self.model.host();
        let who = || format!("its server `{host}`");
        self.handle.block_on(asked).map_err(|failure| failed(failure, &self.model, &who()))
    }

    /// A question that was asked may have been answered.
    fn ends_runs_early(&self) -> bool {
        false
    }
}

/// Why a model does not answer that somebody else runs, who is called so.
pub(crate) fn failed(failure: Failure, model: &Model, who: &str) -> Error {
    match failure {
        Failure::Late => Error::Timeout,
        Failure::Input(problem) => Error::Input(problem),
        // What the server says of the request, which it alone understands.
        Failure::Status { status: 400 | 422, told } => {
            Error::Run(format!("{who} refuses it{told}"))
        }
        Failure::TooLarge { output, limit } => {
            let first = || Some(model.signature().outputs.first()?.name.clone());
            let name = output.or_else(first).unwrap_or_default();
            Error::OutputTooLarge { name, limit }
        }
        failure @ (Failure::Unreachable(_)
        | Failure::Redirect(_)
        | Failure::Status { .. }
        | Failure::Wrong(_)
        | Failure::Credential(_)) => Error::Failed(format!("{who}: {failure}")),
    }
}
