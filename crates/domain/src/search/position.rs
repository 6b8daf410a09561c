//! Where the next page begins.

use crate::{Digest, Problem};

/// The values of the last item seen, in the order's keys; what has none is `None`.
pub type Position = Vec<Option<String>>;

/// What a search is, so that a page token of another one is not taken for one of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    arguments: String,
    /// What is told of a token of a search that differs in this argument, and a short digest of it.
    told: Vec<(&'static str, String)>,
}

impl Fingerprint {
    /// Of a search with these arguments: everything that decides what comes in which order.
    #[must_use]
    pub fn of(arguments: &impl serde::Serialize) -> Self {
        Self { arguments: serde_json::to_string(arguments).unwrap_or_default(), told: Vec::new() }
    }

    /// Has `message` told of a token of a search whose `argument`, one of those, was another.
    #[must_use]
    pub fn telling(mut self, message: &'static str, argument: &impl serde::Serialize) -> Self {
        let argument = serde_json::to_string(argument).unwrap_or_default();
        self.told.push((message, short(&argument, TOLD)));
        self
    }

    /// The token of the page behind this position.
    #[must_use]
    pub fn token(&self, position: &Position) -> String {
        let position = serde_json::to_string(position).unwrap_or_default();
        let told: String = self.told.iter().map(|(_, digest)| digest.as_str()).collect();
        hex::encode(format!("{}{told}{position}", self.check(&position)))
    }

    /// The position that a token stands for. It has `keys` values.
    ///
    /// # Errors
    /// No page of this search gave it.
    pub fn position(&self, token: &str, keys: usize) -> Result<Position, Problem> {
        let text = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.as_deref().ok_or_else(Self::foreign)?;
        let (check, mut position) = text.split_at_checked(CHECK).ok_or_else(Self::foreign)?;
        let mut other = None;
        for (message, digest) in &self.told {
            let (theirs, rest) = position.split_at_checked(TOLD).ok_or_else(Self::foreign)?;
            position = rest;
            other = other.or((theirs != digest).then_some(*message));
        }
        if check != self.check(position) {
            let message = other.ok_or_else(Self::foreign)?;
            return Err(Problem::invalid("page_token", message)
                .hint("pass the same arguments as for the page before"));
        }
        let position: Option<Position> = serde_json::from_str(position).ok();
        position.filter(|position| position.len() == keys).ok_or_else(Self::foreign)
    }

    /// Refuses a token whose values are none of the search's.
    #[must_use]
    pub fn foreign() -> Problem {
        Problem::invalid(
            "page_token",
            "Invalid page token, could not base64-decode it to a place in this search",
        )
        .hint("pass `next_page_token` of the page before, and the same arguments otherwise")
    }

    fn check(&self, position: &str) -> String {
        short(&format!("{}\n{position}", self.arguments), CHECK)
    }
}

/// So many characters of a digest.
fn short(text: &str, length: usize) -> String {
    Digest::of(text.as_bytes()).to_string().chars().rev().take(length).collect()
}

/// How many characters of a token say that it is whole and of this search.
const CHECK: usize = 24;

/// How many characters say what an argument was.
const TOLD: usize = 8;
