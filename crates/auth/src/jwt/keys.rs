//! The keys that tokens are signed by: made here, sealed in the database, each for a day.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use domain::{Problem, Resource, Timestamp};
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use store::{
    Change, Database,
    sealed::Kind,
    signing_keys::{self, SigningKey},
};

use super::{JOB_LIFETIME, LIFETIME};
use crate::{Access, KeyRing, secrets, verbs};

/// How long a key signs.
const SIGNS: TimeDelta = TimeDelta::hours(24);
/// How long before the end of one the next is made.
const OVERLAP: TimeDelta = TimeDelta::hours(1);
/// How long a key is published before it signs, so that others know it by then.
const PUBLISHED: TimeDelta = TimeDelta::minutes(10);

/// The keys of a moment.
#[derive(Default)]
pub(super) struct Known {
    /// How this Bottega signs itself.
    pub issuer: String,
    /// The public keys, as JSON Web Key Set.
    pub published: String,
    by_id: HashMap<String, (DecodingKey, Timestamp)>,
    /// In the order in which they begin to sign.
    signing: Vec<(String, EncodingKey, Timestamp, Timestamp)>,
}

impl Known {
    pub fn of(issuer: String, keys: Vec<SigningKey>, ring: &KeyRing) -> Self {
        let vault = secrets::vault(ring, Kind::SigningKey);
        let (mut by_id, mut signing, mut published) = (HashMap::new(), Vec::new(), Vec::new());
        for key in keys {
            let id = key.id.to_string();
            published.push(json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id,
                "x": BASE64_URL_SAFE_NO_PAD.encode(&key.public_key),
            }));
            let private = vault.open(key.id.as_bytes(), &key.sealed);
            match private.and_then(|private| hex::decode(private.expose_secret()).ok()) {
                Some(private) => {
                    let private = EncodingKey::from_ed_der(&private);
                    signing.push((id.clone(), private, key.signs_from, key.signs_until));
                }
                // It checks still; another process, which has the platform's other key, signs.
                None => tracing::warn!(key = id, "a signing key cannot be opened"),
            }
            by_id.insert(id, (DecodingKey::from_ed_der(&key.public_key), key.known_until));
        }
        Self { issuer, published: json!({"keys": published}).to_string(), by_id, signing }
    }

    /// What checks the tokens of a key.
    pub fn key(&self, id: &str, now: Timestamp) -> Option<&DecodingKey> {
        self.by_id.get(id).filter(|(_, until)| now < *until).map(|(key, _)| key)
    }

    /// The newest key that signs now.
    pub fn signing(&self, now: Timestamp) -> Option<(&str, &EncodingKey)> {
        let signs = |(_, _, from, until): &&(String, EncodingKey, Timestamp, Timestamp)| {
            *from <= now && now < *until
        };
        self.signing.iter().rev().find(signs).map(|(id, key, _, _)| (id.as_str(), key))
    }
}

/// Makes the next key where the newest is about to end.
pub(super) async fn make_next(
    database: &Database,
    access: &Access,
    ring: &KeyRing,
) -> Result<(), Problem> {
    let is_about_to_end = |newest: Option<Timestamp>, now: Timestamp| {
        newest.is_none_or(|until| until - OVERLAP <= now)
    };
    let known = signing_keys::known(database).await?;
    let newest = known.iter().map(|key| key.signs_until).max();
    if !is_about_to_end(newest, database.now()) {
        return Ok(());
    }
    let mut change = Change::begin(database).await?;
    let now = change.now();
    let newest = signing_keys::lock_newest(&mut change).await?;
    // Somebody else may have made it meanwhile.
    if !is_about_to_end(newest, now) {
        return Ok(());
    }
    let is_covered = newest.is_some_and(|until| now + PUBLISHED < until);
    let signs_from = if is_covered { now + PUBLISHED } else { now };
    let signs_until = signs_from + SIGNS;
    let (id, (private, public_key)) = (uuid::Uuid::now_v7(), pair()?);
    let sealed = secrets::vault(ring, Kind::SigningKey).seal(id.as_bytes(), &private);
    let key = SigningKey {
        id,
        public_key,
        sealed: sealed.ok_or_else(Problem::internal)?,
        signs_from,
        signs_until,
        known_until: signs_until + JOB_LIFETIME + LIFETIME,
    };
    signing_keys::insert(&mut change, &key).await?;
    let permit = access.system::<verbs::Administer>("keys", Resource::Platform);
    let detail = json!({"kind": Kind::SigningKey.as_str(), "id": id, "signs_from": signs_from, "signs_until": signs_until});
    change.commit(&permit.event("key.made", detail)).await?;
    Ok(())
}

/// A fresh pair: the private part as PKCS #8 in hex, and the public one.
fn pair() -> Result<(SecretString, Vec<u8>), Problem> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let document = document.map_err(|_| Problem::internal())?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| Problem::internal())?;
    Ok((hex::encode(document.as_ref()).into(), pair.public_key().as_ref().to_vec()))
}
