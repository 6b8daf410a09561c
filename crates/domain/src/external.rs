//! Versions that a server of others runs: one small file says which, and how it is asked.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Problem, mlmodel,
    serving::{
        Bounded, Timeout,
        hooks::{Header, HeaderValue, Name, Url, headers},
    },
    version::words,
};

/// What the file is called.
pub const FILE: &str = "external.yaml";
/// The most bytes that it may have.
pub const LONGEST: u64 = 64 << 10;

/// How many requests a node sends at once.
pub type Connections = Bounded<1, 64>;

words! {
    /// How a server is asked.
    Protocol, "protocol" {
        /// The Open Inference Protocol over REST, as Triton, KServe and Bottega speak it.
        V2 = "v2",
        /// TensorFlow Serving's REST.
        TensorFlow = "tensorflow",
        /// MLflow's scoring server.
        MlFlow = "mlflow",
        /// A container made for SageMaker.
        SageMaker = "sagemaker",
    }
}

/// The server of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// How it is asked.
    pub protocol: Protocol,
    /// Where: the server's address, before the protocol's own paths.
    pub url: Url,
    /// What the model is called there; V2 and TensorFlow Serving name theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Which version of it; the server's choice, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Name>,
    /// How long an answer may take; the endpoint's own limit holds as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// How many requests a node sends at once; 8, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Connections>,
    /// What it is told beside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "headers")]
    pub headers: BTreeMap<Header, HeaderValue>,
}

impl External {
    /// Reads the file, in YAML or JSON.
    ///
    /// # Errors
    /// It is none, with the field.
    pub fn read(content: &[u8]) -> Result<Self, Problem> {
        let wrong = |why: String| Problem::invalid("files", format!("`{FILE}`: {why}"));
        let external: Self = mlmodel::yaml(content).map_err(|why| wrong(why.to_string()))?;
        external.check().map_err(wrong)?;
        Ok(external)
    }

    /// Whether the protocol and what names the model go together.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_named = matches!(self.protocol, Protocol::V2 | Protocol::TensorFlow);
        let wrong = |what: &str| Err(format!("{} {what}", self.protocol));
        match (is_named, &self.model, &self.version) {
            (true, None, _) => wrong("names its models: give `model`"),
            (false, Some(_), _) | (false, _, Some(_)) => {
                wrong("has one model, which no request names: leave `model` and `version` out")
            }
            _ => Ok(()),
        }
    }

    /// How many requests a node sends at once.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.map_or(8, |count| count.get().unsigned_abs() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_from_yaml_and_from_json() {
        let yaml = "protocol: v2\nurl: https://triton.example\nmodel: fraud\ntimeout: 2s\nconnections: 16\nheaders:\n  Authorization: {credential: triton}\n";
        let read = External::read(yaml.as_bytes()).unwrap();
        assert_eq!((read.protocol, read.connections()), (Protocol::V2, 16));
        let json = serde_json::to_vec(&read).unwrap();
        assert_eq!(External::read(&json).unwrap(), read);
        let plain = External::read(b"{protocol: mlflow, url: 'https://x.example'}").unwrap();
        assert_eq!(plain.connections(), 8);
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        for (text, told) in [
            ("", "end of file"),
            ("protocol: v3\nurl: https://x\nmodel: m", "v3"),
            ("protocol: v2\nurl: https://x", "give `model`"),
            ("protocol: mlflow\nurl: https://x\nmodel: m", "leave `model`"),
            ("protocol: v2\nurl: https://x\nmodel: m\nretries: 3", "retries"),
            ("protocol: v2\nurl: https://x\nmodel: m\nconnections: 65", "1 to 64"),
            ("protocol: v2\nurl: https://x\nmodel: m\ntimeout: 2", "2"),
            (
                "protocol: v2\nurl: https://x\nmodel: m\nheaders: {authorization: x}",
                "carries a secret",
            ),
            ("a: &a [*a]", ""),
        ] {
            let refused = External::read(text.as_bytes()).unwrap_err();
            assert!(refused.message.contains(told), "{text}: {}", refused.message);
            assert_eq!(refused.field.as_deref(), Some("files"));
        }
    }
}
