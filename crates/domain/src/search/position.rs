//! Where the next page begins.

use crate::{Digest, Problem};

/// The values of the last item seen, in the order's keys; what has none is `None`.
pub type Position = Vec<Option<String>>;

/// What a search is, so that a page token of another one is not taken for one of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a search with these arguments: everything that decides what comes in which order.
    #[must_use]
    pub fn of(arguments: &impl serde::Serialize) -> Self {
        Self(serde_json::to_string(arguments).unwrap_or_default())
    }

    /// The token of the page behind this position.
    #[must_use]
    pub fn token(&self, position: &Position) -> String {
        let position = serde_json::to_string(position).unwrap_or_default();
        hex::encode(format!("{}{position}", self.check(&position)))
    }

    /// The position that a token stands for. It has `keys` values.
    ///
    /// # Errors
    /// No page of this search gave it.
    pub fn position(&self, token: &str, keys: usize) -> Result<Position, Problem> {
        let text = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let position = text.as_deref().and_then(|text| {
            let (check, position) = text.split_at_checked(CHECK)?;
            (check == self.check(position)).then(|| serde_json::from_str(position).ok())?
        });
        position.filter(|position: &Position| position.len() == keys).ok_or_else(Self::foreign)
    }

    /// Refuses a token whose values are none of the search's.
    #[must_use]
    pub fn foreign() -> Problem {
        Problem::invalid("page_token", "Invalid page token: no page of this search gave it")
            .hint("pass `next_page_token` of the page before, and the same arguments otherwise")
    }

    fn check(&self, position: &str) -> String {
        let digest = Digest::of(format!("{}\n{position}", self.0).as_bytes()).to_string();
        digest.chars().rev().take(CHECK).collect()
    }
}

/// How many characters of a token say that it is whole and of this search.
const CHECK: usize = 24;
