//! Why a text is not a policy that may decide.

use cedar_policy::ffi::DetailedError;
use domain::Problem;

/// A policy text that is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy `{policy}`, line {line}, column {column}: {message}")]
pub struct PolicyError {
    /// The policy's name.
    pub policy: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl PolicyError {
    /// What is wrong at byte `at` of the text.
    pub(crate) fn at(
        policy: &str,
        text: &str,
        at: usize,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            policy: policy.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message: message.into(),
            help: help.into(),
        }
    }

    /// What Cedar says of the text. `part` is where the policy that it is about begins, for what
    /// Cedar gives no place of.
    pub(crate) fn from_cedar(policy: &str, text: &str, part: usize, error: &DetailedError) -> Self {
        // The first of several hangs below a summary.
        let error =
            error.related.first().filter(|_| error.source_locations.is_empty()).unwrap_or(error);
        let at = error.source_locations.first().map_or(part, |label| label.loc.start);
        // Cedar's number of the policy in the text says less than the line.
        let message = match error.message.strip_prefix("for policy `") {
            Some(rest) => rest.split_once("`, ").map_or(rest, |(_, rest)| rest),
            None => &error.message,
        };
        Self::at(policy, text, at, message, error.help.clone())
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let problem = Self::invalid("text", error.to_string());
        match error.help {
            Some(help) => problem.hint(help),
            None => problem,
        }
    }
}
