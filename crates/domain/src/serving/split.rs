//! Shares of an endpoint's traffic.

use serde::{Deserialize, Serialize};

use super::{Bounded, VersionNumber};

/// The most versions of a release: all of them are loaded on each node.
const VERSIONS: usize = 16;

/// Versions of one model, each with its share in percent. Shares sum to 100; one of 0 is loaded and
/// gets what rules, a shadow or a fallback send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Part>", into = "Vec<Part>")]
pub struct Split(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    version: VersionNumber,
    weight: Bounded<0, 100>,
}

impl Split {
    /// Version numbers and weights, in the order that they were given in.
    pub fn shares(&self) -> impl Iterator<Item = (i32, i32)> {
        self.0.iter().map(|part| (part.version.get(), part.weight.get()))
    }

    /// The version with the largest share; the first of those where there are several.
    #[must_use]
    pub fn main(&self) -> i32 {
        let largest = self.shares().map(|(_, weight)| weight).max();
        let main = self.shares().find(|(_, weight)| Some(*weight) == largest);
        main.map_or(0, |(number, _)| number)
    }
}

impl TryFrom<Vec<Part>> for Split {
    type Error = String;

    fn try_from(parts: Vec<Part>) -> Result<Self, String> {
        if parts.is_empty() || parts.len() > VERSIONS {
            return Err(format!("a split has 1 to {VERSIONS} versions, not {}", parts.len()));
        }
        for (at, part) in parts.iter().enumerate() {
            if parts.iter().take(at).any(|earlier| earlier.version == part.version) {
                return Err(format!("version {} stands twice in the split", part.version.get()));
            }
        }
        let sum: i32 = parts.iter().map(|part| part.weight.get()).sum();
        if sum != 100 {
            return Err(format!("the weights of a split sum to 100, not {sum}"));
        }
        Ok(Self(parts))
    }
}

impl From<Split> for Vec<Part> {
    fn from(split: Split) -> Self {
        split.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Split, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_split_has_each_version_once_and_sums_to_a_hundred() {
        let part = |version: i32, weight: i32| json!({"version": version, "weight": weight});
        let split = read(json!([part(3, 10), part(1, 90), part(2, 0)])).unwrap();
        assert_eq!(split.shares().collect::<Vec<_>>(), [(3, 10), (1, 90), (2, 0)]);
        assert_eq!(split.main(), 1);
        for (value, words) in [
            (json!([]), "1 to 16"),
            (json!([part(1, 90), part(2, 9)]), "sum to 100, not 99"),
            (json!([part(1, 100), part(2, 100)]), "sum to 100, not 200"),
            (json!([part(1, 50), part(1, 50)]), "version 1 stands twice"),
            (json!([part(1, 101)]), "0 to 100"),
            (json!([part(1, -1), part(2, 101)]), "0 to 100"),
            (json!([part(0, 100)]), "1 to"),
        ] {
            let refused = read(value.clone()).unwrap_err();
            assert!(refused.contains(words), "{value}: {refused}");
        }
    }
}
