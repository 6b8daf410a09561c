//! Names, checked once at the edge.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

use crate::Problem;

/// Control characters, and those that turn the direction of text so that a name looks like another.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Problem;
            fn from_str(value: &str) -> Result<Self, Problem> {
                $check(value).map_err(|why| Problem::invalid($field, why))?;
                Ok(Self(value.to_owned()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

fn text(what: &str, value: &str, longest: usize) -> Result<(), String> {
    let length = value.chars().count();
    if length == 0 {
        return Err(format!("{what} is empty: expected 1 to {longest} characters"));
    }
    if length > longest {
        return Err(format!(
            "{what} exceeds the maximum length of {longest} characters: it has {length}"
        ));
    }
    if let Some(c) = value.chars().find(|&c| is_deceptive(c)) {
        return Err(format!(
            "{what} holds the character U+{:04X}: control and bidirectional characters are not allowed",
            c as u32
        ));
    }
    Ok(())
}

fn model_name(value: &str) -> Result<(), String> {
    text("a model's name", value, 255)?;
    if let Some(c) = value.chars().find(|c| matches!(c, '/' | ':')) {
        return Err(format!("a model's name may not hold `{c}`: `{value}`"));
    }
    if value.trim() != value {
        return Err("a model's name may not begin or end with a space".to_owned());
    }
    if matches!(value, "." | "..") {
        return Err(format!("`{value}` is no name: a URL's path would swallow it"));
    }
    Ok(())
}

fn label(what: &str, value: &str) -> Result<(), String> {
    let fits = (1..=63).contains(&value.len())
        && value.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if fits {
        return Ok(());
    }
    // What is wrong may hold anything: show it escaped, and not at full length.
    let shown: String = value.chars().take(80).flat_map(char::escape_default).collect();
    Err(format!("`{shown}` is not {what}'s name: expected 1 to 63 of a-z, 0-9 and `-`"))
}

fn endpoint_name(value: &str) -> Result<(), String> {
    label("an endpoint", value)
}

fn environment_name(value: &str) -> Result<(), String> {
    label("an environment", value)
}

/// MLflow's rule for aliases: word characters and `-`, not `latest`, not `v` and digits.
fn alias_name(value: &str) -> Result<(), String> {
    text("an alias", value, 255)?;
    if !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Err(format!(
            "Invalid alias name: '{value}': expected letters, digits, `_` and `-`"
        ));
    }
    let lower = value.to_ascii_lowercase();
    let is_version = lower
        .strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    let what = match lower.as_str() {
        "latest" => "'latest' alias name (case insensitive)".to_owned(),
        _ if is_version => format!("Version alias name '{value}'"),
        _ => return Ok(()),
    };
    Err(format!("{what} is reserved: an alias may not be `latest` or look like a version (`v3`)"))
}

/// A stage stands after `/` where a version's number may stand as well.
fn stage_name(value: &str) -> Result<(), String> {
    text("a stage", value, 100)?;
    if let Some(c) = value.chars().find(|c| matches!(c, '/' | ':' | '@')) {
        return Err(format!("a stage may not hold `{c}`: `{value}`"));
    }
    if value.trim() != value {
        return Err("a stage may not begin or end with a space".to_owned());
    }
    let is_number = value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-'));
    if is_number || value.eq_ignore_ascii_case("latest") {
        return Err(format!("`{value}` is no stage: it reads as a version"));
    }
    Ok(())
}

fn tag_key(value: &str) -> Result<(), String> {
    text("a tag's key", value, 250)
}

fn tag_value(value: &str) -> Result<(), String> {
    let length = value.chars().count();
    if length > 100_000 {
        Err(format!("a tag's value has {length} characters: expected at most 100000"))
    } else {
        Ok(())
    }
}

name! {
    /// A stage of a model: 1 to 100 characters that do not read as a version's number.
    Stage, "stage", stage_name
}

impl Stage {
    /// Where versions begin, and where no endpoint looks.
    pub const NONE: &str = "None";
    /// Where MLflow puts away what `archive_existing_versions` moves out.
    pub const ARCHIVED: &str = "Archived";

    /// Whether this is where versions begin.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0 == Self::NONE
    }
}

name! {
    /// A model's name: 1 to 255 characters without `/`, `:`, control and bidirectional characters.
    ModelName, "name", model_name
}
name! {
    /// An endpoint's name: 1 to 63 of `a-z`, `0-9` and `-`.
    EndpointName, "endpoint", endpoint_name
}
name! {
    /// An environment's name: 1 to 63 of `a-z`, `0-9` and `-`.
    EnvironmentName, "env", environment_name
}
name! {
    /// An alias: letters, digits, `_` and `-`; never `latest`, never like `v3`.
    AliasName, "alias", alias_name
}
name! {
    /// A tag's key: 1 to 250 characters.
    TagKey, "tags", tag_key
}
name! {
    /// A tag's value: at most 100,000 characters, empty allowed.
    TagValue, "tags", tag_value
}

impl EnvironmentName {
    /// The environment whose endpoints go by their bare name.
    pub const PRODUCTION: &'static str = "production";

    /// The environment that callers get who name none.
    #[must_use]
    pub fn production() -> Self {
        Self(Self::PRODUCTION.to_owned())
    }
}

/// An endpoint as callers name it: `fraud` in production, `fraud.dev` elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointRef {
    /// The endpoint's own name.
    pub name: EndpointName,
    /// Its environment.
    pub env: EnvironmentName,
}

impl EndpointRef {
    /// An endpoint of production.
    #[must_use]
    pub fn production(name: EndpointName) -> Self {
        Self { name, env: EnvironmentName::production() }
    }
}

impl fmt::Display for EndpointRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.env.as_str() == EnvironmentName::PRODUCTION {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{}.{}", self.name, self.env)
        }
    }
}

impl FromStr for EndpointRef {
    type Err = Problem;

    fn from_str(value: &str) -> Result<Self, Problem> {
        match value.split_once('.') {
            None => Ok(Self::production(value.parse()?)),
            Some((name, env)) => Ok(Self { name: name.parse()?, env: env.parse()? }),
        }
    }
}

impl Serialize for EndpointRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EndpointRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_may_hold_spaces_and_letters_of_any_script() {
        for good in ["fraud", "credit risk 2", "životní", "モデル", "a@b", &"x".repeat(255)] {
            assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_models_name_that_deceives_or_breaks_paths_is_refused() {
        for bad in [
            "",
            "a/b",
            "a:b",
            "a\nb",
            "a\u{202E}b",
            "a\u{2066}b",
            " a",
            "a ",
            "..",
            &"x".repeat(256),
        ] {
            assert_eq!(
                bad.parse::<ModelName>().unwrap_err().field.as_deref(),
                Some("name"),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn an_endpoints_name_is_a_dns_label() {
        assert!("fraud-2".parse::<EndpointName>().is_ok());
        for bad in ["", "Fraud", "a b", "a.b", "a_b", "é", &"x".repeat(64)] {
            assert!(bad.parse::<EndpointName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_endpoint_outside_production_carries_its_environment() {
        for wire in ["fraud", "fraud.dev"] {
            assert_eq!(wire.parse::<EndpointRef>().unwrap().to_string(), wire);
        }
        assert_eq!("fraud.production".parse::<EndpointRef>().unwrap().to_string(), "fraud");
        assert!("a.b.c".parse::<EndpointRef>().is_err());
    }

    #[test]
    fn a_stage_is_free_text_that_is_no_version() {
        for good in ["None", "Production", "pre-release 2", "výroba"] {
            assert!(good.parse::<Stage>().is_ok(), "{good:?}");
        }
        for bad in ["", "3", "-3", "latest", "a/b", "a@b", "a:b", " a", "a\nb", &"x".repeat(101)] {
            assert!(bad.parse::<Stage>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reserved_aliases_are_refused() {
        assert!("champion".parse::<AliasName>().is_ok());
        for bad in ["latest", "Latest", "v1", "V22", "a b", "a@b", ""] {
            assert!(bad.parse::<AliasName>().is_err(), "{bad:?}");
        }
    }
}
