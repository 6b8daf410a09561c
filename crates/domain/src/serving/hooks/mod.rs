//! What happens to a request before the model gets it, and to its answer before the caller does.
//!
//! A release has a list for each, run in order. A hook changes one column (an input or an output), or
//! asks a server for more of them. What callers see is the model's signature as the hooks leave it:
//! [`Hooks::fit`] finds it, with the steps that lead from the callers' inputs to the model's, and from
//! its outputs to theirs. To add a kind of hook: a variant of [`Hook`], and its line in [`fit`].

mod change;
mod fit;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use change::Change;
pub use fit::{Ask, Fitted, Step};

use super::Timeout;
use crate::{DataType, TensorSpec};

/// The most hooks before a model, and after it.
const MOST: usize = 32;
/// The most columns that are sent to a server, and that it gives.
const MOST_COLUMNS: usize = 64;
/// The most headers that a server is sent.
const MOST_HEADERS: usize = 16;
/// The longest name of a column or a credential.
const LONGEST_NAME: usize = 200;
/// The longest URL, and the longest value of a header.
const LONGEST_TEXT: usize = 500;

/// The hooks of a release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// What happens to a request, the first first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "hooks")]
    pub before: Vec<Hook>,
    /// What happens to an answer, the first first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "hooks")]
    pub after: Vec<Hook>,
}

fn hooks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Hook>, D::Error> {
    let hooks: Vec<Hook> = super::or_default(deserializer)?;
    if hooks.len() > MOST {
        let message = format!("{} hooks are too many: expected at most {MOST}", hooks.len());
        return Err(serde::de::Error::custom(message));
    }
    Ok(hooks)
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Callers know a column by another name.
    Rename(Rename),
    /// A column that is not there has this value.
    Default(Fill),
    /// Callers know a column by another type.
    Cast(Cast),
    /// The values of a column are replaced.
    Mask(Mask),
    /// A server gives columns, by others that it is sent.
    Http(Box<Http>),
}

/// Callers know a column by another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// Its name on the model's side.
    pub column: Name,
    /// Its name on the callers'.
    #[serde(rename = "as")]
    pub callers: Name,
}

/// A column that is not there has this value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// Which.
    pub column: Name,
    /// One value, or a list with those of one row.
    pub value: Value,
}

/// Callers know a column by another type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cast {
    /// Which.
    pub column: Name,
    /// Its type on the callers' side.
    #[serde(rename = "as")]
    pub callers: DataType,
}

/// The values of a column are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Which.
    pub column: Name,
    /// By this; zero, false or empty, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// A server gives columns, by others that it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where it is asked, by `POST`.
    pub url: Url,
    /// The columns that it is sent. One that is none of the model's is told with its type: callers send
    /// it, and the model does not get it.
    #[serde(deserialize_with = "columns")]
    pub send: Vec<Column>,
    /// The columns that it gives: the model's by name, others with their types.
    #[serde(deserialize_with = "columns")]
    pub get: Vec<Column>,
    /// How long it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// What happens where it does not answer as it should.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What it is told beside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "headers")]
    pub headers: BTreeMap<Header, HeaderValue>,
}

/// A column by its name, or by all that there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a column's name, or an object with `name`, `datatype` and `shape`"
)]
pub enum Column {
    /// One that is known.
    Known(Name),
    /// A new one.
    New(TensorSpec),
}

impl Column {
    fn name(&self) -> &str {
        match self {
            Self::Known(name) => &name.0,
            Self::New(spec) => &spec.name,
        }
    }
}

/// What happens where a server does not answer as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The request fails.
    #[default]
    Fail,
    /// It goes on without what the server would have given.
    Continue,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text, or {\"credential\": NAME}")]
pub enum HeaderValue {
    /// This, which all who see the endpoint may read.
    Plain(VisibleText),
    /// A credential of that name.
    Credential(CredentialRef),
}

/// Names a credential, which the platform keeps sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRef {
    /// Its name.
    pub credential: Name,
}

/// A text that knows which it may be.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// It.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(&str) -> Result<String, String> = $check;
                check(&text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    )*};
}

texts! {
    /// The name of a column or of a credential.
    Name, |text| bounded(text, LONGEST_NAME, "a name");
    /// A URL; whether it may be reached is for others to say.
    Url, |text| bounded(text, LONGEST_TEXT, "a URL");
    /// The name of a header, in lower case.
    Header, header;
    /// Visible ASCII, which a header may say.
    VisibleText, visible;
}

fn bounded(text: &str, longest: usize, what: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length == 0 || length > longest || text.contains('\0') {
        return Err(format!("expected {what} of 1 to {longest} characters, got {length}"));
    }
    Ok(text.to_owned())
}

/// What the sender itself says.
const OURS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

fn header(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.is_empty() || text.len() > 100 || !text.bytes().all(is_allowed) {
        let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
        return Err(format!(
            "`{shown}` is no name of a header here: expected 1 to 100 letters, digits, `-` and `_`"
        ));
    }
    let name = text.to_ascii_lowercase();
    if OURS.contains(&name.as_str()) {
        return Err(format!("`{name}` is set by the sender itself"));
    }
    Ok(name)
}

fn visible(text: &str) -> Result<String, String> {
    let text = bounded(text, LONGEST_TEXT, "a value")?;
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(text);
    }
    Err("a header's value is visible ASCII".to_owned())
}

/// Headers whose values are secrets, if anybody's are.
const SECRETS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-amz-security-token"];

pub(crate) fn headers<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Header, HeaderValue>, D::Error> {
    let headers: BTreeMap<Header, HeaderValue> = super::or_default(deserializer)?;
    let wrong = |message: String| Err(serde::de::Error::custom(message));
    if headers.len() > MOST_HEADERS {
        return wrong(format!("expected at most {MOST_HEADERS} headers"));
    }
    let is_told = |(name, value): &(&Header, &HeaderValue)| {
        SECRETS.contains(&name.as_str()) && matches!(value, HeaderValue::Plain(_))
    };
    match headers.iter().find(is_told) {
        Some((name, _)) => wrong(format!(
            "`{}` carries a secret, which is no part of a release: name one, as {{\"credential\": NAME}}",
            name.as_str()
        )),
        None => Ok(headers),
    }
}

fn columns<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Column>, D::Error> {
    let columns: Vec<Column> = Vec::deserialize(deserializer)?;
    let wrong = |message: String| Err(serde::de::Error::custom(message));
    if columns.is_empty() || columns.len() > MOST_COLUMNS {
        return wrong(format!("expected 1 to {MOST_COLUMNS} columns"));
    }
    let mut seen = BTreeSet::new();
    for column in &columns {
        let name = column.name();
        bounded(name, LONGEST_NAME, "a name").map_err(serde::de::Error::custom)?;
        if !seen.insert(name) {
            return wrong(format!("`{name}` stands twice"));
        }
    }
    Ok(columns)
}

impl Hooks {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Those that ask a server, each with its place.
    pub fn servers(&self) -> impl Iterator<Item = (String, &Http)> {
        let sides = [("before", &self.before), ("after", &self.after)];
        sides.into_iter().flat_map(|(side, hooks)| {
            hooks.iter().enumerate().filter_map(move |(at, hook)| match hook {
                Hook::Http(http) => Some((format!("{FIELD}.{side}[{at}].http"), http.as_ref())),
                Hook::Rename(_) | Hook::Default(_) | Hook::Cast(_) | Hook::Mask(_) => None,
            })
        })
    }
}

/// Where hooks stand in a request.
const FIELD: &str = "serving.hooks";
