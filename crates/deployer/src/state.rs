//! What the deployer works with.

use std::{path::PathBuf, sync::Arc};

use auth::Access;
use domain::{Problem, Signature, Tensor};
use inference::{Environments, ModelCache, process::Host, trial::TrialLimits};
use remote::Remote;
use serde_json::Value;
use store::Database;
use tokio::sync::Semaphore;

/// Reads an input example, a request body of the Open Inference Protocol, for a signature.
pub type DecodeExample = fn(&Value, &Signature) -> Result<Vec<Tensor>, Problem>;

/// What the deployer works with; made by whoever runs it. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// Where everything is read and written.
    pub database: Database,
    /// Who permits what the deployer does by itself.
    pub access: Access,
    /// How versions are tried.
    pub trials: Trials,
}

/// How versions are tried.
#[derive(Clone)]
pub struct Trials {
    /// The models' files on this machine.
    pub cache: Arc<ModelCache>,
    /// The program whose `worker --trial` tries a version; normally the running one.
    pub exe: PathBuf,
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// What a trial may take.
    pub limits: TrialLimits,
    /// Environments of Python packages on this machine.
    pub environments: Arc<Environments>,
    /// How processes of Python versions are started.
    pub host: Host,
    /// How many trials go on at once.
    pub at_once: usize,
    /// How many of them have a worker at once: environments are built beside.
    pub workers: Arc<Semaphore>,
    /// What asks servers of others, which run versions that are external.
    pub remote: Arc<Remote>,
    /// How input examples are read: protocols are not this crate's business.
    pub decode_example: DecodeExample,
}
