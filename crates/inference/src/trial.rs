//! Trying a version in a process of its own, before it may serve.
//!
//! [`run`] starts `EXE worker --trial` and talks to it by pipes: the job goes in as JSON, the
//! reports come back as lines of JSON. What the worker does with itself is in
//! [`worker`](crate::worker); here it is watched from outside: it has no environment, its group is
//! killed at the time limit, what it prints is bounded, and its death is read for a reason.
//!
//! What comes of it is the model's fault ([`TrialOutcome::Rejected`], in words for its author) or
//! ours ([`Error::Worker`], to be tried again).

mod process;
mod verdict;

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use domain::{FilePath, Signature, Tensor, pickle::FileFindings, python::Native};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub(crate) use self::verdict::{Fault, Outcome, too_large, too_slow};
use crate::{Error, Profile, scan::ScanJob, wire};

/// What to try.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrialJob {
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// The version's folder on this machine.
    pub folder: PathBuf,
    /// The file to load.
    pub file: FilePath,
    /// The input example, if its author gave one; `None` tries values made up from the signature.
    #[serde(with = "optional")]
    pub example: Option<Vec<Tensor>>,
}

/// What a trial may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrialLimits {
    /// From its start to its report.
    pub time: Duration,
    /// Memory that it may ask for. Weights mapped from files beside the model are not counted.
    pub memory_bytes: u64,
    /// The most bytes that its answer may have.
    pub output_bytes: usize,
}

impl Default for TrialLimits {
    /// 60 seconds, 2 GiB, answers of 64 MiB.
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory_bytes: 2 << 30, output_bytes: 64 << 20 }
    }
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialOutcome {
    /// The version can be served.
    Ready(Box<TrialReport>),
    /// It cannot, and why, in words for its author.
    Rejected {
        /// Names the operator, the tensor or the limit.
        reason: String,
    },
}

/// What a trial found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialReport {
    /// As the engine reads it.
    pub signature: Signature,
    /// How fast it is, and whether its requests may share a run.
    pub profile: Profile,
    /// The answer to the example; empty without one.
    #[serde(with = "wire")]
    pub outputs: Vec<Tensor>,
    /// How long the loading took.
    pub loading: Duration,
    /// Whether its trees can be run without Python; absent where it has none.
    pub native: Option<Native>,
}

/// Tries a version. `exe` is the program whose `worker --trial` is [`worker::main`]
/// (`crate::worker::main`), normally the running one. Dropping the future kills the worker.
///
/// # Errors
/// [`Error::Worker`]: the process could not be started or confined, or ended before it touched the
/// model.
pub async fn run(exe: &Path, job: TrialJob, limits: TrialLimits) -> Result<TrialOutcome, Error> {
    match work(exe, Work::Trial(job), limits.clone()).await?.end {
        Ok(Report::Ready(report)) => Ok(TrialOutcome::Ready(report)),
        Ok(_) => Err(Error::Worker("it answered something else".to_owned())),
        Err(fault) => Ok(TrialOutcome::Rejected { reason: fault.of_model(&limits) }),
    }
}

/// Has a worker do this.
pub(crate) async fn work(exe: &Path, work: Work, limits: TrialLimits) -> Result<Outcome, Error> {
    let exe = exe.to_owned();
    let (reply, outcome) = oneshot::channel();
    // The kernel kills the worker when the thread that started it ends. This one ends after it.
    thread::Builder::new()
        .name("trial".to_owned())
        .spawn(move || process::watch(&exe, &work, &limits, reply))
        .map_err(Error::Thread)?;
    outcome.await.unwrap_or_else(|_| Err(Error::Worker("its thread panicked".to_owned())))
}

/// What goes to the worker.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    /// Who started it, so that it can tell an orphan's life from its own.
    pub(crate) parent: u32,
    pub(crate) work: Work,
    pub(crate) limits: TrialLimits,
}

/// What a worker is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    Trial(TrialJob),
    Scan(ScanJob),
}

impl Work {
    /// The folder that it happens in.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Trial(job) => &job.folder,
            Self::Scan(job) => &job.folder,
        }
    }
}

/// What comes back, each on a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// Confined and about to touch the model: what happens from now on is the model's doing.
    Confined,
    /// It works.
    Ready(Box<TrialReport>),
    /// About to look into this file.
    Looking(FilePath),
    /// What was found in it, if it has to do with pickles.
    Found(FileFindings),
    /// All files have been looked into.
    Scanned,
    /// It does not, and why.
    Rejected(String),
    /// The trial could not take place.
    Failed(String),
}

/// [`wire`] for an example that may be absent.
mod optional {
    use domain::Tensor;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Some(#[serde(with = "crate::wire")] Vec<Tensor>);

    pub(super) fn serialize<S: Serializer>(
        tensors: &Option<Vec<Tensor>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        tensors.clone().map(Some).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Vec<Tensor>>, D::Error> {
        Ok(Option::<Some>::deserialize(from)?.map(|some| some.0))
    }
}
