//! Keyed hashes: they lead to what is known by a name, and tell nobody the name.

use auth::SecretKey;
use secrecy::SecretString;

/// Hashes under the platform's key, which is not in the database.
#[derive(Clone)]
pub struct Hashes(SecretKey);

impl Hashes {
    /// Under this key.
    #[must_use]
    pub const fn new(key: SecretKey) -> Self {
        Self(key)
    }

    /// What an inference is found by.
    #[must_use]
    pub fn inference(&self, id: &str) -> i64 {
        short(self.hash("inference", id))
    }

    /// What whom a row is about is found by.
    #[must_use]
    pub fn subject(&self, value: &str) -> i64 {
        short(self.hash("subject", value))
    }

    /// What stands for a value that is masked: equal for equal values.
    #[must_use]
    pub fn mask(&self, value: &str) -> String {
        let hash = self.hash("mask", value);
        hex::encode(hash.first_chunk::<16>().unwrap_or(&[0; 16]))
    }

    fn hash(&self, purpose: &str, value: &str) -> [u8; 32] {
        self.0.hash(&SecretString::from(format!("captured {purpose}\0{value}")))
    }
}

fn short(hash: [u8; 32]) -> i64 {
    hash.first_chunk().map_or(0, |first| i64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_key_purpose_and_value_alone() {
        let key = |text: &str| Hashes::new(SecretKey::new(text.repeat(32).into()).unwrap());
        let (one, other) = (key("a"), key("b"));
        assert_eq!(one.mask("ana"), one.mask("ana"));
        assert_eq!(one.mask("ana").len(), 32);
        assert_ne!(one.mask("ana"), one.mask("bob"));
        assert_ne!(one.mask("ana"), other.mask("ana"));
        assert_ne!(one.subject("ana"), one.inference("ana"));
        assert_eq!(one.subject("ana"), key("a").subject("ana"));
    }
}
