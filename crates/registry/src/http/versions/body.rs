//! Versions on the wire.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    Digest, Problem, Runtime, Servable, Stage, VersionStatus,
    mlmodel::Facts,
    onnx::OnnxFacts,
    pickle::Findings,
    python::{Native, PythonModel},
    serving::Isolation,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::signature::Signature;
use crate::text;

/// A version of a model: an immutable tree of files, and what is known of it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "model": "fraud", "version": 3,
    "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "size": 48213, "status": "ready", "servable": "yes", "runtime": "onnx", "model_file": "model.onnx",
    "signature": {
        "inputs": [{"name": "features", "datatype": "FP32", "shape": ["batch", 30]}],
        "outputs": [{"name": "score", "datatype": "FP32", "shape": ["batch", 1]}],
    },
    "onnx": {
        "ir_version": 10, "producer_name": "skl2onnx", "producer_version": "1.19.1",
        "opset": {"ai.onnx": 21}, "operators": ["Gemm", "Sigmoid"],
    },
    "flavors": {
        "onnx": {"data": "model.onnx", "onnx_version": "1.23.2"},
        "python_function": {"data": "model.onnx", "loader_module": "mlflow.onnx", "python_version": "3.11.7"},
    },
    "loader_module": "mlflow.onnx",
    "mlmodel": {
        "mlflow_version": "3.17.2", "utc_time_created": "2026-01-02 03:04:05.678901",
        "run_id": "9d1c2d5f1e0b4d0c8f3a5b6c7d8e9f00", "inputs": ["float32 [-1, 30]"], "outputs": ["float32 [-1, 1]"],
    },
    "notes": ["the input example `input_example.json` is left out: the file is not given"],
    "batchable": true, "batching": {"max_batch": null, "wait": "0ms"}, "stage": "None", "is_external": false, "description": "Trained on June",
    "lineage": {"run_id": "9d1c2d5f1e0b4d0c8f3a5b6c7d8e9f00", "git_commit": "3e088bc"},
    "tags": {"ticket": "R-12"}, "aliases": ["champion"], "created_by": "user:ana",
    "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z",
}))]
pub struct Version {
    model: String,
    /// Its number in the model, from 1.
    version: i32,
    /// The digest of its files: its identity.
    #[schema(value_type = String)]
    digest: Digest,
    /// The bytes of all its files.
    size: u64,
    /// `pending` until its trial is over, then `ready` or `rejected`.
    #[schema(value_type = String)]
    status: VersionStatus,
    /// Whether an endpoint may serve it: `yes`, `no` or `checking`.
    #[schema(value_type = String)]
    servable: Servable,
    /// What runs it: `onnx`, `python` or `none`.
    #[schema(value_type = String)]
    runtime: Runtime,
    /// Why it is not servable; while its trial goes on, how far that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The file that the runtime loads.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    onnx: Option<Onnx>,
    /// A V2 infer request that it must be able to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    input_example: Option<serde_json::Value>,
    /// What its pickles would do if somebody loaded them, each file with its imports; absent where
    /// it has none, or until they are scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    findings: Option<Findings>,
    /// Who lets its pickles and code run by themselves, while the setting `pickle` is `safe-only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<Trust>,
    /// Whether rows of several requests may be run together.
    batchable: bool,
    batching: Batching,
    /// Where it runs, if that was said: `in-process`, or `process` for one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, examples("process"))]
    isolation: Option<Isolation>,
    /// The stage that it is in: one of its model's.
    #[schema(value_type = String)]
    stage: Stage,
    /// Where its files were when it was registered, as a URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Whether its bytes are elsewhere.
    is_external: bool,
    /// The logged model that it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_model_id: Option<String>,
    /// The flavours of its `MLmodel` file, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    flavors: Option<serde_json::Value>,
    /// The Python module that loads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    loader_module: Option<String>,
    /// What else its `MLmodel` file says: who wrote it and when, inputs and outputs in MLflow's
    /// words, the params that MLflow takes at a prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    mlmodel: Option<Facts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    python: Option<Python>,
    /// What of its `MLmodel` file could not be taken over, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    description: String,
    lineage: Lineage,
    tags: BTreeMap<String, String>,
    /// The aliases that point to it.
    aliases: Vec<String>,
    created_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// The moment that was asked for: `stage` and `aliases` are as they were then.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<DateTime<Utc>>,
}

impl Version {
    /// The same, told as of a moment.
    pub fn told_of(self, at: DateTime<Utc>) -> Self {
        Self { as_of: Some(at), ..self }
    }
}

/// Why a version's own code may run.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"by": "user:admin", "at": "2026-01-02T03:04:05Z", "reason": "Read by Ana, ticket R-12"}))]
pub struct Trust {
    by: String,
    at: DateTime<Utc>,
    reason: String,
}

impl From<store::versions::Trust> for Trust {
    fn from(store::versions::Trust { by, at, reason }: store::versions::Trust) -> Self {
        Self { by, at, reason }
    }
}

/// What a Python process needs to run it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"flavour": "sklearn", "version": "3.11.7", "requirements": ["scikit-learn==1.9.1", "numpy"]}))]
pub struct Python {
    /// What loads it: `sklearn`, `xgboost`, `lightgbm` and `catboost` by themselves, any other model by
    /// MLflow's `pyfunc`.
    flavour: &'static str,
    /// The Python that it was made with.
    version: String,
    /// The packages that it asks for.
    requirements: Vec<String>,
    /// What runs a version of XGBoost or LightGBM: `native`, by the node itself, or `python`; absent until it
    /// was tried, and for other flavours, which Python runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("native"))]
    engine: Option<&'static str>,
    /// Why that runs it, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("it answers 256 rows as Python does, to 1e-6"))]
    engine_reason: Option<String>,
}

impl Python {
    fn new(model: &PythonModel, native: Option<&Native>) -> Self {
        Self {
            flavour: model.loader.name(),
            version: model.python.to_string(),
            requirements: model.requirements.iter().map(ToString::to_string).collect(),
            engine: native.map(Native::engine),
            engine_reason: native.map(Native::reason),
        }
    }
}

/// How requests for a version share runs.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"max_batch": 32, "wait": "2ms"}))]
pub struct Batching {
    /// Rows that share a run at most; null: as many as pay, by a short measurement at loading.
    #[serde(default)]
    #[schema(required, minimum = 1, maximum = 4096)]
    max_batch: Option<u64>,
    /// How long the first of a run waits for company, at most `1s`; `0ms`: it is never made to wait.
    #[serde(default = "no_wait")]
    wait: String,
}

fn no_wait() -> String {
    "0ms".to_owned()
}

impl From<domain::Batching> for Batching {
    fn from(batching: domain::Batching) -> Self {
        let max_batch = batching.max_batch.map(|rows| u64::from(rows.get()));
        Self { max_batch, wait: domain::write_duration(batching.wait) }
    }
}

impl TryFrom<Batching> for domain::Batching {
    type Error = Problem;

    fn try_from(batching: Batching) -> Result<Self, Problem> {
        let wait = domain::parse_duration(&batching.wait).map_err(|error| {
            Problem::invalid("batching.wait", error).hint("like 2ms, or 0ms for no wait")
        })?;
        Self::new(batching.max_batch, wait)
    }
}

/// What an ONNX file says of itself.
#[derive(Serialize, ToSchema)]
pub struct Onnx {
    /// The version of the file format.
    ir_version: i64,
    /// The program that wrote the file.
    producer_name: String,
    /// That program's version.
    producer_version: String,
    /// The versions of the operator sets that it builds on.
    opset: BTreeMap<String, i64>,
    /// The operators that it uses.
    operators: BTreeSet<String>,
}

/// Where a version comes from, as its author tells.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// The run that trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// The digest of what it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<String>,
    /// The commit of the training code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    git_commit: Option<String>,
    /// Anywhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_url: Option<String>,
}

impl From<store::versions::Version> for Version {
    fn from(version: store::versions::Version) -> Self {
        Self {
            model: version.model.to_string(),
            version: version.number,
            digest: version.digest,
            size: version.size,
            status: version.status,
            servable: version.servable,
            runtime: version.runtime,
            reason: version.reason,
            model_file: version.model_file,
            signature: version.signature.map(Into::into),
            onnx: version.facts.map(Into::into),
            input_example: version.input_example,
            findings: version.findings,
            trust: version.trust.map(|trust| (*trust).into()),
            batchable: version.batchable,
            batching: version.batching.into(),
            isolation: version.isolation,
            stage: version.stage,
            source: version.origin.source,
            is_external: version.origin.is_external,
            logged_model_id: version.origin.logged_model_id.map(|id| id.to_string()),
            flavors: version.packaging.flavors,
            loader_module: version.packaging.loader_module,
            mlmodel: version.packaging.mlmodel,
            python: version
                .packaging
                .python
                .map(|model| Python::new(&model, version.native.as_ref())),
            notes: version.packaging.notes,
            description: version.description,
            lineage: version.lineage.into(),
            tags: version.tags,
            aliases: version.aliases,
            created_by: version.created_by,
            created_at: version.created_at,
            updated_at: version.updated_at,
            as_of: None,
        }
    }
}

impl From<OnnxFacts> for Onnx {
    fn from(facts: OnnxFacts) -> Self {
        Self {
            ir_version: facts.ir_version,
            producer_name: facts.producer_name,
            producer_version: facts.producer_version,
            opset: facts.opset,
            operators: facts.operators,
        }
    }
}

impl From<store::versions::Lineage> for Lineage {
    fn from(lineage: store::versions::Lineage) -> Self {
        let store::versions::Lineage { run_id, dataset_digest, git_commit, source_url } = lineage;
        Self { run_id, dataset_digest, git_commit, source_url }
    }
}

impl TryFrom<Lineage> for store::versions::Lineage {
    type Error = Problem;

    fn try_from(lineage: Lineage) -> Result<Self, Problem> {
        let short = |field: &str, text| text::optional(&format!("lineage.{field}"), text, 500);
        Ok(Self {
            run_id: short("run_id", lineage.run_id)?,
            dataset_digest: short("dataset_digest", lineage.dataset_digest)?,
            git_commit: short("git_commit", lineage.git_commit)?,
            source_url: text::optional("lineage.source_url", lineage.source_url, 2000)?,
        })
    }
}
