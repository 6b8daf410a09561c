use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::DateTime;
use domain::{Actor, SubjectId, TokenId};
use proptest::prelude::*;
use ring::hmac;
use serde_json::{Value, json};
use store::testing::TestDatabase;

use super::*;
use crate::SecretKey;

/// A Bottega that signs, and what it takes to.
struct Signs {
    jwts: Jwts,
    database: TestDatabase,
    now: Timestamp,
}

async fn signs() -> Signs {
    let database = TestDatabase::fresh().await;
    let ring = KeyRing::from(SecretKey::new("k".repeat(32).into()).unwrap());
    let access = Access::new(database.database().clone());
    crate::secrets::hash_key(database.database(), &access, &ring).await.unwrap();
    let jwts = Jwts::new(ring);
    jwts.maintain(database.database(), &access).await.unwrap();
    let now = database.database().now();
    Signs { jwts, database, now }
}

fn wanted() -> Wanted {
    Wanted {
        actor: Actor::user("ana"),
        subject: SubjectId::new(),
        exchanged: For::Token(TokenId::new()),
        audience: AUDIENCE.to_owned(),
        scopes: Some(vec!["invoke:endpoint:fraud".parse().unwrap()]),
        seconds: 300,
    }
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

fn read(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

impl Signs {
    fn why(&self, token: &str, now: Timestamp) -> String {
        self.jwts.verify(token, now).unwrap_err().message
    }

    /// A token with other claims, signed by the key that signs.
    fn signed_with(&self, change: impl FnOnce(&mut Claims)) -> String {
        let known = self.jwts.known.load();
        let (id, key) = known.signing(self.now).unwrap();
        let mut claims = Claims::of(&wanted(), &known.issuer, self.now);
        change(&mut claims);
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, key).unwrap()
    }
}

#[tokio::test]
async fn what_was_signed_here_says_what_it_said() {
    let signs = signs().await;
    let wanted = wanted();
    let (token, claims) = signs.jwts.sign(&wanted, signs.now).unwrap();
    assert!(Jwts::is_one(token.as_bytes()));
    let read = signs.jwts.verify(&token, signs.now).unwrap();
    assert_eq!(read, claims);
    assert_eq!(read.sid, wanted.subject);
    assert_eq!(read.tid.map(For::Token), Some(wanted.exchanged));
    assert_eq!(read.scopes.unwrap(), ["invoke:endpoint:fraud"]);
    assert_eq!(read.exp - read.iat, 300);
}

#[tokio::test]
async fn it_is_valid_from_its_beginning_to_its_end_and_five_seconds_more() {
    let signs = signs().await;
    let (token, claims) = signs.jwts.sign(&wanted(), signs.now).unwrap();
    let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
    for good in [claims.nbf - 5, claims.nbf, claims.exp - 1, claims.exp + 4] {
        assert!(signs.jwts.verify(&token, at(good)).is_ok(), "{good}");
    }
    assert!(signs.why(&token, at(claims.nbf - 6)).contains("not valid yet"));
    assert!(signs.why(&token, at(claims.exp + 5)).contains("expired"));
    let future = signs.signed_with(|claims| claims.nbf += 60);
    assert!(signs.why(&future, signs.now).contains("not valid yet"));
    let long = signs.signed_with(|claims| claims.exp += 3600);
    assert!(signs.why(&long, signs.now).contains("lives too long"));
}

#[tokio::test]
async fn whoever_else_signed_or_shall_take_it_is_refused() {
    let (signs, other) = (signs().await, signs().await);
    let audience = signs.signed_with(|claims| claims.aud = "elsewhere".to_owned());
    assert!(signs.why(&audience, signs.now).contains("for somebody else"));
    let issuer = signs.signed_with(|claims| claims.iss = "bottega:other".to_owned());
    assert!(signs.why(&issuer, signs.now).contains("another Bottega"));
    let (foreign, _) = other.jwts.sign(&wanted(), other.now).unwrap();
    assert!(signs.why(&foreign, signs.now).contains("key is not known"));
    // The other's signature under our key's name.
    let ours = signs.signed_with(|_| {});
    let (head, _) = ours.rsplit_once('.').unwrap();
    let (_, signature) = foreign.rsplit_once('.').unwrap();
    assert!(signs.why(&format!("{head}.{signature}"), signs.now).contains("signature is wrong"));
}

#[tokio::test]
async fn no_other_algorithm_is_followed() {
    let signs = signs().await;
    let good = signs.signed_with(|_| {});
    let kid = read(&good, 0)["kid"].clone();
    let payload = good.split('.').nth(1).unwrap();
    // No signature at all.
    for algorithm in ["none", "None", "NONE", ""] {
        let head = part(&json!({"alg": algorithm, "typ": "JWT", "kid": kid}));
        assert!(
            signs.jwts.verify(&format!("{head}.{payload}."), signs.now).is_err(),
            "{algorithm}"
        );
    }
    // HMAC under the public key, which everybody knows.
    let published: Value = serde_json::from_str(&signs.jwts.published()).unwrap();
    let public = published["keys"][0]["x"].as_str().unwrap();
    let public = BASE64_URL_SAFE_NO_PAD.decode(public).unwrap();
    let head = part(&json!({"alg": "HS256", "typ": "JWT", "kid": kid}));
    let message = format!("{head}.{payload}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &public);
    let tag = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    assert!(signs.why(&format!("{message}.{tag}"), signs.now).contains("not signed by EdDSA"));
    // A key that the token brings along.
    let pair = pair();
    let x = BASE64_URL_SAFE_NO_PAD.encode(ring::signature::KeyPair::public_key(&pair));
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let head = part(&json!({"alg": "EdDSA", "typ": "JWT", "kid": kid, "jwk": jwk}));
    let message = format!("{head}.{payload}");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    assert!(signs.jwts.verify(&format!("{message}.{signature}"), signs.now).is_err());
    // No key's name, or one that is none.
    for kid in [Value::Null, json!("x"), json!("../../keys")] {
        let head = part(&json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}));
        let rest = good.split_once('.').unwrap().1;
        assert!(signs.jwts.verify(&format!("{head}.{rest}"), signs.now).is_err(), "{kid}");
    }
}

fn pair() -> ring::signature::Ed25519KeyPair {
    let document =
        ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    ring::signature::Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()
}

#[tokio::test]
async fn every_changed_bit_is_noticed() {
    let signs = signs().await;
    let token = signs.signed_with(|_| {}).into_bytes();
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut changed = token.clone();
            changed[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(signs.jwts.verify(&changed, signs.now).is_err(), "byte {at} bit {bit}");
        }
        let cut = String::from_utf8(token[..at].to_vec()).unwrap();
        assert!(signs.jwts.verify(&cut, signs.now).is_err(), "{at} bytes");
    }
    let long = format!("{}.{}", String::from_utf8(token).unwrap(), "A".repeat(LONGEST));
    assert!(signs.why(&long, signs.now).contains("too long"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_.=-]{0,300}", any in ".{0,80}") {
        let jwts = Jwts::new(KeyRing::from(SecretKey::new("k".repeat(32).into()).unwrap()));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        prop_assert!(jwts.verify(&text, now).is_err());
        prop_assert!(jwts.verify(&any, now).is_err());
    }
}

#[tokio::test]
async fn keys_follow_each_other_and_what_the_last_one_signed_stays_valid() {
    let signs = signs().await;
    let (token, _) = signs.jwts.sign(&wanted(), signs.now).unwrap();
    let count = |jwts: &Jwts| {
        let published: Value = serde_json::from_str(&jwts.published()).unwrap();
        published["keys"].as_array().unwrap().len()
    };
    let access = Access::new(signs.database.database().clone());
    signs.jwts.maintain(signs.database.database(), &access).await.unwrap();
    assert_eq!(count(&signs.jwts), 1, "the first is young");
    // The first is about to end.
    let aged = "UPDATE signing_keys SET signs_from = now() - interval '23 hours 30 minutes', signs_until = now() + interval '30 minutes', known_until = now() + interval '40 minutes'";
    signs.database.execute(aged).await;
    signs.jwts.maintain(signs.database.database(), &access).await.unwrap();
    signs.jwts.maintain(signs.database.database(), &access).await.unwrap();
    assert_eq!(count(&signs.jwts), 2);
    let kid = |token: &str| read(token, 0)["kid"].clone();
    let (still, _) = signs.jwts.sign(&wanted(), signs.now).unwrap();
    assert_eq!(kid(&still), kid(&token), "the next is published first");
    let later = signs.now + TimeDelta::minutes(11);
    let (next, _) = signs.jwts.sign(&wanted(), later).unwrap();
    assert_ne!(kid(&next), kid(&token));
    assert!(signs.jwts.verify(&token, signs.now).is_ok());
    assert!(signs.jwts.verify(&next, later).is_ok());
    // Another process, with the same key.
    let ring = KeyRing::from(SecretKey::new("k".repeat(32).into()).unwrap());
    let other = Jwts::new(ring);
    assert!(other.sign(&wanted(), later).is_err(), "it knows no key yet");
    other.refresh(signs.database.database()).await.unwrap();
    assert!(other.verify(&next, later).is_ok());
    // What ended long ago is forgotten.
    let old = "UPDATE signing_keys SET signs_from = signs_from - interval '3 days', signs_until = signs_until - interval '3 days', known_until = known_until - interval '3 days'";
    signs.database.execute(old).await;
    signs.jwts.maintain(signs.database.database(), &access).await.unwrap();
    assert_eq!(count(&signs.jwts), 1);
}

#[tokio::test]
async fn processes_that_start_at_once_make_one_key() {
    let database = TestDatabase::fresh().await;
    let ring = || KeyRing::from(SecretKey::new("k".repeat(32).into()).unwrap());
    let access = Access::new(database.database().clone());
    crate::secrets::hash_key(database.database(), &access, &ring()).await.unwrap();
    let start = || async {
        Jwts::new(ring()).maintain(database.database(), &access).await.unwrap();
    };
    tokio::join!(start(), start(), start(), start());
    assert_eq!(signing_keys::known(database.database()).await.unwrap().len(), 1);
}
