//! A secret key: the platform's own, which seals, or one that hashes of tokens are keyed by.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::KeyId;

/// A key that is never in the clear in the database: who steals that cannot test guesses of tokens.
#[derive(Clone)]
pub struct SecretKey {
    key: SecretString,
    /// What hashes under it begin with, which is as long to compute as a token's.
    begun: Hmac<Sha256>,
}

impl SecretKey {
    /// The fewest characters that a key may have.
    pub const MIN_LEN: usize = 32;

    /// A key of at least [`SecretKey::MIN_LEN`] characters; absent if it is shorter.
    #[must_use]
    pub fn new(key: SecretString) -> Option<Self> {
        if key.expose_secret().len() < Self::MIN_LEN {
            return None;
        }
        // HMAC takes keys of any length: this cannot fail.
        let begun = Hmac::new_from_slice(key.expose_secret().as_bytes()).ok()?;
        Some(Self { key, begun })
    }

    /// A fresh key: 256 random bits, in hex.
    #[must_use]
    pub fn generate() -> SecretString {
        SecretString::from(hex::encode(rand::random::<[u8; 32]>()))
    }

    /// The hash that a token is known by: HMAC-SHA256 under this key.
    #[must_use]
    pub fn hash(&self, token: &SecretString) -> [u8; 32] {
        self.hash_bytes(token.expose_secret().as_bytes())
    }

    /// Tells it from others, and says nothing about it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let [a, b, c, d, ..] = self.hash_bytes(b"the id of this key");
        KeyId([a, b, c, d])
    }

    /// For the one place that keeps a key sealed under another.
    pub(crate) const fn secret(&self) -> &SecretString {
        &self.key
    }

    pub(crate) fn hash_bytes(&self, token: &[u8]) -> [u8; 32] {
        let mut mac = self.begun.clone();
        mac.update(token);
        mac.finalize().into_bytes().into()
    }
}
