//! How people name a version: `fraud@champion`, `fraud/Production`, `fraud/3`.

use std::{fmt, str::FromStr};

use crate::{AliasName, ModelName, Problem, Stage};

/// Which version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionSelector {
    /// The one that the alias points to.
    Alias(AliasName),
    /// The newest one in the stage.
    Stage(Stage),
    /// That number.
    Number(i32),
}

/// A model and one of its versions, `NAME@ALIAS`, `NAME/STAGE` or `NAME/VERSION`, split at the last separator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelRef {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: VersionSelector,
}

impl FromStr for ModelRef {
    type Err = Problem;

    fn from_str(value: &str) -> Result<Self, Problem> {
        let wrong = |why: &str| {
            Problem::invalid("model", format!("`{value}` {why}"))
                .hint("write NAME@ALIAS (fraud@champion), NAME/VERSION (fraud/3) or NAME/STAGE (fraud/Production)")
        };
        let at = value.rfind(['@', '/']).ok_or_else(|| wrong("names no version"))?;
        let (model, rest) = (&value[..at], &value[at + 1..]);
        let model: ModelName = model.parse().map_err(|problem: Problem| problem.at("model"))?;
        let version = if value[at..].starts_with('@') {
            VersionSelector::Alias(rest.parse().map_err(|problem: Problem| problem.at("model"))?)
        } else if let Some(number) = rest.parse::<i32>().ok().filter(|&n| n > 0) {
            VersionSelector::Number(number)
        } else {
            let stage = rest.parse().map_err(|_| wrong("has no version number or stage after `/`"));
            VersionSelector::Stage(stage?)
        };
        Ok(Self { model, version })
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            VersionSelector::Alias(alias) => write!(f, "{}@{alias}", self.model),
            VersionSelector::Stage(stage) => write!(f, "{}/{stage}", self.model),
            VersionSelector::Number(number) => write!(f, "{}/{number}", self.model),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_splits_at_its_last_separator() {
        let by_alias: ModelRef = "a@b@champion".parse().unwrap();
        assert_eq!(by_alias.model.as_str(), "a@b");
        for good in ["fraud@champion", "fraud/3", "fraud/Production", "credit risk/12"] {
            assert_eq!(good.parse::<ModelRef>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn a_reference_without_a_version_says_how_to_write_one() {
        for bad in ["fraud", "fraud/", "fraud/0", "fraud/-1", "/3", "fraud@latest"] {
            assert!(bad.parse::<ModelRef>().is_err(), "{bad}");
        }
        assert!("fraud".parse::<ModelRef>().unwrap_err().hint.unwrap().contains("fraud@champion"));
    }
}
