//! Who acts.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{ContextV7, Uuid};

/// The kind of an [`Actor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person.
    User,
    /// A program with an account of its own.
    Service,
    /// A part of Bottega itself.
    System,
}

impl ActorKind {
    /// As it is written in rows and references.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::System => "system",
        }
    }
}

/// Who acts: a user, a service account or a part of Bottega. Written `user:ana`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// What it is called. Shared, since every request passes it on.
    #[serde(serialize_with = "text", deserialize_with = "shared")]
    pub name: Arc<str>,
}

fn text<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Arc::from)
}

impl Actor {
    /// A person.
    pub fn user(name: impl Into<Arc<str>>) -> Self {
        Self { kind: ActorKind::User, name: name.into() }
    }

    /// A part of Bottega, by the name of its job: `system:reconciler`.
    #[must_use]
    pub fn system(job: &'static str) -> Self {
        Self { kind: ActorKind::System, name: job.into() }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// The id of the request that something was done for; on every answer as `x-request-id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId {
    text: Arc<str>,
    /// Not the caller's own.
    is_fresh: bool,
}

impl RequestId {
    /// The longest that we take over from a caller.
    pub const MAX_LEN: usize = 64;

    /// A fresh id.
    #[must_use]
    pub fn new() -> Self {
        thread_local! {
            // One for each thread: the crate's own is behind a lock that all share.
            static MOMENTS: ContextV7 = const { ContextV7::new() };
        }
        let id = MOMENTS.with(|moments| Uuid::new_v7(uuid::Timestamp::now(moments)));
        let text = Arc::from(&*id.simple().encode_lower(&mut Uuid::encode_buffer()));
        Self { text, is_fresh: true }
    }

    /// The caller's own id, if it is 1 to 64 visible ASCII characters.
    #[must_use]
    pub fn from_caller(value: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LEN).contains(&value.len())
            && value.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self { text: Arc::from(value), is_fresh: false })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A name for what the request makes, that nothing else has: this id, or a fresh one where this is the
    /// caller's, which may come again.
    #[must_use]
    pub fn unique(&self) -> Arc<str> {
        if self.is_fresh { Arc::clone(&self.text) } else { Self::new().text }
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
