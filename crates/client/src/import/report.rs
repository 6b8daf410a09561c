//! What an import did, and what it could not do.

use serde::Serialize;

/// Of one kind of things.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq, Eq)]
pub struct Counts {
    /// New here.
    pub carried: u64,
    /// Here before, and brought to what the source says now.
    pub changed: u64,
    /// Here before, as the source has it.
    pub here: u64,
}

/// Files.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq, Eq)]
pub struct FileCounts {
    /// New here, or changed.
    pub carried: u64,
    /// Here before, with the same number of bytes.
    pub here: u64,
    /// The bytes that were read from the source.
    pub bytes_read: u64,
    /// The bytes that Bottega did not have yet under any name.
    pub bytes_sent: u64,
}

/// Something that could not be carried.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Left {
    /// What kind of thing.
    pub kind: String,
    /// Its name or id at the source.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// An experiment whose number was taken here.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Renumbered {
    /// Its name.
    pub name: String,
    /// Its number at the source.
    pub from: String,
    /// Its number here.
    pub to: String,
}

/// What comparing both sides showed.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct Verified {
    /// How many items were compared.
    pub compared: u64,
    /// How many points of metrics.
    pub points: u64,
    /// How many files, byte by byte.
    pub files: u64,
    /// Where the two differ.
    pub differences: Vec<Left>,
}

/// What an import did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The source's address.
    pub from: String,
    /// The MLflow version that it says it is.
    pub version: Option<String>,
    /// Whether nothing was carried, only told.
    pub dry_run: bool,
    /// Experiments.
    pub experiments: Counts,
    /// Runs.
    pub runs: Counts,
    /// Points of metrics that are new here.
    pub points: u64,
    /// Logged models.
    pub logged_models: Counts,
    /// Registered models.
    pub models: Counts,
    /// Their versions.
    pub versions: Counts,
    /// Aliases that were moved.
    pub aliases: u64,
    /// Files of runs and logged models.
    pub files: FileCounts,
    /// Experiments whose number was taken here.
    pub renumbered: Vec<Renumbered>,
    /// What could not be carried.
    pub not_carried: Vec<Left>,
    /// What comparing both sides showed; absent unless it was asked for.
    pub verified: Option<Verified>,
}

impl Report {
    /// Whether all that was asked for is here, as the source has it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.not_carried.is_empty()
            && self.verified.as_ref().is_none_or(|verified| verified.differences.is_empty())
    }
}
