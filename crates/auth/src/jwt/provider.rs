//! Signatures by ring, for the library that reads and writes tokens. We sign by Ed25519 alone; what
//! others sign may be RSA and ECDSA too. There is no HMAC here, and no `none`: what asks for either is
//! refused.

use std::sync::Once;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Signer, Verifier},
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, Ed25519KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Tells the library what computes; the first to come decides for the process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _first = PROVIDER.install_default();
    });
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let pair =
        Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Pair(pair)))
}

/// What checks a signature of that algorithm; a key of another family is refused.
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let algorithm = *algorithm;
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let key = match algorithm {
        Algorithm::RS256 => rsa(key, &RSA_PKCS1_2048_8192_SHA256)?,
        Algorithm::RS384 => rsa(key, &RSA_PKCS1_2048_8192_SHA384)?,
        Algorithm::RS512 => rsa(key, &RSA_PKCS1_2048_8192_SHA512)?,
        Algorithm::PS256 => rsa(key, &RSA_PSS_2048_8192_SHA256)?,
        Algorithm::PS384 => rsa(key, &RSA_PSS_2048_8192_SHA384)?,
        Algorithm::PS512 => rsa(key, &RSA_PSS_2048_8192_SHA512)?,
        Algorithm::ES256 => plain(key, &ECDSA_P256_SHA256_FIXED)?,
        Algorithm::ES384 => plain(key, &ECDSA_P384_SHA384_FIXED)?,
        Algorithm::EdDSA => plain(key, &ED25519)?,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 | _ => {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
    };
    Ok(Box::new(Public { algorithm, key }))
}

fn plain(key: &DecodingKey, algorithm: &'static dyn VerificationAlgorithm) -> Result<PublicKey> {
    let key = key.try_get_as_bytes()?.to_vec();
    Ok(PublicKey::Plain(UnparsedPublicKey::new(algorithm, key)))
}

fn rsa(key: &DecodingKey, parameters: &'static RsaParameters) -> Result<PublicKey> {
    let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else {
        return Err(ErrorKind::InvalidKeyFormat.into());
    };
    // Some write numbers with zeros before them, which ring does not take.
    let bare = |number: &[u8]| number.iter().copied().skip_while(|&byte| byte == 0).collect();
    Ok(PublicKey::Rsa(RsaPublicKeyComponents { n: bare(n), e: bare(e) }, parameters))
}

struct Pair(Ed25519KeyPair);

impl Signer<Vec<u8>> for Pair {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Pair {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

enum PublicKey {
    Plain(UnparsedPublicKey<Vec<u8>>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>, &'static RsaParameters),
}

struct Public {
    algorithm: Algorithm,
    key: PublicKey,
}

impl Verifier<Vec<u8>> for Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        match &self.key {
            PublicKey::Plain(key) => key.verify(message, signature),
            PublicKey::Rsa(key, parameters) => key.verify(parameters, message, signature),
        }
        .map_err(|_| Error::new())
    }
}

impl JwtVerifier for Public {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
