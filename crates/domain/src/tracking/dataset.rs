//! What a run read.

use std::collections::BTreeMap;

use super::check_length;
use crate::Problem;

/// A dataset, as whoever used it described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// What tells its contents from others of that name.
    pub digest: String,
    /// The kind of its source, as `local` or `s3`.
    pub source_type: String,
    /// Where it comes from.
    pub source: String,
    /// Its columns.
    pub schema: Option<String>,
    /// Its statistics.
    pub profile: Option<String>,
}

/// A dataset as a run used it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInput {
    /// Which.
    pub dataset: Dataset,
    /// What for: `mlflow.data.context` says `training` or `eval`.
    pub tags: BTreeMap<String, String>,
}

impl DatasetInput {
    /// Whether it is within its limits.
    ///
    /// # Errors
    /// A text of it is too long, or a name is empty.
    pub fn check(&self) -> Result<(), Problem> {
        let Dataset { name, digest, source, schema, profile, .. } = &self.dataset;
        for (field, text) in [("name", name), ("digest", digest)] {
            if text.is_empty() {
                return Err(Problem::invalid(field, format!("Dataset {field} cannot be empty")));
            }
        }
        check_length("name", name, 500)?;
        check_length("digest", digest, 36)?;
        check_length("source", source, 65_535)?;
        check_length("schema", schema.as_deref().unwrap_or_default(), 1_048_575)?;
        check_length("profile", profile.as_deref().unwrap_or_default(), 16_777_215)?;
        for (key, value) in &self.tags {
            check_length("key", key, 255)?;
            check_length("value", value, 500)?;
        }
        Ok(())
    }
}
