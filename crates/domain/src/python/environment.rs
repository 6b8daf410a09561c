//! The files in which MLflow writes what a model needs: `requirements.txt` and `python_env.yaml`,
//! before 1.20 `conda.yaml` alone.

use serde::Deserialize;
use serde_json::Value;

use super::{PythonVersion, Requirement};
use crate::mlmodel::{MlModel, yaml};

/// A longer one is refused.
pub const MAX_FILE: u64 = 256 << 10;
/// More are refused.
const MOST: usize = 500;

/// What the files hold, each if it is there.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `requirements.txt`
    pub requirements: Option<Vec<u8>>,
    /// `python_env.yaml`
    pub python_env: Option<Vec<u8>>,
    /// `conda.yaml`
    pub conda: Option<Vec<u8>>,
}

/// What a model needs.
pub(super) struct Wanted {
    pub(super) python: PythonVersion,
    pub(super) requirements: Vec<Requirement>,
}

#[derive(Deserialize)]
struct PythonEnv {
    python: Option<Value>,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
struct Conda {
    #[serde(default)]
    dependencies: Vec<Value>,
}

/// What conda itself brings besides packages for Python.
#[derive(Default)]
struct OfConda {
    python: Option<String>,
    pip: Vec<String>,
}

pub(super) fn read(mlmodel: &MlModel, files: &Files) -> Result<Wanted, String> {
    let conda = files.conda.as_deref().map(conda).transpose()?.unwrap_or_default();
    let python_env: Option<PythonEnv> = files
        .python_env
        .as_deref()
        .map(|content| yaml(content).map_err(|why| format!("`python_env.yaml`: {why}")))
        .transpose()?;
    let named = python_env.as_ref().and_then(|file| file.python.as_ref()).and_then(text);
    let python = named
        .or_else(|| mlmodel.python_version().map(str::to_owned))
        .or(conda.python)
        .ok_or("neither `python_env.yaml` nor `MLmodel` says which Python it was made with")?;
    let lines = |file: &str, content: &[u8]| {
        let text = std::str::from_utf8(content);
        text.map(lines).map_err(|_| format!("`{file}` is no UTF-8"))
    };
    let listed: Vec<String> = match (&files.requirements, python_env) {
        (Some(content), _) => lines("requirements.txt", content)?,
        (None, Some(file)) => file.dependencies,
        (None, None) => conda.pip,
    };
    if listed.is_empty() {
        return Err("no packages are named in `requirements.txt`, `python_env.yaml` or \
                    `conda.yaml`: log the model with `pip_requirements=`"
            .to_owned());
    }
    if listed.len() > MOST {
        return Err(format!("it names {} requirements: expected at most {MOST}", listed.len()));
    }
    let requirements = listed.iter().map(|line| line.parse()).collect::<Result<_, _>>()?;
    Ok(Wanted { python: python.parse()?, requirements })
}

/// Lines without comments, those that end in `\` put together.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut begun = String::new();
    for line in text.lines() {
        let line = match line.trim_start().starts_with('#') {
            true => "",
            false => line.split_once(" #").map_or(line, |(line, _)| line),
        };
        if let Some(line) = line.trim_end().strip_suffix('\\') {
            begun.push_str(line.trim());
            begun.push(' ');
            continue;
        }
        begun.push_str(line.trim());
        let whole = std::mem::take(&mut begun);
        if !whole.trim().is_empty() {
            lines.push(whole.trim().to_owned());
        }
    }
    if !begun.trim().is_empty() {
        lines.push(begun.trim().to_owned());
    }
    lines
}

/// The pip section of a `conda.yaml`. Any other package that it names is no package of an index.
fn conda(content: &[u8]) -> Result<OfConda, String> {
    let file: Conda = yaml(content).map_err(|why| format!("`conda.yaml`: {why}"))?;
    let mut found = OfConda::default();
    for item in file.dependencies {
        if let Some(list) = item.get("pip").and_then(Value::as_array) {
            found.pip.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
            continue;
        }
        let Some(package) = item.as_str() else {
            return Err("`conda.yaml` names something that is no package".to_owned());
        };
        let name: String = package.chars().take_while(|c| !"=<>!~ ".contains(*c)).collect();
        match name.as_str() {
            "python" => {
                let version =
                    package[name.len()..].trim_start_matches(['=', '<', '>', '~', '!', ' ']);
                found.python =
                    Some(version.split([',', ' ']).next().unwrap_or_default().to_owned());
            }
            "pip" => {}
            _ => {
                let shown: String = name.chars().take(80).flat_map(char::escape_default).collect();
                return Err(format!(
                    "`conda.yaml` asks for `{shown}` from conda, and environments here are built from \
                     a package index alone: move it to the `pip` section if it is there too"
                ));
            }
        }
    }
    Ok(found)
}

/// A version is a text, or the number that YAML makes of `3.11`.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
