//! Which version answers which request, beyond the weights.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Bounded, Timeout};

/// A version of the endpoint's model.
pub type VersionNumber = Bounded<1, { i32::MAX }>;
/// A share of requests: 1 to 100 percent.
pub type Percent = Bounded<1, 100>;

/// The most rules of a release: each is looked at by each request.
const RULES: usize = 64;
/// The longest name of a header or an input.
const NAME: usize = 100;
/// The longest text that a header is compared with.
const TEXT: usize = 200;
/// What nobody shall write into a release, where all who see the endpoint read it.
const SECRETS: [&str; 4] =
    ["authorization", "proxy-authorization", "cookie", "x-amz-security-token"];

/// Which version answers which request. A request that insists on a version gets that one; else the
/// first rule that it matches decides, else its key, if it has one, else the weights.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    /// What requests are told apart by, so that those of one key get one version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// The first that a request matches decides.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "rules")]
    pub rules: Vec<Rule>,
    /// Who gets copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// Who answers where the picked version fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

impl Routing {
    /// Whether the weights alone decide, and nothing else happens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The versions that are named here.
    pub(super) fn versions(&self) -> BTreeSet<i32> {
        let rules = self.rules.iter().map(|rule| rule.version);
        let shadow = self.shadow.iter().map(|shadow| shadow.version);
        let fallback = self.fallback.iter().map(|fallback| fallback.version);
        rules.chain(shadow).chain(fallback).map(Bounded::get).collect()
    }
}

fn rules<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    let rules: Vec<Rule> = super::or_default(deserializer)?;
    if rules.len() > RULES {
        let message = format!("{} rules are too many: expected at most {RULES}", rules.len());
        return Err(serde::de::Error::custom(message));
    }
    Ok(rules)
}

/// What requests of one key have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sticky {
    /// The value of a header, or of gRPC's metadata.
    Header(HeaderName),
    /// The first row of an input.
    Input(String),
}

/// Sends the requests that match to one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRule", into = "RawRule")]
pub struct Rule {
    /// The header that is looked at, or gRPC's metadata.
    pub header: HeaderName,
    /// What it must be.
    pub when: Match,
    /// The version that answers then.
    pub version: VersionNumber,
}

/// What a header must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// Just this.
    Equals(String),
    /// Something that begins so.
    Prefix(String),
    /// There, or not there.
    Present(bool),
}

impl Match {
    /// Whether a header's value is what it must be.
    #[must_use]
    pub fn holds(&self, value: Option<&[u8]>) -> bool {
        match self {
            Self::Equals(text) => value == Some(text.as_bytes()),
            Self::Prefix(text) => value.is_some_and(|value| value.starts_with(text.as_bytes())),
            Self::Present(there) => value.is_some() == *there,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    header: HeaderName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    equals: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    present: Option<bool>,
    version: VersionNumber,
}

impl TryFrom<RawRule> for Rule {
    type Error = String;

    fn try_from(raw: RawRule) -> Result<Self, String> {
        let RawRule { header, equals, prefix, present, version } = raw;
        let when = match (equals, prefix, present) {
            (Some(text), None, None) => Match::Equals(comparable(text)?),
            (None, Some(text), None) => Match::Prefix(comparable(text)?),
            (None, None, Some(there)) => Match::Present(there),
            _ => return Err("a rule has one of `equals`, `prefix` and `present`".to_owned()),
        };
        Ok(Self { header, when, version })
    }
}

impl From<Rule> for RawRule {
    fn from(rule: Rule) -> Self {
        let (mut equals, mut prefix, mut present) = (None, None, None);
        match rule.when {
            Match::Equals(text) => equals = Some(text),
            Match::Prefix(text) => prefix = Some(text),
            Match::Present(there) => present = Some(there),
        }
        Self { header: rule.header, equals, prefix, present, version: rule.version }
    }
}

fn comparable(text: String) -> Result<String, String> {
    let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.is_empty() || text.len() > TEXT || !text.bytes().all(is_visible) {
        return Err(format!("a header is compared with 1 to {TEXT} characters of visible ASCII"));
    }
    Ok(text)
}

/// The name of a header, which is one of gRPC's metadata as well, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(String);

impl HeaderName {
    /// In lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HeaderName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > NAME || !name.bytes().all(is_allowed) {
            let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
            return Err(format!(
                "`{shown}` is no name of a header here: expected 1 to {NAME} letters, digits, `-`, `_` and `.`"
            ));
        }
        let name = name.to_ascii_lowercase();
        if SECRETS.contains(&name.as_str()) {
            return Err(format!("`{name}` carries a secret, which is no part of a release"));
        }
        if name.ends_with("-bin") {
            return Err(format!("`{name}` is binary in gRPC, as all names that end with `-bin`"));
        }
        Ok(Self(name))
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0
    }
}

/// A version that gets copies of requests; what it answers is compared and never returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// The version.
    pub version: VersionNumber,
    /// How many of the requests.
    #[serde(default = "all")]
    pub percent: Percent,
}

fn all() -> Percent {
    Percent::MAX
}

/// The version that answers where the picked one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The version.
    pub version: VersionNumber,
    /// How long the picked version has; all of the time, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timeout>,
}
