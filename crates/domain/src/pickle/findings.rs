//! What a version's pickles mean for its deployment.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Import, Report, Verdict, judge};
use crate::{FilePath, Manifest, Problem, version::words};

words! {
    /// How a pickle is packed.
    Format, "format" {
        /// It begins where the file does.
        Pickle = "pickle",
        /// Within a compressed stream.
        Compressed = "compressed",
        /// In an archive: torch's, or one of arrays.
        Archive = "archive",
        /// A skops file: no pickle, but types that are imported.
        Skops = "skops",
        /// In an array of objects.
        Array = "array",
        /// A Keras model: no pickle, but layers that carry code, or name it.
        Keras = "keras",
    }
}

words! {
    /// Which versions with pickles may be deployed: a setting of the platform.
    Policy, "pickle" {
        /// All of them.
        Allow = "allow",
        /// Those that hold nothing but known constructors.
        SafeOnly = "safe-only",
        /// None.
        Deny = "deny",
    }
}

impl Default for Policy {
    /// What is known to be harmless may be deployed.
    fn default() -> Self {
        Self::SafeOnly
    }
}

impl Policy {
    /// What holds for a version that an administrator trusts: where known constructors alone are taken, all of
    /// it is; where nothing is, nothing.
    #[must_use]
    pub fn for_trusted(self) -> Self {
        match self {
            Self::Allow | Self::SafeOnly => Self::Allow,
            Self::Deny => Self::Deny,
        }
    }
}

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFindings {
    /// Where it is in the version.
    pub path: String,
    /// How the pickle is packed.
    pub format: Format,
    /// The worst that was found.
    pub verdict: Verdict,
    /// All that was found.
    #[serde(flatten)]
    pub report: Report,
}

/// What was found in a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The worst that was found.
    pub verdict: Verdict,
    /// Its files that have to do with pickles.
    pub files: Vec<FileFindings>,
    /// Why the scan did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unfinished: Option<String>,
}

impl Findings {
    /// Of a scan that came to its end.
    #[must_use]
    pub fn of(files: Vec<FileFindings>) -> Self {
        let verdict = files.iter().map(|file| file.verdict).max().unwrap_or(Verdict::Safe);
        Self { verdict, files, unfinished: None }
    }

    /// Of a scan that the files ended, and of what it had found till then: whoever does that has
    /// something to hide.
    #[must_use]
    pub fn unfinished(why: impl Into<String>, files: Vec<FileFindings>) -> Self {
        Self { verdict: Verdict::Dangerous, files, unfinished: Some(why.into()) }
    }

    /// Why the setting forbids the deployment; absent where it does not.
    #[must_use]
    pub fn obstacle(&self, policy: Policy) -> Option<String> {
        let worst = self.files.iter().max_by_key(|file| file.verdict);
        let what = match (policy, &self.unfinished, worst) {
            (Policy::Allow, ..) | (_, None, None) => return None,
            (Policy::SafeOnly, None, Some(file)) if file.verdict == Verdict::Safe => return None,
            (_, Some(why), _) => format!("its files could not be scanned for pickles ({why})"),
            (Policy::Deny, None, Some(file)) if file.format == Format::Keras => {
                format!("`{}` carries code", file.path)
            }
            (Policy::Deny, None, Some(file)) => format!("`{}` holds a pickle", file.path),
            (Policy::SafeOnly, None, Some(file)) => file.complaint(),
        };
        Some(format!("{what}, and the platform's setting `pickle` is `{policy}`"))
    }
}

impl FileFindings {
    /// The worst, in words.
    fn complaint(&self) -> String {
        let import = self.report.imports.iter().find(|import| import.verdict == self.verdict);
        let note = self.report.notes.iter().find(|note| note.verdict == self.verdict);
        match (import, note) {
            (Some(Import { name, reason, .. }), _) => {
                let why = reason.as_deref().unwrap_or("nothing is known of it");
                format!("`{}` imports `{name}` ({why})", self.path)
            }
            (None, Some(note)) => format!("`{}` is {}: {}", self.path, self.verdict, note.text),
            (None, None) => format!("`{}` is {}", self.path, self.verdict),
        }
    }
}

/// The files that may hold pickles: what a file is tells its content, so all but the one that
/// nothing else than ONNX Runtime ever reads.
pub fn suspects<'a>(
    manifest: &'a Manifest,
    onnx: Option<&'a str>,
) -> impl Iterator<Item = &'a FilePath> {
    manifest.files().map(|(path, _)| path).filter(move |path| onnx != Some(path.as_str()))
}

/// A type that a file names without a pickle.
#[must_use]
pub fn named(module: &str, name: &str) -> Report {
    let (verdict, reason) = judge(module, name);
    let reason = reason.map(ToOwned::to_owned);
    let import = Import { name: format!("{module}.{name}"), verdict, reason, called: true };
    Report { imports: vec![import], notes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(module: &str, name: &str) -> Findings {
        let report = named(module, name);
        let verdict = report.verdict();
        Findings::of(vec![FileFindings {
            path: "model.pkl".into(),
            format: Format::Pickle,
            verdict,
            report,
        }])
    }

    #[test]
    fn the_setting_decides_what_may_be_deployed() {
        let (safe, unknown) = (version("builtins", "set"), version("ours", "Scaler"));
        let dangerous = version("os", "system");
        let died = Findings::unfinished("it took too long", Vec::new());
        let none = Findings::of(Vec::new());
        for (policy, refused) in [
            (Policy::Allow, [false; 5]),
            (Policy::SafeOnly, [false, true, true, true, false]),
            (Policy::Deny, [true, true, true, true, false]),
        ] {
            let found =
                [&safe, &unknown, &dangerous, &died, &none].map(|it| it.obstacle(policy).is_some());
            assert_eq!(found, refused, "{policy}");
        }
        let why = dangerous.obstacle(Policy::SafeOnly).unwrap();
        for part in ["model.pkl", "os.system", "safe-only"] {
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn every_file_is_suspect_but_the_one_that_onnx_runtime_reads() {
        let entry = crate::FileEntry { digest: crate::Digest::of(b""), size: 0 };
        let paths = ["MLmodel", "a/b.json", "model.onnx", "weights.data"];
        let files = paths.map(|path| (path.parse().unwrap(), entry));
        let manifest = Manifest::new(files).unwrap();
        let found = |onnx| suspects(&manifest, onnx).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found(None), paths);
        assert_eq!(found(Some("model.onnx")), ["MLmodel", "a/b.json", "weights.data"]);
    }
}
