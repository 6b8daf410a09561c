//! Where an experiment's author wants the files of its runs.

use std::fmt;

use domain::{FilePath, Problem, tracking::check_length};
use percent_encoding::percent_decode_str;

use crate::files;

/// A place for files, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder with us.
    Here(FilePath),
    /// A store that clients talk to themselves: this server never does.
    Elsewhere(String),
}

impl Location {
    /// Reads what the author said.
    ///
    /// # Errors
    /// It has a fragment, params or a `..`; it is no place for files; it names no folder of ours
    /// that may be chosen.
    pub fn of(text: &str) -> Result<Self, Problem> {
        check_length("artifact_location", text, 2048)?;
        let scheme = scheme(text);
        // Only these schemes have params.
        let has_params = matches!(scheme.as_str(), "" | "ftp" | "sftp") && text.contains(';');
        if text.contains('#') || has_params {
            return Err(wrong("'artifact_location' URL can't include fragments or params"));
        }
        if leads_out(text) {
            return Err(wrong("a location has no `..`"));
        }
        match scheme.as_str() {
            "mlflow-artifacts" => here(text).map(Self::Here),
            "runs" | "models" => Err(wrong("a location cannot be a runs:/ or models:/ URI")),
            "http" | "https" => Err(wrong("a location cannot be a web address")
                .hint("use `mlflow-artifacts:/FOLDER` for a folder of this server")),
            _ => Ok(Self::Elsewhere(text.to_owned())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(path) => write!(f, "mlflow-artifacts:/{path}"),
            Self::Elsewhere(text) => f.write_str(text),
        }
    }
}

/// A folder of ours. What the server names itself cannot be chosen: the ids of experiments to come,
/// and `models`, under which versions are read.
fn here(text: &str) -> Result<FilePath, Problem> {
    if text.contains('?') {
        return Err(wrong("a folder of this server has no query"));
    }
    let path = files::path_of(text)
        .map_err(|problem| Problem { field: Some("artifact_location".to_owned()), ..problem })?
        .ok_or_else(|| wrong("it names no folder"))?;
    let first = path.as_str().split('/').next().unwrap_or_default();
    if first == "models" || first.bytes().all(|byte| byte.is_ascii_digit()) {
        let message =
            format!("`mlflow-artifacts:/{first}` is a folder that the server names itself");
        return Err(wrong(&message).hint("choose another name, or leave the location out"));
    }
    Ok(path)
}

fn scheme(text: &str) -> String {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    // A single letter is a drive.
    if scheme.len() > 1 && scheme.bytes().all(fits) {
        scheme.to_ascii_lowercase()
    } else {
        String::new()
    }
}

/// Whether a part is `..`, however often it is encoded.
fn leads_out(text: &str) -> bool {
    let mut plain = text.to_owned();
    loop {
        if plain.split(['/', '\\', '?', '&', '=']).any(|part| part == "..") {
            return true;
        }
        let decoded = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
        if decoded == plain {
            return false;
        }
        plain = decoded;
    }
}

fn wrong(why: &str) -> Problem {
    Problem::invalid("artifact_location", format!("Invalid artifact_location: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_ours_has_one_name_whatever_its_host_and_other_stores_keep_theirs() {
        for (text, kept) in [
            ("mlflow-artifacts:/a/b", "mlflow-artifacts:/a/b"),
            ("mlflow-artifacts:/a/b/", "mlflow-artifacts:/a/b"),
            ("mlflow-artifacts:a/b", "mlflow-artifacts:/a/b"),
            ("mlflow-artifacts:///a/b", "mlflow-artifacts:/a/b"),
            ("mlflow-artifacts://host:5000/a/b", "mlflow-artifacts:/a/b"),
            ("s3://bucket/a;b?x=1", "s3://bucket/a;b?x=1"),
            (
                "abfss://files@account.dfs.core.windows.net/a",
                "abfss://files@account.dfs.core.windows.net/a",
            ),
            ("/mnt/runs", "/mnt/runs"),
            ("C:\\runs", "C:\\runs"),
        ] {
            assert_eq!(Location::of(text).expect(text).to_string(), kept);
        }
    }

    #[test]
    fn what_is_no_place_of_its_own_is_refused() {
        let long = format!("s3://{}", "a".repeat(2048));
        for text in [
            "mlflow-artifacts:/",
            "mlflow-artifacts://host:5000",
            "mlflow-artifacts:/7",
            "mlflow-artifacts:/7/below",
            "mlflow-artifacts:/models/x",
            "mlflow-artifacts:/a?b=c",
            "mlflow-artifacts:/a//b",
            "mlflow-artifacts:/a/%2e%2e/b",
            "runs:/abc/x",
            "models:/m/1",
            "http://host/api/2.0/mlflow-artifacts/artifacts/0",
            "s3://b/x#y",
            "/a;b",
            "s3://b/../c",
            "s3://b/%252e%252e/c",
            "s3://b/c?d=../e",
            &long,
        ] {
            let problem = Location::of(text).expect_err(text);
            assert_eq!(problem.field.as_deref(), Some("artifact_location"), "{text}");
        }
    }
}
