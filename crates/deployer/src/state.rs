//! What the deployer works with.

use std::{path::PathBuf, sync::Arc};

use auth::Access;
use domain::{Problem, Signature, Tensor};
use inference::{ModelCache, trial::TrialLimits};
use serde_json::Value;
use store::Database;

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
    /// How many trials go on at once.
    pub at_once: usize,
    /// How input examples are read: protocols are not this crate's business.
    pub decode_example: DecodeExample,
}
