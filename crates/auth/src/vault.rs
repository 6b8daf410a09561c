//! What must be read back, kept so that the database alone does not give it away.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::SecretKey;

/// Seals and opens secrets, under a key made of the platform's for one purpose. Each is bound to
/// what it belongs to: put into another row it does not open.
pub struct Vault(LessSafeKey);

impl Vault {
    /// The vault of one purpose, as `webhooks`.
    ///
    /// # Panics
    /// Never: the key has the length that the cipher takes.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a key of 32 bytes is what the cipher takes")]
    pub fn new(key: &SecretKey, purpose: &str) -> Self {
        let key = key.hash_bytes(format!("vault:{purpose}").as_bytes());
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("a key of 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals a secret of `owner`; absent only for one longer than the cipher takes, 256 GiB.
    #[must_use]
    pub fn seal(&self, owner: &[u8], secret: &SecretString) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        let aad = Aad::from(owner);
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .ok()?;
        Some([&nonce, bytes.as_slice(), tag.as_ref()].concat())
    }

    /// Opens what was sealed for `owner`; absent where it was sealed under another key, for another
    /// owner, or was changed.
    #[must_use]
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Option<SecretString> {
        let open = || -> Result<SecretString, Unspecified> {
            let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
            let mut bytes = rest.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce)?;
            let plain = self.0.open_in_place(nonce, Aad::from(owner), &mut bytes)?;
            let plain = std::str::from_utf8(plain).map_err(|_| Unspecified)?;
            Ok(SecretString::from(plain.to_owned()))
        };
        open().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(purpose: &str, key: &str) -> Vault {
        Vault::new(&SecretKey::new(key.repeat(32).into()).unwrap(), purpose)
    }

    #[test]
    fn a_sealed_secret_opens_only_for_its_owner_under_its_key_and_unchanged() {
        let sealed = vault("a", "k").seal(b"one", &"hush".to_owned().into()).unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
        let open = |vault: Vault, owner: &[u8], sealed: &[u8]| {
            vault.open(owner, sealed).map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(open(vault("a", "k"), b"one", &sealed).as_deref(), Some("hush"));
        assert_eq!(open(vault("a", "k"), b"two", &sealed), None);
        assert_eq!(open(vault("b", "k"), b"one", &sealed), None);
        assert_eq!(open(vault("a", "x"), b"one", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(vault("a", "k"), b"one", &changed), None, "byte {at}");
        }
        assert_eq!(open(vault("a", "k"), b"one", &sealed[..5]), None);
    }

    #[test]
    fn the_same_secret_is_never_sealed_alike() {
        let vault = vault("a", "k");
        let seal = || vault.seal(b"one", &"hush".to_owned().into()).unwrap();
        assert_ne!(seal(), seal());
    }
}
