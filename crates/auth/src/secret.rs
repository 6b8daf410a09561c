//! The platform's secret key, which hashes of tokens are keyed by.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// A key that is never in the database: who steals the database cannot test guesses of tokens.
#[derive(Clone)]
pub struct SecretKey(SecretString);

impl SecretKey {
    /// The fewest characters that a key may have.
    pub const MIN_LEN: usize = 32;

    /// A key of at least [`SecretKey::MIN_LEN`] characters; absent if it is shorter.
    #[must_use]
    pub fn new(key: SecretString) -> Option<Self> {
        (key.expose_secret().len() >= Self::MIN_LEN).then_some(Self(key))
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

    pub(crate) fn hash_bytes(&self, token: &[u8]) -> [u8; 32] {
        // HMAC takes keys of any length: this cannot fail, and if it did, no token would match.
        Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .map(|mut mac| {
                mac.update(token);
                mac.finalize().into_bytes().into()
            })
            .unwrap_or_default()
    }
}
