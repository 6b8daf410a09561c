//! How a release serves: what may be set for an endpoint, beside the versions that it serves.
//!
//! Settings are a part of a release and as immutable as it is. A release that is made without a word
//! about them has those of the release before. To add one: a field here, of a type that knows its
//! range ([`Bounded`], [`Span`]), and a line in `registry::http::serving`, which documents it.

mod bounded;
pub mod hooks;
mod isolation;
mod routing;
mod split;
mod sticky;

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

pub use bounded::{Bounded, Bytes, Span};
pub use hooks::Hooks;
pub use isolation::Isolation;
pub use routing::{
    Fallback, HeaderName, Match, Percent, Routing, Rule, Shadow, Sticky, VersionNumber,
};
pub use split::Split;
pub use sticky::Chooser;

use crate::{Problem, Signature};

/// How long a request may take: 1 ms to 10 min.
pub type Timeout = Span<1, 600_000>;

/// How many bytes a request's body may have: 4 KiB to 16 GiB.
pub type BodyLimit = Bytes<4_096, 17_179_869_184>;

/// How many requests may wait for a version: 1 to as many as any queue holds.
pub type MaxQueue = Bounded<1, 1_024>;

/// How long an endpoint that is loaded on demand stays without requests: 1 s to 30 days.
pub type Idle = Span<1_000, 2_592_000_000>;

/// How many nodes hold a release: 1 to 1000.
pub type Nodes = Bounded<1, 1_000>;

/// What a request meets that comes for an endpoint whose versions are not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cold {
    /// It waits until they are, as long as a request may take.
    #[default]
    Wait,
    /// It is refused, and loading begins.
    Refuse,
}

impl Cold {
    /// As text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Refuse => "refuse",
        }
    }
}

/// Versions are loaded when they are asked for, and unloaded when they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OnDemand {
    /// What a request meets that comes before they are loaded.
    pub cold: Cold,
    /// How long they stay without requests; 10 min, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
}

impl OnDemand {
    /// How long they stay without requests.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle.map_or(Duration::from_secs(600), Span::get)
    }
}

/// What is set for a release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long a request may take; the node's own limit holds as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// How many bytes a request's body may have, as it comes and unpacked; the node's own limit holds as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_limit: Option<BodyLimit>,
    /// How many requests may wait for a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queue: Option<MaxQueue>,
    /// Absent: its versions are loaded for as long as it is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<OnDemand>,
    /// How many nodes hold its versions; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
    /// Where its ONNX versions run; absent: as each of them says, else as the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// Which version answers which request.
    #[serde(skip_serializing_if = "Routing::is_empty", deserialize_with = "or_default")]
    pub routing: Routing,
    /// What happens to requests and answers on the way.
    #[serde(skip_serializing_if = "Hooks::is_empty", deserialize_with = "or_default")]
    pub hooks: Hooks,
}

/// Reads `null` as what is not set, for fields that are no options.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Settings {
    /// The versions that are named here, which the release must hold whatever their weight.
    #[must_use]
    pub fn versions(&self) -> BTreeSet<i32> {
        self.routing.versions()
    }

    /// Whether a version of that signature can be served so.
    ///
    /// # Errors
    /// A hook does not fit it; it lacks an input that requests are told apart by.
    pub fn check(&self, signature: &Signature) -> Result<(), Problem> {
        let signature = self.hooks.callers(signature)?;
        let Some(Sticky::Input(name)) = &self.routing.sticky else { return Ok(()) };
        if signature.inputs.iter().any(|input| input.name == *name) {
            return Ok(());
        }
        let inputs: Vec<_> =
            signature.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
        let message = format!("there is no input `{name}`: expected {}", inputs.join(" or "));
        Err(Problem::invalid("serving.routing.sticky.input", message))
    }

    /// Whether versions of these numbers and signatures can be served so by one release. What a shadow and
    /// a fallback get has passed the hooks of the version that was picked: it must be the same for all.
    ///
    /// # Errors
    /// Two take other inputs.
    pub fn check_together(&self, versions: &[(i32, Option<Signature>)]) -> Result<(), Problem> {
        let are_shared = self.routing.shadow.is_some() || self.routing.fallback.is_some();
        if self.hooks.before.is_empty() || !are_shared {
            return Ok(());
        }
        let mut known = versions.iter().filter_map(|(number, it)| Some((number, it.as_ref()?)));
        let Some((first, one)) = known.next() else { return Ok(()) };
        match known.find(|(_, other)| other.inputs != one.inputs) {
            None => Ok(()),
            Some((other, _)) => {
                let message = format!(
                    "versions {first} and {other} take other inputs: with hooks before them, a shadow or a fallback takes what the others take"
                );
                Err(Problem::invalid("serving.hooks.before", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<Settings, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        for value in [
            json!({}),
            json!({"timeout": "2s"}),
            json!({"timeout": "2s", "body_limit": "8MiB", "max_queue": 200}),
            json!({"nodes": 2, "isolation": "process"}),
            json!({"on_demand": {"cold": "wait"}}),
            json!({"on_demand": {"cold": "refuse", "idle": "30m"}}),
            json!({"timeout": "250ms", "routing": {"sticky": {"header": "x-user"}}}),
            json!({"routing": {
                "sticky": {"input": "user_id"},
                "rules": [
                    {"header": "x-beta", "equals": "yes", "version": 2},
                    {"header": "x-client", "prefix": "ios/", "version": 3},
                    {"header": "x-debug", "present": true, "version": 3},
                ],
                "shadow": {"version": 4, "percent": 10},
                "fallback": {"version": 1, "after": "100ms"},
            }}),
        ] {
            let settings = read(value.clone()).unwrap();
            assert_eq!(serde_json::to_value(&settings).unwrap(), value);
        }
        assert_eq!(read(json!({})).unwrap(), Settings::default());
    }

    #[test]
    fn what_is_out_of_range_is_refused_in_words() {
        for (value, words) in [
            (json!({"timeout": 2}), "expected a length of time"),
            (json!({"timeout": "2"}), "expected"),
            (json!({"timeout": "0s"}), "1ms to 10m"),
            (json!({"body_limit": 8}), "expected a number of bytes"),
            (json!({"body_limit": "8"}), "expected a whole number with its unit"),
            (json!({"body_limit": "1KiB"}), "4KiB to 16GiB"),
            (json!({"body_limit": "17GiB"}), "4KiB to 16GiB"),
            (json!({"body_limit": "99999999999999999999PiB"}), "4KiB to 16GiB"),
            (json!({"max_queue": 0}), "1 to 1024"),
            (json!({"max_queue": 1025}), "1 to 1024"),
            (json!({"nodes": 0}), "1 to 1000"),
            (json!({"on_demand": {"cold": "freeze"}}), "unknown variant `freeze`"),
            (json!({"on_demand": {"idle": "10ms"}}), "1s to 30d"),
            (json!({"timeout": "11m"}), "1ms to 10m"),
            (json!({"isolation": "container"}), "expected `in-process` or `process`"),
            (json!({"timout": "1s"}), "unknown field `timout`"),
            (json!({"routing": {"sticky": {"cookie": "x"}}}), "unknown variant `cookie`"),
            (json!({"routing": {"sticky": {"header": "a b"}}}), "no name of a header"),
            (json!({"routing": {"sticky": {"header": "Authorization"}}}), "carries a secret"),
            (json!({"routing": {"sticky": {"header": "x-user-bin"}}}), "-bin"),
            (json!({"routing": {"shadow": {"version": 0}}}), "1 to 2147483647"),
            (json!({"routing": {"shadow": {"version": 1, "percent": 101}}}), "1 to 100"),
            (json!({"routing": {"fallback": {"version": 1, "after": "1h"}}}), "1ms to 10m"),
            (
                json!({"routing": {"rules": [{"header": "x", "version": 1}]}}),
                "one of `equals`, `prefix` and `present`",
            ),
            (
                json!({"routing": {"rules": [{"header": "x", "equals": "a", "prefix": "b", "version": 1}]}}),
                "one of `equals`, `prefix` and `present`",
            ),
            (
                json!({"routing": {"rules": [{"header": "x", "equals": "é", "version": 1}]}}),
                "visible ASCII",
            ),
            (
                json!({"routing": {"rules": vec![json!({"header": "x", "present": true, "version": 1}); 65]}}),
                "at most 64",
            ),
        ] {
            let refused = read(value.clone()).unwrap_err();
            assert!(refused.contains(words), "{value}: {refused}");
        }
    }

    #[test]
    fn a_release_holds_all_versions_that_its_settings_name() {
        let settings = read(json!({"routing": {
            "rules": [{"header": "x", "present": false, "version": 7}],
            "shadow": {"version": 5}, "fallback": {"version": 2},
        }}))
        .unwrap();
        assert_eq!(settings.versions(), BTreeSet::from([2, 5, 7]));
    }

    #[test]
    fn requests_stick_by_an_input_that_there_is() {
        let settings = read(json!({"routing": {"sticky": {"input": "user"}}})).unwrap();
        let signature = |input: &str| -> Signature {
            serde_json::from_value(json!({
                "inputs": [{"name": input, "datatype": "INT64", "shape": [-1]}], "outputs": [],
            }))
            .unwrap()
        };
        assert!(settings.check(&signature("user")).is_ok());
        let refused = settings.check(&signature("age")).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("serving.routing.sticky.input"));
        assert!(refused.message.contains("expected `age`"), "{}", refused.message);
    }
}
