use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::DateTime;
use proptest::prelude::*;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::json;

use super::*;
use crate::jwt::provider;

const ISSUER: &str = "https://id.example";
const AT: i64 = 1_800_000_000;

/// An issuer that signs by ECDSA and Ed25519.
struct Signs {
    ecdsa: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    known: Known,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn signs(algorithms: &[&str]) -> Signs {
    provider::install();
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ecdsa =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .unwrap();
    let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let ed25519 = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let point = ecdsa.public_key().as_ref();
    let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
    let keys = vec![
        json!({"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "x": x, "y": y}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encoded(ed25519.public_key())}),
        json!({"kty": "EC", "crv": "P-256", "kid": "enc", "use": "enc", "x": x, "y": y}),
        json!({"kty": "oct", "kid": "shared", "k": encoded("what everybody knows")}),
        json!({"kty": "a kind of tomorrow", "kid": "new"}),
        json!("no key at all"),
    ];
    let metadata = json!({
        "issuer": ISSUER, "jwks_uri": "https://id.example/jwks",
        "id_token_signing_alg_values_supported": algorithms,
    });
    Signs { known: Known::of(metadata, keys), ecdsa, ed25519 }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "ana", "aud": "bottega", "iat": AT, "exp": AT + 300})
}

impl Signs {
    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = match header["alg"].as_str() {
            Some("ES256") => {
                let random = SystemRandom::new();
                self.ecdsa.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
            }
            Some("EdDSA") => self.ed25519.sign(message.as_bytes()).as_ref().to_vec(),
            Some("HS256") => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, b"what everybody knows");
                hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{message}.{}", encoded(signature))
    }

    fn read(&self, token: &str) -> Result<Claims, Problem> {
        let now = DateTime::from_timestamp(AT, 0).unwrap();
        checked(&self.known, &acceptable(token)?, ISSUER, token, now)
    }

    fn why(&self, header: &Value, claims: &Value) -> String {
        self.read(&self.token(header, claims)).unwrap_err().message
    }
}

#[test]
fn what_its_issuer_signed_says_what_it_said() {
    let signs = signs(&["ES256", "Ed25519"]);
    for header in [
        json!({"alg": "ES256", "kid": "ec"}),
        json!({"alg": "EdDSA", "kid": "ed", "typ": "JWT"}),
        // The only one that fits.
        json!({"alg": "ES256"}),
    ] {
        let read = signs.read(&signs.token(&header, &claims())).unwrap();
        assert_eq!(text(&read, "sub"), Some("ana"), "{header}");
    }
}

#[test]
fn neither_its_algorithm_nor_its_key_are_what_a_token_says() {
    let signs = signs(&["ES256", "EdDSA"]);
    for header in [
        json!({"alg": "none", "kid": "ec"}),
        json!({"alg": "HS256", "kid": "shared"}),
        json!({"alg": "HS256", "kid": "ec"}),
        json!({"alg": "EdDSA", "kid": "ec"}),
        json!({"alg": "ES256", "kid": "ed"}),
        json!({"alg": "ES256", "kid": "enc"}),
        json!({"alg": "ES256", "kid": "unknown"}),
        json!({"alg": "ES256", "kid": "ec", "crit": ["b64"], "b64": false}),
        json!({"alg": "RS256", "kid": "ec"}),
        json!({"alg": "ES512", "kid": "ec"}),
        json!({"kid": "ec"}),
    ] {
        assert!(signs.read(&signs.token(&header, &claims())).is_err(), "{header}");
    }
    let other = self::signs(&["ES256"]);
    let header = json!({"alg": "ES256", "kid": "ec"});
    let foreign = other.token(&header, &claims());
    assert!(signs.read(&foreign).unwrap_err().message.contains("signature is wrong"));
    // It signs by one of the two alone.
    let header = json!({"alg": "EdDSA", "kid": "ed"});
    assert!(other.why(&header, &claims()).contains("does not sign by this algorithm"));
}

#[test]
fn it_is_of_this_issuer_and_of_now() {
    let signs = signs(&["ES256"]);
    let header = json!({"alg": "ES256", "kid": "ec"});
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    for (claims, why) in [
        (with("iss", json!("https://id.example/")), "another issuer"),
        (with("iss", Value::Null), "another issuer"),
        (with("exp", json!(AT - 30)), "expired"),
        (with("exp", Value::Null), "is no time"),
        (with("exp", json!("soon")), "is no time"),
        (with("iat", json!(AT + 31)), "not valid yet"),
        (with("nbf", json!(AT + 31)), "not valid yet"),
        (json!({"iss": ISSUER, "iat": AT}), "when it ends"),
        (json!({"iss": ISSUER, "exp": AT + 9}), "when it was made"),
    ] {
        let said = signs.why(&header, &claims);
        assert!(said.contains(why), "{claims}: {said}");
    }
    for claims in [
        with("exp", json!(AT - 29)),
        with("iat", json!(AT + 30)),
        with("nbf", json!(AT + 30)),
        with("exp", json!(1_800_000_300.5)),
    ] {
        assert!(signs.read(&signs.token(&header, &claims)).is_ok(), "{claims}");
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    let signs = signs(&["EdDSA"]);
    let token = signs.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims()).into_bytes();
    assert!(signs.read(std::str::from_utf8(&token).unwrap()).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 1;
        let Ok(changed) = String::from_utf8(changed) else { continue };
        assert!(signs.read(&changed).is_err(), "byte {at}");
        assert!(signs.read(std::str::from_utf8(&token[..at]).unwrap()).is_err(), "{at} bytes");
    }
    assert!(signs.read(&"A".repeat(LONGEST + 1)).unwrap_err().message.contains("too long"));
}

#[test]
fn a_claim_is_found_by_name_or_by_path() {
    let claims = json!({
        "groups": ["a"], "realm_access": {"roles": ["b"]}, "https://acme.example/groups": ["c"],
    });
    let claims = claims.as_object().unwrap();
    assert_eq!(claim(claims, "groups"), Some(&json!(["a"])));
    assert_eq!(claim(claims, "realm_access.roles"), Some(&json!(["b"])));
    assert_eq!(claim(claims, "https://acme.example/groups"), Some(&json!(["c"])));
    for absent in ["roles", "realm_access.groups", "groups.0", "", "."] {
        assert_eq!(claim(claims, absent), None, "{absent}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_.=-]{0,300}", any in ".{0,80}") {
        let signs = signs(&["ES256"]);
        prop_assert!(signs.read(&text).is_err());
        prop_assert!(signs.read(&any).is_err());
        prop_assert!(said_issuer(&any).is_err());
    }
}
