//! What can be imported from an MLflow server.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Problem, version::words};

words! {
    /// A kind of thing that is carried over, or of a pointer whose last known place is remembered.
    ImportKind, "kind" {
        /// An experiment, by its number.
        Experiment = "experiment",
        /// A run, by its id.
        Run = "run",
        /// A logged model, by its id.
        LoggedModel = "logged_model",
        /// A registered model, by its name.
        Model = "model",
        /// A version, as `name/3`.
        Version = "version",
        /// The stage of a version, as `name/3`.
        Stage = "stage",
        /// An alias, as `name@champion`.
        Alias = "alias",
    }
}
