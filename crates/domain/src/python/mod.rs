//! What a Python version is: how its model is loaded, what it is given, and the Python and packages
//! that it needs, as the files of an MLflow model say.
//!
//! Four flavours are loaded by their own packages, without MLflow; any other model by MLflow's
//! `pyfunc`. All files come from strangers: their size is bounded, every requirement is checked,
//! and one that names a place instead of a package is refused.

mod environment;
mod flavour;
mod native;
mod requirement;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::{
    environment::{Files, MAX_FILE},
    flavour::Loader,
    native::Native,
    requirement::Requirement,
};
use crate::{Digest, FilePath, Signature, mlmodel::MlModel, pickle::Policy};

/// A version that a Python process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonModel {
    /// The model's folder in the version's tree, `""` for the top.
    pub folder: String,
    /// How it is loaded.
    pub loader: Loader,
    /// Its own modules, below the model's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<FilePath>,
    /// A file of its own that is code, wherever it is: whoever runs it runs what its author wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carries: Option<FilePath>,
    /// What it is given.
    pub input: Input,
    /// The Python that it was made with.
    pub python: PythonVersion,
    /// The packages that it needs.
    pub requirements: Vec<Requirement>,
}

/// What a model is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A pandas `DataFrame` of these columns, one for each input of the signature.
    Columns(Vec<Column>),
    /// The only input, as a NumPy array.
    Array,
    /// A NumPy array for each input, by its name.
    Arrays,
}

/// A column of a `DataFrame`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name; absent where it is known by its place.
    pub name: Option<String>,
    /// Its type, in MLflow's words.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A version of Python, down to what decides which packages fit: `3.11`, perhaps `3.11.7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    /// 3.
    pub major: u8,
    /// Packages are made for one of these.
    pub minor: u8,
    /// Any will do, where it is not told.
    pub patch: Option<u8>,
}

impl PythonVersion {
    /// Whether what was made for the one runs on the other.
    #[must_use]
    pub const fn fits(&self, other: &Self) -> bool {
        self.major == other.major && self.minor == other.minor
    }

    /// Without the patch.
    #[must_use]
    pub fn series(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

impl FromStr for PythonVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
            format!("`{shown}` is no version of Python like 3.11.7")
        };
        let mut parts = text.split('.').map(|part| part.parse::<u8>().map_err(|_| wrong()));
        let (major, minor) = (parts.next(), parts.next());
        let patch = parts.next().transpose()?;
        match (major.transpose()?, minor.transpose()?, parts.next()) {
            (Some(major), Some(minor), None) => Ok(Self { major, minor, patch }),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for PythonVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PythonVersion {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A locked list of packages, by their hashes: it makes the same environment wherever it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The Python that it was made for.
    pub python: PythonVersion,
    /// The list, as `pip` reads it.
    pub packages: String,
}

impl Lock {
    /// Names the environment that it makes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(format!("python {}\n{}", self.python.series(), self.packages).as_bytes())
    }
}

impl PythonModel {
    /// What the files of a model say. `folder` is where they are in the version's tree, and
    /// `signature` what will be asked of it.
    ///
    /// # Errors
    /// Why nothing here can run it, in a sentence.
    pub fn read(
        mlmodel: &MlModel,
        folder: &str,
        files: &Files,
        signature: Option<&Signature>,
    ) -> Result<Self, String> {
        let signature = signature.ok_or(
            "it has no signature, which says what goes in and comes out: log the model with \
             `signature=` or `input_example=`",
        )?;
        let loader = Loader::of(mlmodel)?;
        let code = flavour::code(mlmodel)?;
        let input = mlmodel
            .schemas
            .as_ref()
            .and_then(|schemas| schemas.python_input(signature))
            .unwrap_or_else(|| Input::of(signature));
        let environment::Wanted { python, mut requirements } = environment::read(mlmodel, files)?;
        if loader.is_native() && code.is_none() {
            // It is loaded without MLflow, which is the largest part of most environments.
            requirements.retain(|requirement| !MLFLOW.contains(&requirement.name().as_str()));
        }
        let mut need = |package: &str| {
            if !requirements.iter().any(|requirement| requirement.name() == package) {
                requirements.extend(package.parse::<Requirement>().ok());
            }
        };
        need("numpy");
        if matches!(input, Input::Columns(_)) {
            need("pandas");
        }
        let (folder, carries) = (folder.to_owned(), None);
        Ok(Self { folder, loader, code, carries, input, python, requirements })
    }

    /// The same, of a version of these files.
    #[must_use]
    pub fn among<'a>(self, mut files: impl Iterator<Item = &'a FilePath>) -> Self {
        let is_code = |path: &&FilePath| {
            CODE.iter().any(|end| path.as_str().to_ascii_lowercase().ends_with(end))
        };
        Self { carries: files.find(is_code).cloned(), ..self }
    }

    /// Why the setting on pickles forbids its code; absent where it does not. What a pickle may not do,
    /// a module beside it may not either.
    #[must_use]
    pub fn obstacle(&self, policy: Policy) -> Option<String> {
        let file = self.carries.as_ref().filter(|_| policy != Policy::Allow)?;
        Some(format!(
            "`{file}` is code of its author's, and the platform's setting `pickle` is `{policy}`"
        ))
    }

    /// The file that is loaded, in the version's tree.
    ///
    /// # Errors
    /// The path is too long.
    pub fn file(&self) -> Result<FilePath, crate::Problem> {
        let below = self.loader.file();
        match self.folder.as_str() {
            "" => below.as_str().parse(),
            folder => format!("{folder}/{below}").parse(),
        }
    }

    /// Names what is asked for: equal digests may have the same lock.
    #[must_use]
    pub fn wanted(&self) -> Digest {
        let mut lines: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        lines.sort_unstable();
        Digest::of(format!("python {}\n{}", self.python.series(), lines.join("\n")).as_bytes())
    }
}

/// What Python imports.
const CODE: [&str; 4] = [".py", ".pyc", ".so", ".pth"];

/// MLflow's own packages.
const MLFLOW: [&str; 3] = ["mlflow", "mlflow-skinny", "mlflow-tracing"];

impl Input {
    /// Where MLflow's signature does not say it: columns where all are, else arrays.
    fn of(signature: &Signature) -> Self {
        let is_column = |spec: &crate::TensorSpec| spec.shape.len() == 1;
        if signature.inputs.iter().all(is_column) {
            let column = |spec: &crate::TensorSpec| Column {
                name: Some(spec.name.clone()),
                kind: "any".to_owned(),
            };
            return Self::Columns(signature.inputs.iter().map(column).collect());
        }
        if signature.inputs.len() == 1 { Self::Array } else { Self::Arrays }
    }
}
