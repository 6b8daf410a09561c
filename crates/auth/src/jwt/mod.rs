//! Short-lived signed tokens (JWT): an API token is exchanged for one, anybody checks it by the keys
//! that are published, and it is worth nothing soon.
//!
//! One algorithm, Ed25519; what a token says of its algorithm is compared, never followed. Checking
//! asks memory alone.

mod claims;
mod keys;
pub(crate) mod provider;

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use domain::{Problem, Timestamp};
use jsonwebtoken::{
    Algorithm, Header, Validation, decode, decode_header, encode, errors::ErrorKind,
};
use store::{Database, signing_keys};

pub use self::claims::{Claims, For, Wanted};
use self::keys::Known;
use crate::{Access, KeyRing, credentials::unauthenticated};

/// How long one is valid, at most.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(5);
/// How long one is valid, at most, that a CI job got: their work takes longer, and their provider
/// cannot be asked whether they go on.
pub const JOB_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// By how much clocks may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);
/// The longest one that is looked at, in bytes.
const LONGEST: usize = 8 << 10;
/// For whom those are that this API takes.
pub const AUDIENCE: &str = "bottega";

/// Signs and checks tokens. Cheap to clone.
#[derive(Clone)]
pub struct Jwts {
    ring: Arc<KeyRing>,
    known: Arc<ArcSwap<Known>>,
}

impl Jwts {
    /// Knows no key until [`Jwts::refresh`].
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        provider::install();
        Self { ring: Arc::new(ring), known: Arc::default() }
    }

    /// Whether a credential is one of these, rightly or not: no API token has two dots in it.
    #[must_use]
    pub fn is_one(credential: &[u8]) -> bool {
        credential.starts_with(b"ey")
            && credential.iter().filter(|&&byte| byte == b'.').count() == 2
    }

    /// Takes over which keys there are. Called at start and from time to time.
    ///
    /// # Errors
    /// The database is away; then those known before stay.
    pub async fn refresh(&self, database: &Database) -> store::Result<()> {
        let issuer = format!("bottega:{}", signing_keys::instance(database).await?);
        let keys = signing_keys::known(database).await?;
        self.known.store(Arc::new(Known::of(issuer, keys, &self.ring)));
        Ok(())
    }

    /// Makes the next key where the newest is about to end, and takes over which there are.
    ///
    /// # Errors
    /// The database is away.
    pub async fn maintain(&self, database: &Database, access: &Access) -> Result<(), Problem> {
        keys::make_next(database, access, &self.ring).await?;
        Ok(self.refresh(database).await?)
    }

    /// Signs what the claims say.
    ///
    /// # Errors
    /// No key is known that signs now.
    pub fn sign(&self, wanted: &Wanted, now: Timestamp) -> Result<(String, Claims), Problem> {
        let known = self.known.load();
        let away = || {
            Problem::unavailable("no key is known that tokens could be signed by")
                .hint("try again in a moment")
        };
        let (id, key) = known.signing(now).ok_or_else(away)?;
        let claims = Claims::of(wanted, &known.issuer, now);
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, key).map_err(|error| {
            tracing::error!(%error, "a token cannot be signed");
            Problem::internal()
        })?;
        Ok((token, claims))
    }

    /// What a token says, if it was signed here, for us, and is valid now.
    ///
    /// # Errors
    /// It was not, or is not.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Problem> {
        let no = |why: &str| unauthenticated(format!("the signed token is not valid here: {why}"));
        if token.len() > LONGEST {
            return Err(no("it is too long"));
        }
        let header = decode_header(token).map_err(|_| no("it cannot be read"))?;
        if header.alg != Algorithm::EdDSA {
            return Err(no("it is not signed by EdDSA"));
        }
        let known = self.known.load();
        let key = header.kid.as_deref().and_then(|id| known.key(id, now));
        let key = key.ok_or_else(|| no("its key is not known"))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&known.issuer]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // By our own clock, below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = decode::<Claims>(token, key, &validation).map_err(|error| {
            let kind = error.kind();
            no(if matches!(kind, ErrorKind::InvalidAudience) {
                "it is for somebody else"
            } else if matches!(kind, ErrorKind::InvalidIssuer) {
                "another Bottega signed it"
            } else if matches!(kind, ErrorKind::InvalidSignature) {
                "its signature is wrong"
            } else {
                "it cannot be read"
            })
        })?;
        let claims = claims.claims;
        let at = now.timestamp();
        if claims.exp <= at - LEEWAY.num_seconds() {
            return Err(no("it has expired"));
        }
        if claims.nbf > at + LEEWAY.num_seconds() || claims.iat > at + LEEWAY.num_seconds() {
            return Err(no("it is not valid yet"));
        }
        let longest = if claims.trust.is_some() { JOB_LIFETIME } else { LIFETIME };
        if claims.exp - claims.iat > longest.num_seconds() {
            return Err(no("it lives too long"));
        }
        Ok(claims)
    }

    /// The public keys, as JSON Web Key Set.
    #[must_use]
    pub fn published(&self) -> String {
        self.known.load().published.clone()
    }
}

#[cfg(test)]
mod tests;
