//! Versions that a program of their author's answers for: a file among theirs says how it is started and asked.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    FilePath, Problem,
    external::{External, Protocol},
    mlmodel,
    pickle::Policy,
    serving::hooks::Name,
};

/// What the file is called.
pub const FILE: &str = "process.yaml";
/// The most bytes that it may have.
pub const LONGEST: u64 = 64 << 10;

/// The most words of a command, and entries of an environment.
const MOST: usize = 64;
/// The longest word.
const LONGEST_WORD: usize = 4 << 10;
/// What the node says to the program by its environment.
const OURS: [&str; 3] = ["HOME", "TMPDIR", "BOTTEGA_MODEL"];

/// A program that answers over HTTP, to its own process alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The program and what it is told: a file of the version, or one that the machine has.
    pub command: Vec<String>,
    /// How it is asked.
    pub protocol: Protocol,
    /// Where it listens.
    #[serde(default = "port")]
    pub port: u16,
    /// Where it answers 200 once it is ready; the protocol's own place, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// What the model is called there; V2 and TensorFlow Serving name theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// What it finds in its environment besides. No secrets: whoever sees the version sees it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

/// As containers made for SageMaker have it.
const fn port() -> u16 {
    8080
}

fn wrong(why: impl fmt::Display) -> Problem {
    Problem::invalid("files", format!("`{FILE}`: {why}"))
}

impl Process {
    /// Reads the file, in YAML or JSON.
    ///
    /// # Errors
    /// It is none, with the field.
    pub fn read(content: &[u8]) -> Result<Self, Problem> {
        let process: Self = mlmodel::yaml(content).map_err(wrong)?;
        process.check()?;
        Ok(process)
    }

    fn check(&self) -> Result<(), Problem> {
        let is_word = |word: &&String| word.len() <= LONGEST_WORD && !word.contains('\0');
        let are_words = self.command.iter().all(|word| is_word(&word));
        if !are_words || self.command.len() > MOST || self.program().is_empty() {
            return Err(wrong(format!(
                "`command` is a list of 1 to {MOST} words of at most {LONGEST_WORD} bytes, and begins with a program"
            )));
        }
        if self.port < 1024 {
            return Err(wrong("`port` is 1024 to 65535: the program is no administrator"));
        }
        if !self.ready().starts_with('/')
            || !self.ready().bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(wrong("`ready` is a path that begins with `/`"));
        }
        if self.environment.len() > MOST {
            return Err(wrong(format!("`environment` has at most {MOST} entries")));
        }
        for (name, value) in &self.environment {
            let is_name = !name.is_empty() && !name.contains(['=', '\0']);
            if !is_name || OURS.contains(&name.as_str()) || !is_word(&value) || !is_word(&name) {
                return Err(wrong(format!(
                    "`environment.{name}` cannot be set; {} are the node's",
                    OURS.join(", ")
                )));
            }
        }
        self.external().map(drop)
    }

    /// The program itself.
    #[must_use]
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// The program among the version's files, if it is one of them: then it is named by a path from their
    /// folder, as `./server`.
    #[must_use]
    pub fn own(&self) -> Option<FilePath> {
        self.program().strip_prefix("./")?.parse().ok()
    }

    /// Where it answers 200 once it is ready.
    #[must_use]
    pub fn ready(&self) -> String {
        let own = || match self.protocol {
            Protocol::V2 => "/v2/health/ready".to_owned(),
            Protocol::TensorFlow => {
                format!("/v1/models/{}", self.model.as_ref().map_or("", |name| name.as_str()))
            }
            Protocol::MlFlow | Protocol::SageMaker => "/ping".to_owned(),
        };
        self.ready.clone().unwrap_or_else(own)
    }

    /// The same as a server, seen from beside it.
    ///
    /// # Errors
    /// The protocol and the name of the model do not go together.
    pub fn external(&self) -> Result<External, Problem> {
        let external = External {
            protocol: self.protocol,
            url: format!("http://127.0.0.1:{}", self.port).try_into().map_err(wrong)?,
            model: self.model.clone(),
            version: None,
            timeout: None,
            connections: None,
            headers: BTreeMap::new(),
        };
        external.check().map_err(wrong)?;
        Ok(external)
    }

    /// Why the setting on pickles forbids it; absent where it does not. What a pickle may not do, a
    /// program may not either.
    #[must_use]
    pub fn obstacle(policy: Policy) -> Option<String> {
        (policy != Policy::Allow).then(|| {
            format!(
                "`{FILE}` starts a program of its author's, and the platform's setting `pickle` is `{policy}`"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_with_what_its_protocol_says() {
        let read = |text: &str| Process::read(text.as_bytes()).unwrap();
        let plain = read("command: [python3, server.py]\nprotocol: sagemaker");
        assert_eq!((plain.port, plain.ready().as_str(), plain.own()), (8080, "/ping", None));
        let own = read(
            "command: [./bin/server, --quiet]\nprotocol: v2\nmodel: m\nport: 9000\nenvironment: {A: b}",
        );
        assert_eq!(own.own().unwrap().to_string(), "bin/server");
        assert_eq!(own.ready(), "/v2/health/ready");
        assert_eq!(own.external().unwrap().url.as_str(), "http://127.0.0.1:9000");
        assert_eq!(Process::read(&serde_json::to_vec(&own).unwrap()).unwrap(), own);
    }

    #[test]
    fn what_is_none_is_refused_in_words() {
        for (text, told) in [
            ("", "end of file"),
            ("command: []\nprotocol: v2\nmodel: m", "`command`"),
            ("command: ['']\nprotocol: v2\nmodel: m", "`command`"),
            ("command: [\"a\\0b\"]\nprotocol: sagemaker", "`command`"),
            ("command: server\nprotocol: sagemaker", "sequence"),
            ("command: [s]\nprotocol: grpc", "grpc"),
            ("command: [s]\nprotocol: v2", "give `model`"),
            ("command: [s]\nprotocol: sagemaker\nport: 80", "`port`"),
            ("command: [s]\nprotocol: sagemaker\nready: ping", "`ready`"),
            ("command: [s]\nprotocol: sagemaker\nimage: x", "image"),
            ("command: [s]\nprotocol: sagemaker\nenvironment: {HOME: /}", "`environment.HOME`"),
        ] {
            let refused = Process::read(text.as_bytes()).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("files"));
            assert!(refused.message.contains(told), "{text}: {}", refused.message);
        }
    }

    #[test]
    fn programs_are_forbidden_as_pickles_are() {
        assert_eq!(Process::obstacle(Policy::Allow), None);
        let why = Process::obstacle(Policy::SafeOnly).unwrap();
        assert!(why.contains("safe-only"), "{why}");
    }
}
