//! What an `MLmodel` file says: how MLflow packaged a model, and what its author told of it.
//!
//! The file is YAML and comes from strangers: its size, its depth, what aliases blow it up to and
//! its tags are bounded, and a key may stand once. Fields that are not read here are MLflow's own;
//! they stay in the file, which is kept whole among the version's files.
//!
//! Not here: reading it from a store, and what runs the model.

mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::schema::{Param, Schemas};
use crate::{FilePath, Problem, json::holds_nul};

/// The file's name, in the model's folder.
pub const FILE: &str = "MLmodel";
/// What the first output is called of a model whose signature names none: what it answers is an array.
pub const UNNAMED_OUTPUT: &str = "output-0";
/// A longer file is refused.
pub const MAX_BYTES: u64 = 1 << 20;
/// A longer text that is no signature is refused.
const MAX_TEXT: usize = 500;
/// The flavour by which MLflow's Python packages load any model.
const PYTHON: &str = "python_function";
const ONNX: &str = "onnx";

/// An `MLmodel` file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct MlModel {
    /// Flavours by name, with what each says.
    pub flavors: BTreeMap<String, Value>,
    /// What goes in and comes out, in MLflow's words.
    pub schemas: Option<Schemas>,
    /// The file of an input example, below the model's folder: a request body where MLflow wrote one.
    pub example: Option<FilePath>,
    /// Where it comes from.
    pub facts: Facts,
}

/// What an `MLmodel` file says besides its flavours, to be shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The MLflow that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow_version: Option<String>,
    /// When, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utc_time_created: Option<String>,
    /// MLflow's id of these files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_uuid: Option<String>,
    /// The run that logged it, on whatever server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The logged model that it is, on whatever server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// Inputs as a line each, where it has a signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Outputs as a line each, where it has a signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// What may be set at each prediction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
}

#[derive(Deserialize)]
struct File {
    flavors: BTreeMap<String, Value>,
    signature: Option<SignatureTexts>,
    saved_input_example_info: Option<ExampleInfo>,
    mlflow_version: Option<String>,
    utc_time_created: Option<String>,
    model_uuid: Option<String>,
    run_id: Option<String>,
    model_id: Option<String>,
}

/// Each is JSON in a text.
#[derive(Deserialize)]
struct SignatureTexts {
    inputs: Option<String>,
    outputs: Option<String>,
    params: Option<String>,
}

#[derive(Deserialize)]
struct ExampleInfo {
    artifact_path: Option<String>,
    serving_input_path: Option<String>,
}

impl MlModel {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it and where: it is too long or too deep, no YAML, no mapping, lacks
    /// `flavors`, or holds something else than MLflow writes.
    pub fn parse(content: &[u8]) -> Result<Self, Problem> {
        if content.len() as u64 > MAX_BYTES {
            let length = content.len();
            return Err(wrong(format!("it has {length} bytes: expected at most {MAX_BYTES}")));
        }
        if content.iter().all(u8::is_ascii_whitespace) {
            return Err(wrong("it is empty: expected YAML with `flavors`".to_owned()));
        }
        let file: File = yaml(content).map_err(wrong)?;
        for (name, flavor) in &file.flavors {
            if !(flavor.is_object() || flavor.is_null()) {
                return Err(wrong(format!("`flavors.{name}` is no mapping")));
            }
            if name.contains('\0') || holds_nul(flavor) {
                return Err(wrong("a text in `flavors` holds the character U+0000".to_owned()));
            }
        }
        let schemas = file.signature.map(|texts| {
            let [inputs, outputs, params] = [texts.inputs, texts.outputs, texts.params];
            Schemas::parse(inputs.as_deref(), outputs.as_deref(), params.as_deref())
        });
        let schemas = schemas.transpose()?.filter(|schemas| !schemas.is_empty());
        let example = file.saved_input_example_info.and_then(|info| {
            let (path, field) = match (info.serving_input_path, info.artifact_path) {
                (Some(path), _) => (path, "serving_input_path"),
                (None, path) => (path?, "artifact_path"),
            };
            Some(path_in(&path, &format!("saved_input_example_info.{field}")))
        });
        let facts = Facts {
            mlflow_version: short("mlflow_version", file.mlflow_version)?,
            utc_time_created: short("utc_time_created", file.utc_time_created)?,
            model_uuid: short("model_uuid", file.model_uuid)?,
            run_id: short("run_id", file.run_id)?,
            model_id: short("model_id", file.model_id)?,
            inputs: schemas.as_ref().map(Schemas::input_lines).unwrap_or_default(),
            outputs: schemas.as_ref().map(Schemas::output_lines).unwrap_or_default(),
            params: schemas.as_ref().map(|it| it.params.clone()).unwrap_or_default(),
        };
        Ok(Self { flavors: file.flavors, schemas, example: example.transpose()?, facts })
    }

    /// The flavour that says the most of what the model is: MLflow's general one only if there is
    /// no other.
    #[must_use]
    pub fn main_flavor(&self) -> Option<&str> {
        let special = self.flavors.keys().find(|name| *name != PYTHON);
        special.or_else(|| self.flavors.keys().next()).map(String::as_str)
    }

    /// Whether MLflow's Python packages can load it.
    #[must_use]
    pub fn is_python(&self) -> bool {
        self.flavors.contains_key(PYTHON)
    }

    /// The Python module that loads it.
    #[must_use]
    pub fn loader_module(&self) -> Option<&str> {
        self.flavors.get(PYTHON)?.get("loader_module")?.as_str()
    }

    /// The Python that it was made with.
    #[must_use]
    pub fn python_version(&self) -> Option<&str> {
        self.flavors.get(PYTHON)?.get("python_version")?.as_str()
    }

    /// The ONNX flavour's file, or the folder that it is in, below the model's folder. Absent
    /// where there is no such flavour.
    ///
    /// # Errors
    /// The flavour names none, or one that leads out of the model's folder.
    pub fn onnx_data(&self) -> Result<Option<FilePath>, Problem> {
        let Some(flavor) = self.flavors.get(ONNX) else { return Ok(None) };
        match flavor.get("data") {
            Some(Value::String(path)) => path_in(path, "flavors.onnx.data").map(Some),
            _ => Err(wrong("`flavors.onnx.data` does not name the ONNX file".to_owned())),
        }
    }
}

/// YAML from strangers, within bounds.
pub(crate) fn yaml<T: serde::de::DeserializeOwned>(content: &[u8]) -> Result<T, String> {
    serde_saphyr::from_slice_with_options(content, limits()).map_err(|error| refusal(&error))
}

fn limits() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 1,
            max_nodes: 50_000,
            max_events: 150_000,
            max_anchors: 100,
            max_aliases: 200,
            max_recorded_anchor_events: 20_000,
            max_recorded_anchor_bytes: 1 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 100,
        },
        // MLflow writes no merges and no objects of Python.
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

/// The library's words, on one line and not at any length.
fn refusal(error: &serde_saphyr::Error) -> String {
    let said = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let plain = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = plain.take(MAX_TEXT).collect();
    if short.len() < said.len() {
        short.push('…');
    }
    short
}

fn wrong(message: String) -> Problem {
    Problem::invalid("files", message)
        .hint("save the model again with MLflow, or leave MLmodel out")
}

fn short(field: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if text.chars().count() > MAX_TEXT || text.contains('\0') => Err(wrong(
            format!("`{field}` is longer than {MAX_TEXT} characters or holds the character U+0000"),
        )),
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

/// A path below the model's folder.
fn path_in(path: &str, field: &str) -> Result<FilePath, Problem> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    path.parse().map_err(|problem: Problem| wrong(format!("`{field}`: {}", problem.message)))
}
