//! What a model version is and whether it can serve.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Problem;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $field:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),*
        }

        impl $name {
            /// Every word that there is, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire, in rows and on the page.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Problem;
            fn from_str(value: &str) -> Result<Self, Problem> {
                match value {
                    $($word => Ok(Self::$variant),)*
                    other => {
                        let all: Vec<_> = Self::ALL.iter().map(|word| word.as_str()).collect();
                        Err(Problem::invalid($field, format!("`{other}`: expected one of {}", all.join(", "))))
                    }
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What is known of a version's bytes and, for ONNX, of its trial.
    VersionStatus, "status" {
        /// The bytes are stored, the trial is not over.
        Pending = "pending",
        /// Whole, and tried where there is a trial.
        Ready = "ready",
        /// The trial failed; `reason` says why.
        Rejected = "rejected",
    }
}

words! {
    /// Whether an endpoint may serve the version.
    Servable, "servable" {
        /// It may.
        Yes = "yes",
        /// It may not; `reason` says why.
        No = "no",
        /// The trial is not over.
        Checking = "checking",
    }
}

impl Runtime {
    /// Whether it runs versions in processes of their own always.
    #[must_use]
    pub const fn is_apart(self) -> bool {
        matches!(self, Self::Python | Self::Process)
    }
}

words! {
    /// What runs the version.
    Runtime, "runtime" {
        /// ONNX Runtime.
        Onnx = "onnx",
        /// Python processes with the packages that the version names.
        Python = "python",
        /// A server of others, which the version's file names.
        External = "external",
        /// Processes of a program that the version's file names.
        Process = "process",
        /// Nothing that is here: stored and governed, but not servable.
        None = "none",
    }
}
