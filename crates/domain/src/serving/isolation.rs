//! Where a version runs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Problem, version::words};

words! {
    /// Where an ONNX version runs. Other kinds run in a process of their own always.
    Isolation, "isolation" {
        /// In its node's own process: the fastest, and what ends the model's process ends the node's.
        InProcess = "in-process",
        /// In a process of its own, confined: what it does there harms nobody else.
        Process = "process",
    }
}

impl Isolation {
    /// Where a version runs for an endpoint: as its release says, else as the version does or its team, else as
    /// the node.
    #[must_use]
    pub fn of(release: Option<Self>, version: Option<Self>, node: Self) -> Self {
        release.or(version).unwrap_or(node)
    }

    /// Where it runs for two endpoints, as a node loads a version once: apart, where one of them wants it.
    #[must_use]
    pub const fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::InProcess, Self::InProcess) => Self::InProcess,
            (Self::Process, _) | (_, Self::Process) => Self::Process,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_holds_and_of_two_endpoints_the_stricter() {
        let (inside, apart) = (Isolation::InProcess, Isolation::Process);
        assert_eq!(Isolation::of(None, None, inside), inside);
        assert_eq!(Isolation::of(None, Some(apart), inside), apart);
        assert_eq!(Isolation::of(Some(inside), Some(apart), apart), inside);
        assert_eq!(inside.stricter(apart), apart);
        assert_eq!(inside.stricter(inside), inside);
    }
}
