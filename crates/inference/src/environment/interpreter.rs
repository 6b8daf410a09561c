//! The machine's interpreters.

use std::path::PathBuf;

use domain::python::PythonVersion;
use serde::Deserialize;

use super::{Unbuilt, uv::Uv, words};

/// One of them.
#[derive(Debug)]
pub(super) struct Interpreter {
    pub(super) path: PathBuf,
    pub(super) version: PythonVersion,
}

#[derive(Deserialize)]
struct Listed {
    version: String,
    path: PathBuf,
    implementation: String,
}

impl Interpreter {
    /// The very version if it is here, else the newest of its series.
    pub(super) async fn find(uv: &Uv<'_>, wanted: PythonVersion) -> Result<Self, Unbuilt> {
        let arguments = words(["python", "list", "--only-installed", "--output-format", "json"]);
        let told = uv.run(arguments, None).await?;
        let listed: Vec<Listed> = serde_json::from_str(&told).map_err(|error| {
            Unbuilt::Reason(format!("uv does not tell which versions of Python are here: {error}"))
        })?;
        let mut here: Vec<Self> = listed
            .into_iter()
            .filter(|it| it.implementation == "cpython")
            .filter_map(|it| Some(Self { path: it.path, version: it.version.parse().ok()? }))
            .collect();
        here.sort_by_key(|it| std::cmp::Reverse(it.version));
        let mut versions: Vec<String> = here.iter().map(|it| it.version.to_string()).collect();
        versions.dedup();
        let exact = here.iter().position(|it| it.version == wanted);
        let fitting = exact.or_else(|| here.iter().position(|it| it.version.fits(&wanted)));
        fitting.map(|at| here.swap_remove(at)).ok_or_else(|| {
            let there = match versions.as_slice() {
                [] => "there is none".to_owned(),
                versions => format!("there are {}", versions.join(", ")),
            };
            Unbuilt::Reason(format!(
                "it was made with Python {wanted}, and no Python {} is here: {there}. Install one, or name a \
                 folder of them by --python-dir",
                wanted.series()
            ))
        })
    }
}
