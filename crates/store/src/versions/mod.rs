//! Model versions: immutable file trees, and what is known of them.

mod read;
mod write;

use std::time::Duration;

use domain::{
    Batching, Digest, Manifest, ModelId, ModelName, Problem, Runtime, Servable, Signature, Stage,
    Timestamp, VersionId, VersionStatus,
    mlmodel::Facts,
    onnx::OnnxFacts,
    pickle::{Findings, Policy},
    process::Process,
    python::{Native, PythonModel},
    serving::Isolation,
    tracking::LoggedModelId,
};
use serde_json::{Value, json};

pub(crate) use self::write::touch_model;
pub use self::{
    read::{
        Deleted, deleted, find, find_by_digest, find_by_number, get, get_by_aliases, get_by_id,
        get_by_stage, get_even_deleted, in_stage, list, load, lock, lock_by_number,
        lock_newest_in_stage, manifest, newest, newest_in_stages,
    },
    write::{
        TrialOutcome, delete, delete_tag, finish_trial, insert, restore, set_batching,
        set_findings, set_isolation, set_native, set_tag, set_trust, update,
    },
};
use crate::{Error, Result, models::Tags};

/// Where a version comes from, as its author tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The run that trained it.
    pub run_id: Option<String>,
    /// The digest of what it was trained on.
    pub dataset_digest: Option<String>,
    /// The commit of the training code.
    pub git_commit: Option<String>,
    /// Anywhere else.
    pub source_url: Option<String>,
}

/// Where a version's files were when it was registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// As whoever registered it said: a URI, ours or a foreign one.
    pub source: Option<String>,
    /// Whether its bytes are elsewhere: then it has no files here.
    pub is_external: bool,
    /// The logged model that it was made from.
    pub logged_model_id: Option<LoggedModelId>,
    /// A link to the run, on whatever server.
    pub run_link: Option<String>,
}

/// How its author packaged it, as an `MLmodel` file among its files says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packaging {
    /// Flavours by name, with what each says.
    pub flavors: Option<Value>,
    /// The Python module that loads it.
    pub loader_module: Option<String>,
    /// What else the file says.
    pub mlmodel: Option<Facts>,
    /// How a Python process loads it, and what it needs.
    pub python: Option<PythonModel>,
    /// What of it could not be taken over, in sentences.
    pub notes: Vec<String>,
}

/// A version of a model.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its id.
    pub id: VersionId,
    /// Its model.
    pub model_id: ModelId,
    /// Its model's name.
    pub model: ModelName,
    /// Its number in the model, from 1.
    pub number: i32,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The bytes of all its files.
    pub size: u64,
    /// What is known of its bytes and its trial.
    pub status: VersionStatus,
    /// Whether an endpoint may serve it.
    pub servable: Servable,
    /// What runs it.
    pub runtime: Runtime,
    /// Why it is not servable; while its trial is not over, how far that is.
    pub reason: Option<String>,
    /// The file that the runtime loads.
    pub model_file: Option<String>,
    /// What an ONNX file says of itself.
    pub facts: Option<OnnxFacts>,
    /// What goes in and comes out.
    pub signature: Option<Signature>,
    /// A request body that it must be able to answer.
    pub input_example: Option<Value>,
    /// What its pickles would do; absent where it has none, or they are not scanned yet.
    pub findings: Option<Findings>,
    /// Which pickles may be deployed, as the platform's setting stands and for this version.
    pub policy: Policy,
    /// Who lets its code run, if anybody does.
    pub trust: Option<Box<Trust>>,
    /// Whether rows of several requests may be run together, as the trial found.
    pub batchable: bool,
    /// Whether nodes run its trees by themselves, as the trial found; absent where it has none.
    pub native: Option<Native>,
    /// How requests for it share runs.
    pub batching: Batching,
    /// Where it runs, if that was said.
    pub isolation: Option<Isolation>,
    /// MLflow's stage.
    pub stage: Stage,
    /// What is special about it.
    pub description: String,
    /// Where it comes from.
    pub lineage: Lineage,
    /// Where its files were.
    pub origin: Origin,
    /// How it is packaged.
    pub packaging: Packaging,
    /// Its tags.
    pub tags: Tags,
    /// The aliases that point to it now.
    pub aliases: Vec<String>,
    /// Who registered it.
    pub created_by: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When what is known of it last changed.
    pub updated_at: Timestamp,
}

impl Version {
    /// Why no endpoint may serve it now; absent where one may.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let (model, number) = (&self.model, self.number);
        match self.servable {
            Servable::Yes => {
                self.forbidden().map(|why| format!("`{model}/{number}` may not be deployed: {why}"))
            }
            Servable::Checking => Some(format!("the trial of `{model}/{number}` is not over")),
            Servable::No => {
                let reason = self.reason.as_deref().unwrap_or("no reason is known");
                let also = self.forbidden().map(|why| format!("; {why}")).unwrap_or_default();
                Some(format!("`{model}/{number}` cannot be served: {reason}{also}"))
            }
        }
    }

    /// Why the platform's setting forbids its pickles, or its code; absent where it does not.
    fn forbidden(&self) -> Option<String> {
        let found = self.findings.as_ref().and_then(|findings| findings.obstacle(self.policy));
        let code = || match self.runtime {
            Runtime::Python => self.packaging.python.as_ref()?.obstacle(self.policy),
            Runtime::Process => Process::obstacle(self.policy),
            Runtime::Onnx | Runtime::External | Runtime::None => None,
        };
        found.or_else(code)
    }

    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "model": self.model, "version": self.number, "digest": self.digest, "status": self.status,
            "servable": self.servable, "stage": self.stage, "description": self.description, "tags": self.tags,
            "batching": self.batching, "isolation": self.isolation,
            "trust": self.trust.as_ref().map(|trust| json!({"by": trust.by, "reason": trust.reason})),
        })
    }
}

/// Why a version's own code may run while the platform's setting takes known constructors alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Who says so.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What a new version is made of.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// Its files; their blobs are there.
    pub manifest: Manifest,
    /// What runs it.
    pub runtime: Runtime,
    /// The file that the runtime loads.
    pub model_file: Option<String>,
    /// What an ONNX file says of itself.
    pub facts: Option<OnnxFacts>,
    /// What goes in and comes out.
    pub signature: Option<Signature>,
    /// A request body that it must be able to answer.
    pub input_example: Option<Value>,
    /// Why no trial is needed to know that it is not servable; absent where there is a trial.
    pub not_servable: Option<String>,
    /// What is special about it.
    pub description: String,
    /// Where it comes from.
    pub lineage: Lineage,
    /// Where its files were.
    pub origin: Origin,
    /// How it is packaged.
    pub packaging: Packaging,
    /// Its tags.
    pub tags: Tags,
}

/// How a version's requests share runs, as its row says.
pub(crate) fn batching(id: uuid::Uuid, max_batch: Option<i32>, micros: i32) -> Result<Batching> {
    let rows = max_batch.map(|rows| u64::from(rows.unsigned_abs()));
    Batching::new(rows, Duration::from_micros(micros.unsigned_abs().into()))
        .map_err(|_| Error::inconsistent("model_versions", "max_batch", id))
}

/// A size as Postgres keeps it.
pub(crate) fn size(bytes: u64) -> Result<i64> {
    i64::try_from(bytes)
        .map_err(|_| Error::Refused(Problem::invalid("files", "the files are larger than 8 EiB")))
}

/// Where a version runs, as its row says.
pub(crate) fn isolation(
    table: &'static str,
    id: uuid::Uuid,
    isolation: Option<&str>,
) -> Result<Option<Isolation>> {
    let isolation = isolation.map(str::parse).transpose();
    isolation.map_err(|_| Error::inconsistent(table, "isolation", id))
}
