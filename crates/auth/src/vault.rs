//! What must be read back, kept so that the database alone does not give it away.

use ring::{
    aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{KeyId, KeyRing, SecretKey};

/// How sealed bytes begin: a mark and the form's number. The key's id follows, then the nonce.
const FORM: [u8; 3] = *b"bv\x02";
/// What stands before the sealed bytes.
const HEADER: usize = FORM.len() + KeyId::LEN;

/// Seals and opens secrets by AES-256-GCM, under keys made of the platform's for one purpose. Each
/// is bound to what it belongs to: put into another row it does not open.
pub struct Vault {
    current: (KeyId, LessSafeKey),
    keys: Vec<(KeyId, LessSafeKey)>,
    /// Of the form that was written before this one, which does not name its key.
    unnamed: Vec<LessSafeKey>,
}

impl Vault {
    /// The vault of one purpose, as `webhooks`.
    #[must_use]
    pub fn new(ring: &KeyRing, purpose: &str) -> Self {
        let named = |key: &SecretKey| {
            let label = format!("vault:aes-256-gcm:{purpose}");
            (key.id(), cipher(&AES_256_GCM, key, &label))
        };
        let unnamed =
            |key: &SecretKey| cipher(&CHACHA20_POLY1305, key, &format!("vault:{purpose}"));
        Self {
            current: named(ring.current()),
            keys: ring.all().map(named).collect(),
            unnamed: ring.all().map(unnamed).collect(),
        }
    }

    /// Seals a secret of `owner`; absent only for one longer than the cipher takes, 64 GiB.
    #[must_use]
    pub fn seal(&self, owner: &[u8], secret: &SecretString) -> Option<Vec<u8>> {
        let (id, key) = &self.current;
        let header = [FORM.as_slice(), &id.0].concat();
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        let aad = Aad::from([&header, owner].concat());
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .ok()?;
        Some([&header, nonce.as_slice(), &bytes, tag.as_ref()].concat())
    }

    /// Opens what was sealed for `owner`; absent where it was sealed under a key that is not given
    /// any more, for another owner, or was changed.
    #[must_use]
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Option<SecretString> {
        let named = || {
            let (header, rest) = sealed.split_at_checked(HEADER)?;
            let id = Self::key_of(sealed)?;
            let (_, key) = self.keys.iter().find(|(known, _)| *known == id)?;
            open(key, &[header, owner].concat(), rest)
        };
        // The form before begins with random bytes: they may look like anything.
        named().or_else(|| self.unnamed.iter().find_map(|key| open(key, owner, sealed)))
    }

    /// The key that something was sealed under; absent for the form that does not name it.
    #[must_use]
    pub fn key_of(sealed: &[u8]) -> Option<KeyId> {
        let id = sealed.strip_prefix(&FORM)?.first_chunk()?;
        Some(KeyId(*id))
    }

    /// Whether something is sealed as [`Vault::seal`] would seal it today.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        Self::key_of(sealed) == Some(self.current.0)
    }
}

#[expect(clippy::expect_used, reason = "a key of 32 bytes is what the ciphers take")]
fn cipher(algorithm: &'static ring::aead::Algorithm, key: &SecretKey, label: &str) -> LessSafeKey {
    let key = key.hash_bytes(label.as_bytes());
    LessSafeKey::new(UnboundKey::new(algorithm, &key).expect("a key of 32 bytes"))
}

fn open(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<SecretString> {
    let open = || -> Result<SecretString, Unspecified> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let mut bytes = rest.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let plain = key.open_in_place(nonce, Aad::from(aad), &mut bytes)?;
        let plain = std::str::from_utf8(plain).map_err(|_| Unspecified)?;
        Ok(SecretString::from(plain.to_owned()))
    };
    open().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[&str]) -> KeyRing {
        let lines: Vec<_> = keys.iter().map(|key| key.repeat(32)).collect();
        KeyRing::parse(&lines.join("\n").into()).unwrap()
    }

    fn vault(purpose: &str, keys: &[&str]) -> Vault {
        Vault::new(&ring(keys), purpose)
    }

    fn opened(vault: &Vault, owner: &[u8], sealed: &[u8]) -> Option<String> {
        vault.open(owner, sealed).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_sealed_secret_opens_only_for_its_owner_under_its_key_and_unchanged() {
        let sealed = vault("a", &["k"]).seal(b"one", &"hush".to_owned().into()).unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
        assert_eq!(opened(&vault("a", &["k"]), b"one", &sealed).as_deref(), Some("hush"));
        assert_eq!(opened(&vault("a", &["k"]), b"two", &sealed), None);
        assert_eq!(opened(&vault("b", &["k"]), b"one", &sealed), None);
        assert_eq!(opened(&vault("a", &["x"]), b"one", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&vault("a", &["k"]), b"one", &changed), None, "byte {at}");
            assert_eq!(opened(&vault("a", &["k"]), b"one", &sealed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_alike() {
        let vault = vault("a", &["k"]);
        let seal = || vault.seal(b"one", &"hush".to_owned().into()).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn an_earlier_key_opens_and_the_current_one_seals() {
        let old = vault("a", &["k"]).seal(b"one", &"hush".to_owned().into()).unwrap();
        let both = vault("a", &["n", "k"]);
        assert_eq!(opened(&both, b"one", &old).as_deref(), Some("hush"));
        assert!(!both.is_current(&old));
        let new = both.seal(b"one", &"hush".to_owned().into()).unwrap();
        assert!(both.is_current(&new));
        assert_eq!(Vault::key_of(&new), Some(ring(&["n"]).current().id()));
        assert_eq!(opened(&vault("a", &["n"]), b"one", &new).as_deref(), Some("hush"));
        assert_eq!(opened(&vault("a", &["k"]), b"one", &new), None);
    }

    #[test]
    fn what_was_sealed_in_the_form_before_opens_still() {
        // Sealed by Bottega 0.1 for the owner `one` and the purpose `a`, key `kkkk…`.
        let key = cipher(&CHACHA20_POLY1305, ring(&["k"]).current(), "vault:a");
        let nonce = [7; NONCE_LEN];
        let mut bytes = b"hush".to_vec();
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(b"one"),
                &mut bytes,
            )
            .unwrap();
        let sealed = [&nonce, bytes.as_slice(), tag.as_ref()].concat();
        let vault = vault("a", &["n", "k"]);
        assert_eq!(opened(&vault, b"one", &sealed).as_deref(), Some("hush"));
        assert_eq!(opened(&vault, b"two", &sealed), None);
        assert!(!vault.is_current(&sealed));
    }
}
