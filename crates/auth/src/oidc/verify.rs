//! Tokens that somebody else signed. What a token says of its algorithm and key is compared with what
//! its issuer publishes, never followed.

use domain::{Problem, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, jwk::Jwk};
use serde_json::{Map, Value};

use super::issuers::{Issuers, Known};
use crate::credentials::unauthenticated;

/// By how many seconds clocks may differ.
const LEEWAY: i64 = 30;
/// The longest token that is looked at, in bytes.
const LONGEST: usize = 32 << 10;

/// The algorithms that are taken: signatures, no shared secrets.
const TAKEN: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a token says, by claim.
pub(super) type Claims = Map<String, Value>;

/// A refusal of a token, with the reason.
pub(super) fn no(why: &str) -> Problem {
    unauthenticated(format!("the token is not valid here: {why}"))
}

/// Who says to have signed a token; nothing is checked.
pub(super) fn said_issuer(token: &str) -> Result<String, Problem> {
    if token.len() > LONGEST {
        return Err(no("it is too long"));
    }
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| no("it cannot be read"))?;
    text(&claims, "iss").map(ToOwned::to_owned).ok_or_else(|| no("it does not say who signed it"))
}

/// What a token says that this issuer signed and that is valid now. For whom it is remains to be seen.
pub(super) async fn verified(
    issuers: &Issuers,
    issuer: &str,
    token: &str,
    now: Timestamp,
) -> Result<Claims, Problem> {
    let header = acceptable(token)?;
    let mut known = issuers.known(issuer).await?;
    if pick(&known, &header).is_none() {
        known = issuers.read_again(issuer).await?;
    }
    checked(&known, &header, issuer, token, now)
}

/// The header of a token that may be looked at.
fn acceptable(token: &str) -> Result<Header, Problem> {
    if token.len() > LONGEST {
        return Err(no("it is too long"));
    }
    let header = decode_header(token)
        .map_err(|_| no("it cannot be read, or is signed by no algorithm that is taken"))?;
    if !TAKEN.contains(&header.alg) {
        return Err(no("it is signed by an algorithm that is not taken"));
    }
    if header.crit.is_some() {
        return Err(no("it demands what is not known here (`crit`)"));
    }
    Ok(header)
}

/// What a token says that is signed by one of these keys and valid now.
fn checked(
    known: &Known,
    header: &Header,
    issuer: &str,
    token: &str,
    now: Timestamp,
) -> Result<Claims, Problem> {
    let key = pick(known, header);
    let key = key.ok_or_else(|| no("its issuer publishes no key that it could be signed by"))?;
    if !signs_by(known, header.alg) {
        return Err(no("its issuer does not sign by this algorithm"));
    }
    let claims = signed(token, &key, header.alg)?;
    if text(&claims, "iss") != Some(issuer) {
        return Err(no("another issuer is named in it"));
    }
    check_times(&claims, now)?;
    Ok(claims)
}

/// Whether the issuer says that it signs so, or does not say.
fn signs_by(known: &Known, algorithm: Algorithm) -> bool {
    let said = known.metadata.id_token_signing_alg_values_supported.as_ref();
    said.is_none_or(|said| {
        // Ed25519 goes by two names (RFC 9864).
        let is_it = |name: &String| {
            name.parse() == Ok(algorithm) || (name == "Ed25519" && algorithm == Algorithm::EdDSA)
        };
        said.iter().any(is_it)
    })
}

/// The key that a token names; where it names none, the only one that fits.
fn pick(known: &Known, header: &Header) -> Option<DecodingKey> {
    let fits = |key: &&Jwk| {
        let common = &key.common;
        let is_for_signatures = common
            .public_key_use
            .as_ref()
            .is_none_or(|usage| *usage == jsonwebtoken::jwk::PublicKeyUse::Signature);
        let said = common.key_algorithm.map(Algorithm::try_from);
        let is_of_algorithm = said.is_none_or(|said| said.is_ok_and(|said| said == header.alg));
        let key = DecodingKey::from_jwk(key);
        let is_of_family = key.is_ok_and(|key| key.family() == header.alg.family());
        is_for_signatures && is_of_algorithm && is_of_family
    };
    let mut fitting = known.keys.iter().filter(fits);
    let key = match &header.kid {
        Some(id) => fitting.find(|key| key.common.key_id.as_ref() == Some(id))?,
        None => fitting.next().filter(|_| fitting.next().is_none())?,
    };
    DecodingKey::from_jwk(key).ok()
}

/// What the token says, if its signature is right.
fn signed(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, Problem> {
    let mut validation = Validation::new(algorithm);
    // All by ourselves: by our own clock, and with a reason.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    match decode::<Claims>(token, key, &validation) {
        Ok(data) => Ok(data.claims),
        Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::InvalidSignature => {
            Err(no("its signature is wrong"))
        }
        Err(_) => Err(no("it cannot be read")),
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), Problem> {
    let at = now.timestamp();
    let expires = seconds(claims, "exp")?.ok_or_else(|| no("it does not say when it ends"))?;
    let made = seconds(claims, "iat")?.ok_or_else(|| no("it does not say when it was made"))?;
    if expires <= at - LEEWAY {
        return Err(no("it has expired"));
    }
    let begins = seconds(claims, "nbf")?.unwrap_or(made);
    if made > at + LEEWAY || begins > at + LEEWAY {
        return Err(no("it is not valid yet"));
    }
    Ok(())
}

/// A time in a token, in seconds since 1970; some issuers write fractions.
pub(super) fn seconds(claims: &Claims, name: &str) -> Result<Option<i64>, Problem> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "it is clamped, and a second is enough")]
    let whole = |number: f64| number.clamp(-1e15, 1e15) as i64;
    let read = value.as_i64().or_else(|| value.as_f64().map(whole));
    read.map(Some).ok_or_else(|| no(&format!("its `{name}` is no time")))
}

/// A claim that is text.
pub(super) fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// For whom a token is.
pub(super) fn audiences(claims: &Claims) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A claim by name, or by a path like `realm_access.roles` into objects.
pub(super) fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    })
}

#[cfg(test)]
mod tests;
