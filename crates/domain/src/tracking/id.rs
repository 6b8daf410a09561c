//! Identifiers in the form that MLflow's clients know.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::Problem;

/// An experiment: on the wire a decimal number. 0 is the one that is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentId(pub i64);

/// A run: on the wire 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub Uuid);

/// A logged model: on the wire `m-` and 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoggedModelId(pub Uuid);

impl RunId {
    /// A fresh id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl LoggedModelId {
    /// A fresh id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for LoggedModelId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl fmt::Display for LoggedModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m-{}", self.0.as_simple())
    }
}

impl FromStr for ExperimentId {
    type Err = Problem;

    fn from_str(s: &str) -> Result<Self, Problem> {
        let is_number = !s.is_empty() && s.bytes().all(|byte| byte.is_ascii_digit());
        let id = is_number.then(|| s.parse().ok()).flatten();
        id.map(Self).ok_or_else(|| {
            let shown: String = s.chars().take(80).collect();
            let message =
                format!("Invalid experiment ID '{shown}'. Experiment ID must be a valid integer.");
            Problem::invalid("experiment_id", message)
        })
    }
}

impl FromStr for RunId {
    type Err = Problem;

    fn from_str(s: &str) -> Result<Self, Problem> {
        simple(s).map(Self).ok_or_else(|| malformed("run_id", s, "32 hex digits"))
    }
}

impl FromStr for LoggedModelId {
    type Err = Problem;

    fn from_str(s: &str) -> Result<Self, Problem> {
        let id = s.strip_prefix("m-").and_then(simple);
        id.map(Self).ok_or_else(|| malformed("model_id", s, "`m-` and 32 hex digits"))
    }
}

fn simple(s: &str) -> Option<Uuid> {
    let is_simple =
        s.len() == 32 && s.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_simple.then(|| Uuid::try_parse(s).ok()).flatten()
}

fn malformed(field: &'static str, given: &str, expected: &str) -> Problem {
    let shown: String = given.chars().take(80).collect();
    Problem::invalid(field, format!("`{shown}` is no {field}: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let run = RunId::new();
        assert_eq!(run.to_string().parse(), Ok(run));
        let model = LoggedModelId::new();
        assert_eq!(model.to_string().parse(), Ok(model));
        assert_eq!("12".parse(), Ok(ExperimentId(12)));
        for bad in ["", "-1", "+1", " 1", "1e3", "99999999999999999999", "a"] {
            assert!(bad.parse::<ExperimentId>().is_err(), "{bad}");
        }
        for bad in ["", "m-", &run.0.to_string(), &run.to_string().to_uppercase(), "zz"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
            assert!(bad.parse::<LoggedModelId>().is_err(), "{bad}");
        }
    }
}
