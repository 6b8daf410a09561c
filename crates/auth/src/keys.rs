//! The platform's secret keys: the one that seals, and earlier ones that still open.

use std::fmt;

use domain::Problem;
use secrecy::{ExposeSecret as _, SecretString};

use crate::SecretKey;

/// Tells keys apart, and says nothing about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; KeyId::LEN]);

impl KeyId {
    /// Its bytes.
    pub(crate) const LEN: usize = 4;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The key that seals now, then those before it.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<SecretKey>,
    current: SecretKey,
}

impl From<SecretKey> for KeyRing {
    fn from(key: SecretKey) -> Self {
        Self { keys: vec![key.clone()], current: key }
    }
}

impl KeyRing {
    /// Reads keys, one a line, the current one first. Empty lines are nothing.
    ///
    /// # Errors
    /// There is none; one is too short.
    pub fn parse(text: &SecretString) -> Result<Self, Problem> {
        let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        let mut keys: Vec<SecretKey> = Vec::new();
        for (at, line) in lines.enumerate() {
            let key = SecretKey::new(line.to_owned().into()).ok_or_else(|| {
                let which = if at == 0 { "the" } else { "an earlier" };
                let message = format!(
                    "{which} secret key is too short: expected at least {} characters",
                    SecretKey::MIN_LEN
                );
                Problem::invalid("secret_key", message).hint("generate one:  openssl rand -hex 32")
            })?;
            if keys.iter().all(|known| known.id() != key.id()) {
                keys.push(key);
            }
        }
        let current = keys.first().cloned();
        let current = current.ok_or_else(|| {
            Problem::invalid("secret_key", "there is no secret key: expected one a line")
                .hint("generate one:  openssl rand -hex 32")
        })?;
        Ok(Self { keys, current })
    }

    /// The key that seals.
    #[must_use]
    pub const fn current(&self) -> &SecretKey {
        &self.current
    }

    /// All keys, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &SecretKey> {
        self.keys.iter()
    }

    /// The one that was there first.
    pub(crate) fn oldest(&self) -> &SecretKey {
        self.keys.last().unwrap_or(&self.current)
    }

    /// Their ids, for people.
    pub(crate) fn ids(&self) -> String {
        let ids: Vec<_> = self.keys.iter().map(|key| format!("`{}`", key.id())).collect();
        ids.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_current_key_and_the_others_are_known() {
        let (a, b) = ("a".repeat(32), "b".repeat(40));
        let ring = KeyRing::parse(&format!("\n {a}\n\n{b}\r\n{a}\n").into()).unwrap();
        let key = |text: &str| SecretKey::new(text.to_owned().into()).unwrap().id();
        assert_eq!(ring.current().id(), key(&a));
        assert_eq!(ring.all().map(SecretKey::id).collect::<Vec<_>>(), [key(&a), key(&b)]);
        assert_eq!(ring.oldest().id(), key(&b));
    }

    #[test]
    fn a_short_key_or_none_is_refused_without_showing_it() {
        let short = KeyRing::parse(&format!("{}\nhush", "a".repeat(32)).into()).err().unwrap();
        assert_eq!(
            short.message,
            "an earlier secret key is too short: expected at least 32 characters"
        );
        assert_eq!(
            KeyRing::parse(&" \n".to_owned().into()).err().unwrap().field.as_deref(),
            Some("secret_key")
        );
    }
}
