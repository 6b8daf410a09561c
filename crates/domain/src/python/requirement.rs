//! One line of a list of requirements.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest, its hashes included.
const LONGEST: usize = 16 << 10;

/// A package by its name, with the versions that will do, as `pip` reads it: `numpy>=1.26,<2;
/// python_version < "3.13" --hash=sha256:…`. Never an option, an address or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement(String);

impl Requirement {
    /// The package's name as indexes compare it: `scikit-learn`.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.0.split(|c| !is_of_name(c)).next().unwrap_or_default();
        let mut plain = String::with_capacity(name.len());
        for c in name.chars() {
            match c {
                '-' | '_' | '.' if plain.ends_with('-') => {}
                '-' | '_' | '.' => plain.push('-'),
                c => plain.push(c.to_ascii_lowercase()),
            }
        }
        plain
    }
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let shown: String = line.chars().take(120).flat_map(char::escape_default).collect();
        let refused = |why: &str| Err(format!("the requirement `{shown}` {why}"));
        if line.len() > LONGEST {
            return refused("is too long");
        }
        if line.starts_with('-') {
            return refused("is an option: name the packages themselves");
        }
        let (what, hashes) = line.split_once(" --hash").unwrap_or((line, ""));
        let (versions, marker) = what.split_once(';').unwrap_or((what, ""));
        let is_address = versions.contains("://") || versions.contains('@');
        let is_path = versions.contains(['/', '\\']) || versions.starts_with('.');
        let is_file = [".whl", ".tar.gz", ".zip"].iter().any(|end| versions.trim().ends_with(end));
        if is_address || is_path || is_file {
            return refused(
                "names an address or a file: packages come from the index by their names",
            );
        }
        let name = versions.find(|c| !is_of_name(c)).unwrap_or(versions.len());
        let (name, rest) = versions.split_at(name);
        let ends_well = |c: char| c.is_ascii_alphanumeric();
        if !(name.starts_with(ends_well) && name.ends_with(ends_well)) {
            return refused("does not begin with the name of a package");
        }
        if !has_versions(rest) {
            return refused("is none that pip reads: expected one like `numpy>=1.26,<3`");
        }
        // What it means is for uv to tell; here only that it stays one line and no option.
        if marker.contains("--") || marker.chars().any(char::is_control) {
            return refused("has a marker that is none");
        }
        if !hashes.is_empty() && !hashes.split(" --hash").all(is_hash) {
            return refused("has an option besides `--hash=sha256:…`");
        }
        Ok(Self(line.to_owned()))
    }
}

/// Extras in brackets, and versions as `==1.2.*, !=1.2.3`.
fn has_versions(rest: &str) -> bool {
    let rest = rest.trim();
    let rest = match rest.strip_prefix('[') {
        None => rest,
        Some(inner) => match inner.split_once(']') {
            Some((extras, rest))
                if extras.chars().all(|c| is_of_name(c) || c == ',' || c == ' ') =>
            {
                rest.trim()
            }
            Some(_) | None => return false,
        },
    };
    let rest = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest);
    rest.is_empty() || rest.split(',').all(|part| is_version(part.trim()))
}

fn is_version(part: &str) -> bool {
    let version = part.trim_start_matches(['=', '<', '>', '!', '~']);
    let operator = part.len() - version.len();
    let is_of_version =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '*' | '+' | '-' | '_' | '!');
    let version = version.trim();
    (1..=3).contains(&operator) && !version.is_empty() && version.chars().all(is_of_version)
}

fn is_hash(text: &str) -> bool {
    let digest = text.trim().trim_start_matches(['=', ' ']);
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Serialize for Requirement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
