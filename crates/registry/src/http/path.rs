//! What stands in the paths of URLs, URLs of ours, and the resources that permission is asked for.

use domain::{
    AliasName, Digest, EndpointRef, FilePath, ModelName, Problem, Resource, RuleId, Stage,
    Timestamp, tracking::ExperimentId,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::IntoParams;

/// A model.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct ModelPath {
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    pub name: ModelName,
}

/// A version.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct VersionPath {
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    pub name: ModelName,
    /// The version's number, from 1.
    #[param(example = 3)]
    pub version: i32,
}

/// A file of a version.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct VersionFilePath {
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    pub name: ModelName,
    /// The version's number, from 1.
    #[param(example = 3)]
    pub version: i32,
    /// The file's path in the version's tree, `/` and all.
    #[param(value_type = String, example = "model.onnx")]
    pub path: FilePath,
}

/// An alias.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct AliasPath {
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    pub name: ModelName,
    /// The alias.
    #[param(value_type = String, example = "champion")]
    pub alias: AliasName,
}

/// A stage.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct StagePath {
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    pub name: ModelName,
    /// One of the model's stages, whatever the case.
    #[param(value_type = String, example = "Production")]
    pub stage: Stage,
}

/// A moment of the past.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// How it stood at this instant; how it stands now where it is absent.
    #[param(format = DateTime, example = "2026-01-02T03:04:05Z")]
    as_of: Option<String>,
}

impl AsOf {
    /// As an instant.
    ///
    /// # Errors
    /// It is none.
    pub fn instant(self) -> Result<Option<Timestamp>, Problem> {
        rest::instant("as_of", self.as_of)
    }
}

/// A promotion rule.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct RulePath {
    /// The model's name, percent-encoded.
    #[param(value_type = String, example = "fraud")]
    pub name: ModelName,
    /// The rule's id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    pub rule: RuleId,
}

/// A blob.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct BlobPath {
    /// `sha256:` and 64 hex digits.
    #[param(value_type = String, example = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    pub digest: Digest,
}

/// An endpoint.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct EndpointPath {
    /// `NAME` in production, `NAME.ENV` elsewhere.
    #[param(value_type = String, example = "fraud.dev")]
    pub endpoint: EndpointRef,
}

/// A run.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct RunPath {
    /// 32 hex digits.
    #[param(example = "0199f0a25f0c7d2f9d2f4ad1a3a0b7c1")]
    pub run_id: String,
}

/// An experiment.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct ExperimentPath {
    /// A decimal number.
    #[param(example = "3")]
    pub experiment_id: String,
}

/// A release.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct ReleasePath {
    /// `NAME` in production, `NAME.ENV` elsewhere.
    #[param(value_type = String, example = "fraud.dev")]
    pub endpoint: EndpointRef,
    /// The release's number, from 1.
    #[param(example = 2)]
    pub release: i32,
}

/// What does not stand for itself in a URL's path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_BUT_SLASH: &AsciiSet = &ESCAPED.remove(b'/');

/// Where a version is, from the server's root.
pub fn version_url(model: &ModelName, version: i32) -> String {
    let model = utf8_percent_encode(model.as_str(), ESCAPED);
    format!("/api/v1/models/{model}/versions/{version}")
}

/// Where a file of a version is, from the server's root.
pub fn file_url(model: &ModelName, version: i32, path: &FilePath) -> String {
    let path = utf8_percent_encode(path.as_str(), ESCAPED_BUT_SLASH);
    format!("{}/files/{path}", version_url(model, version))
}

/// What permission is asked for.
pub fn model(name: &ModelName) -> Resource {
    Resource::Model(name.to_string())
}

/// What permission is asked for.
pub fn endpoint(endpoint: &EndpointRef) -> Resource {
    Resource::Endpoint(endpoint.to_string())
}

/// What permission is asked for.
pub fn experiment(experiment: ExperimentId) -> Resource {
    Resource::Experiment(experiment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_escapes_what_would_end_the_path() {
        let url = file_url(&"credit risk?#é".parse().unwrap(), 3, &"a b/c%.onnx".parse().unwrap());
        let expected = "/api/v1/models/credit%20risk%3F%23%C3%A9/versions/3/files/a%20b/c%25.onnx";
        assert_eq!(url, expected);
    }
}
