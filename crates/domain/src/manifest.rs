//! A version's file tree: path → digest and size.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

use crate::{Digest, Hasher, Problem};

/// A relative path inside a version's tree, with `/` between its parts and no way out of the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file's own name, without folders.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The folder that the file is in, `""` for the root.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FilePath {
    type Err = Problem;

    fn from_str(value: &str) -> Result<Self, Problem> {
        let shown: String = value.chars().take(120).flat_map(char::escape_default).collect();
        let wrong = |why: &str| {
            Problem::invalid("files", format!("the path `{shown}` {why}"))
                .hint("use relative paths with `/` between folders, inside the model's own folder")
        };
        if value.is_empty() || value.len() > 1024 {
            return Err(wrong("has a wrong length: expected 1 to 1024 bytes"));
        }
        if value.starts_with('/') {
            return Err(wrong("is absolute"));
        }
        if value.contains('\\') || value.chars().any(char::is_control) {
            return Err(wrong("holds a backslash or a control character"));
        }
        if value.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong("holds an empty part, `.` or `..`"));
        }
        if value.split('/').any(|part| part.len() > 255) {
            return Err(wrong("has a part of more than 255 bytes"));
        }
        Ok(Self(value.to_owned()))
    }
}

impl Serialize for FilePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde carries one text only: what to do goes into it.
        String::deserialize(deserializer)?.parse().map_err(|problem: Problem| {
            let hint = problem.hint.unwrap_or_default();
            de::Error::custom(format!("{}: {hint}", problem.message))
        })
    }
}

/// One file of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// What is in it.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// The files of a version. Its digest is the version's identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest(BTreeMap<FilePath, FileEntry>);

impl Manifest {
    /// The most files that one version may have.
    pub const MAX_FILES: usize = 10_000;

    /// A manifest of these files.
    ///
    /// # Errors
    /// None, too many, the same path twice, or a file where another path needs a folder.
    pub fn new(files: impl IntoIterator<Item = (FilePath, FileEntry)>) -> Result<Self, Problem> {
        let mut tree = BTreeMap::new();
        for (path, entry) in files {
            if tree.insert(path.clone(), entry).is_some() {
                return Err(Problem::invalid("files", format!("the path `{path}` stands twice")));
            }
        }
        if tree.is_empty() || tree.len() > Self::MAX_FILES {
            let count = tree.len();
            return Err(Problem::invalid(
                "files",
                format!("{count} files: expected 1 to {}", Self::MAX_FILES),
            ));
        }
        for path in tree.keys() {
            let mut folder = path.parent();
            while !folder.is_empty() {
                if tree.contains_key(&FilePath(folder.to_owned())) {
                    return Err(Problem::invalid(
                        "files",
                        format!("`{folder}` is a file and the folder of `{path}`"),
                    ));
                }
                folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        Ok(Self(tree))
    }

    /// A tree without files: of a version whose bytes lie elsewhere, or that was registered empty.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Whether there are no files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&FilePath, &FileEntry)> {
        self.0.iter()
    }

    /// One file.
    #[must_use]
    pub fn get(&self, path: &FilePath) -> Option<&FileEntry> {
        self.0.get(path)
    }

    /// All bytes together, counted as often as they are named.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.values().map(|entry| entry.size).sum()
    }

    /// The digest of the tree: SHA-256 over `HEX SP SIZE SP PATH LF` for each file in the order of
    /// paths. A path holds no line feed, so the text reads back in one way only.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        for (path, entry) in &self.0 {
            hasher.update(format!("{} {} {path}\n", entry.digest.hex(), entry.size).as_bytes());
        }
        hasher.finish()
    }

    /// The file that a runtime loads: `model.onnx`, else the only `*.onnx` at the top, else the
    /// only one anywhere.
    #[must_use]
    pub fn onnx_file(&self) -> Option<&FilePath> {
        let is_onnx = |path: &&FilePath| path.as_str().to_ascii_lowercase().ends_with(".onnx");
        let only = |mut found: Vec<&'_ FilePath>| {
            if found.len() == 1 { found.pop().cloned() } else { None }
        };
        let named = self.0.keys().find(|path| path.as_str() == "model.onnx").cloned();
        let chosen = named
            .or_else(|| {
                only(
                    self.0.keys().filter(is_onnx).filter(|path| path.parent().is_empty()).collect(),
                )
            })
            .or_else(|| only(self.0.keys().filter(is_onnx).collect()))?;
        self.0.get_key_value(&chosen).map(|(path, _)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content: &str) -> FileEntry {
        FileEntry { digest: Digest::of(content.as_bytes()), size: content.len() as u64 }
    }

    fn manifest(files: &[(&str, &str)]) -> Result<Manifest, Problem> {
        Manifest::new(files.iter().map(|(path, content)| (path.parse().unwrap(), entry(content))))
    }

    #[test]
    fn paths_that_lead_out_of_the_tree_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "./a",
            "a/",
            "a\\b",
            "a\nb",
            &"x".repeat(1025),
        ] {
            assert!(bad.parse::<FilePath>().is_err(), "{bad:?}");
        }
        assert!("a/b.onnx".parse::<FilePath>().is_ok());
    }

    #[test]
    fn the_digest_depends_on_paths_and_contents_but_not_on_order() {
        let one = manifest(&[("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(one.digest(), manifest(&[("b", "2"), ("a", "1")]).unwrap().digest());
        assert_ne!(one.digest(), manifest(&[("a", "2"), ("b", "1")]).unwrap().digest());
        assert_ne!(one.digest(), manifest(&[("a", "1"), ("c", "2")]).unwrap().digest());
        assert_eq!(one.size(), 2);
    }

    #[test]
    fn a_tree_is_a_tree() {
        assert!(manifest(&[]).is_err());
        assert!(manifest(&[("a", "1"), ("a", "2")]).is_err());
        assert!(manifest(&[("a", "1"), ("a/b/c", "2")]).is_err());
    }

    #[test]
    fn the_model_file_is_found_where_there_is_no_doubt() {
        let found =
            |files: &[(&str, &str)]| manifest(files).unwrap().onnx_file().map(ToString::to_string);
        assert_eq!(found(&[("net.onnx", ""), ("readme", "")]).as_deref(), Some("net.onnx"));
        assert_eq!(found(&[("a.onnx", ""), ("model.onnx", "")]).as_deref(), Some("model.onnx"));
        assert_eq!(found(&[("x/net.onnx", "")]).as_deref(), Some("x/net.onnx"));
        assert_eq!(found(&[("a.onnx", ""), ("b.onnx", "")]), None);
        assert_eq!(found(&[("model.pkl", "")]), None);
    }
}
