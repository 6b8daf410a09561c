//! What MLflow's REST API answers, as leniently as it must be read: numbers may be texts, what is
//! empty is left out, and what we do not know is passed over.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Texts by their keys.
pub type Pairs = BTreeMap<String, String>;

/// How MLflow refuses.
#[derive(Debug, Deserialize)]
pub struct Refusal {
    /// Its code.
    pub error_code: String,
    /// In words.
    #[serde(default)]
    pub message: String,
}

/// A tag or a param.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// By key; of several with one key the last holds.
#[must_use]
pub fn pairs(given: &[Pair]) -> Pairs {
    given.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
}

/// A whole number, as a number or a text.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Float(f64),
        Text(String),
    }
    let wrong = || de::Error::custom("expected a whole number");
    match Option::<Either>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Float(number)) if number.fract() == 0.0 && number.abs() < 9e15 =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
            Ok(Some(number as i64))
        }
        Some(Either::Float(_)) => Err(wrong()),
        Some(Either::Text(text)) => text.parse().map(Some).map_err(|_| wrong()),
    }
}

/// The same, 0 where it is left out.
fn whole_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(whole(deserializer)?.unwrap_or_default())
}

/// A number; what is none comes and goes as a text.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.total_cmp(&other.0).is_eq() || self.0 == other.0
    }
}

impl Default for Number {
    fn default() -> Self {
        Self(0.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value) = *self;
        match value.is_finite() {
            true => serializer.serialize_f64(value),
            false if value.is_nan() => serializer.serialize_str("NaN"),
            false if value > 0.0 => serializer.serialize_str("Infinity"),
            false => serializer.serialize_str("-Infinity"),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(value) => Ok(Self(value)),
            // `NaN`, `Infinity`, `-Infinity` and plain numbers are all read by it.
            Either::Text(text) => {
                text.parse().map(Self).map_err(|_| de::Error::custom("expected a number"))
            }
        }
    }
}

/// `Experiment`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
pub struct Experiment {
    /// Its number.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// `active` or `deleted`.
    #[serde(default)]
    pub lifecycle_stage: String,
    /// In milliseconds since 1970.
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub creation_time: i64,
    /// In milliseconds since 1970.
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub last_update_time: i64,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<Pair>,
}

/// `Run`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
pub struct Run {
    /// What it is.
    pub info: RunInfo,
    /// What it logged.
    #[serde(default)]
    pub data: RunData,
    /// What it took in.
    #[serde(default)]
    pub inputs: RunInputs,
    /// What it put out.
    #[serde(default)]
    pub outputs: RunOutputs,
}

/// `RunInfo`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct RunInfo {
    #[serde(default)]
    pub run_id: String,
    #[serde(default)]
    pub run_name: String,
    #[serde(default)]
    pub experiment_id: String,
    #[serde(default)]
    pub user_id: String,
    #[serde(default)]
    pub status: String,
    #[serde(default, deserialize_with = "whole")]
    pub start_time: Option<i64>,
    #[serde(default, deserialize_with = "whole")]
    pub end_time: Option<i64>,
    #[serde(default)]
    pub artifact_uri: String,
    #[serde(default)]
    pub lifecycle_stage: String,
}

/// `RunData`: of each metric the latest value.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct RunData {
    #[serde(default)]
    pub metrics: Vec<Metric>,
    #[serde(default)]
    pub params: Vec<Pair>,
    #[serde(default)]
    pub tags: Vec<Pair>,
}

/// `Metric`: one point.
#[derive(Debug, Clone, Serialize, Deserialize, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct Metric {
    #[serde(default)]
    pub key: String,
    #[serde(default)]
    pub value: Number,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub timestamp: i64,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub step: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

/// `RunInputs`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct RunInputs {
    #[serde(default)]
    pub dataset_inputs: Vec<DatasetInput>,
    #[serde(default)]
    pub model_inputs: Vec<ModelLink>,
}

/// `RunOutputs`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct RunOutputs {
    #[serde(default)]
    pub model_outputs: Vec<ModelLink>,
}

/// A logged model that a run took in or put out.
#[derive(Debug, Clone, Serialize, Deserialize, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct ModelLink {
    #[serde(default)]
    pub model_id: String,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub step: i64,
}

/// `DatasetInput`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct DatasetInput {
    #[serde(default)]
    pub tags: Vec<Pair>,
    #[serde(default)]
    pub dataset: Dataset,
}

/// `Dataset`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct Dataset {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub digest: String,
    #[serde(default)]
    pub source_type: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub schema: Option<String>,
    #[serde(default)]
    pub profile: Option<String>,
}

/// `LoggedModel`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct LoggedModel {
    #[serde(default)]
    pub info: LoggedModelInfo,
    #[serde(default)]
    pub data: LoggedModelData,
}

/// `LoggedModelInfo`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct LoggedModelInfo {
    #[serde(default)]
    pub model_id: String,
    #[serde(default)]
    pub experiment_id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub creation_timestamp_ms: i64,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub last_updated_timestamp_ms: i64,
    #[serde(default)]
    pub artifact_uri: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub status_message: Option<String>,
    #[serde(default)]
    pub model_type: Option<String>,
    #[serde(default)]
    pub source_run_id: Option<String>,
    #[serde(default)]
    pub tags: Vec<Pair>,
}

/// `LoggedModelData`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct LoggedModelData {
    #[serde(default)]
    pub params: Vec<Pair>,
    #[serde(default)]
    pub metrics: Vec<Metric>,
}

/// `RegisteredModel`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct RegisteredModel {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub creation_timestamp: i64,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub last_updated_timestamp: i64,
    #[serde(default)]
    pub tags: Vec<Pair>,
    #[serde(default)]
    pub aliases: Vec<Alias>,
}

/// An alias and its version's number.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct Alias {
    pub alias: String,
    #[serde(default)]
    pub version: String,
}

/// `ModelVersion`.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct ModelVersion {
    pub name: String,
    pub version: String,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub creation_timestamp: i64,
    #[serde(default, deserialize_with = "whole_or_zero")]
    pub last_updated_timestamp: i64,
    #[serde(default)]
    pub current_stage: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub run_id: String,
    #[serde(default)]
    pub run_link: String,
    #[serde(default)]
    pub model_id: Option<String>,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub tags: Vec<Pair>,
}

/// `FileInfo`.
#[derive(Debug, Clone, Deserialize, Default)]
#[expect(missing_docs, reason = "the names are MLflow's")]
pub struct FileInfo {
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub is_dir: bool,
    #[serde(default, deserialize_with = "whole")]
    pub file_size: Option<i64>,
}
