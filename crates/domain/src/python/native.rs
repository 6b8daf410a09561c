//! Whether a node runs a version's trees by itself, without Python.

use serde::{Deserialize, Serialize};

/// What the trial of a version of XGBoost or LightGBM found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "snake_case")]
pub enum Native {
    /// The node runs it: it answered so many rows as Python did.
    Native {
        /// How many.
        rows: u64,
    },
    /// Python runs it.
    Python {
        /// Why, in a sentence.
        reason: String,
    },
}

impl Native {
    /// What runs it: `native` or `python`.
    #[must_use]
    pub const fn engine(&self) -> &'static str {
        match self {
            Self::Native { .. } => "native",
            Self::Python { .. } => "python",
        }
    }

    /// Why, in a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Native { rows } => format!("it answers {rows} rows as Python does, to 1e-6"),
            Self::Python { reason } => reason.clone(),
        }
    }
}
