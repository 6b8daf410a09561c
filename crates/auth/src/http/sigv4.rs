//! Requests that are signed as AWS's clients sign them (Signature Version 4), for the surface that they call.
//!
//! The access key is a token's id, and the secret is derived from it. The signature covers the body by a
//! hash that botocore does not send, so whoever checks it has read the body.

use actix_web::{
    dev::RequestHead,
    http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST},
};
use chrono::{NaiveDateTime, TimeDelta};
use domain::{ErrorCode, Problem, Timestamp, TokenId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac::{self, HMAC_SHA256};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::FORWARDED;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What boto3 signs `sagemaker-runtime` for.
const SERVICE: &str = "sagemaker";
const TERMINATOR: &str = "aws4_request";
const DATE: &str = "x-amz-date";
const HASH: &str = "x-amz-content-sha256";
/// How far the caller's clock may be from ours, which is also how long a request can be sent again.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// Headers that change what a request means, by how their names begin.
const MEANINGFUL: [&str; 3] = ["x-amz-", "x-amzn-sagemaker-", "x-bottega-"];
/// What stays as it is in a canonical path.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What the `Authorization` header of a signed request says.
pub(super) struct Signature<'a> {
    /// The token that the secret was derived from.
    pub token: TokenId,
    /// `DATE/REGION/sagemaker/aws4_request`.
    scope: &'a str,
    date: &'a str,
    region: &'a str,
    /// The names of the headers that are signed, as they stand there.
    signed: &'a str,
    mac: [u8; 32],
}

/// Whether a request is signed in this way.
pub(super) fn is_signed(head: &RequestHead) -> bool {
    head.headers
        .get(AUTHORIZATION)
        .is_some_and(|it| it.as_bytes().starts_with(ALGORITHM.as_bytes()))
}

/// A refusal of whoever signed otherwise than we check.
pub(super) fn refused(message: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::Unauthenticated, message).hint(
        "sign for the service `sagemaker` with the access key and secret that `bottega tokens create --sigv4` shows",
    )
}

/// The same for every signature that does not match, whatever it is of.
pub(super) fn no_match() -> Problem {
    refused("the signature is not valid here")
}

impl<'a> Signature<'a> {
    /// Reads the header, and checks what can be without the body.
    ///
    /// # Errors
    /// It is not whole, of another service, made too long ago or leaves out what it must cover.
    pub(super) fn read(head: &'a RequestHead, now: Timestamp) -> Result<Self, Problem> {
        let value = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let malformed =
            || refused("expected `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`");
        let fields = value.and_then(|value| value.strip_prefix(ALGORITHM)).ok_or_else(malformed)?;
        let (mut credential, mut signed, mut mac) = (None, None, None);
        for field in fields.split(',') {
            let slot = match field.trim().split_once('=') {
                Some(("Credential", value)) => (&mut credential, value),
                Some(("SignedHeaders", value)) => (&mut signed, value),
                Some(("Signature", value)) => (&mut mac, value),
                _ => return Err(malformed()),
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(malformed());
            }
        }
        let (Some(credential), Some(signed), Some(written)) = (credential, signed, mac) else {
            return Err(malformed());
        };
        let mut mac = [0; 32];
        hex::decode_to_slice(written, &mut mac).map_err(|_| malformed())?;
        let (access_key, scope) = credential.split_once('/').ok_or_else(malformed)?;
        let parts: Vec<_> = scope.split('/').collect();
        let [date, region, SERVICE, TERMINATOR] = parts[..] else {
            return Err(refused(
                "the credential's scope is not DATE/REGION/sagemaker/aws4_request",
            ));
        };
        let token = access_key.parse().map(TokenId).map_err(|_| no_match())?;
        let signature = Self { token, scope, date, region, signed, mac };
        signature.check_time(head, now)?;
        signature.check_covered(head)?;
        Ok(signature)
    }

    fn check_time(&self, head: &RequestHead, now: Timestamp) -> Result<(), Problem> {
        let written = header(head, DATE);
        let at = written
            .and_then(|it| NaiveDateTime::parse_from_str(it, "%Y%m%dT%H%M%SZ").ok())
            .ok_or_else(|| refused("expected `x-amz-date` as 20260102T030405Z").at(DATE))?;
        if written.and_then(|it| it.get(..8)) != Some(self.date) {
            return Err(refused("`x-amz-date` and the credential's scope name two days").at(DATE));
        }
        if (now - at.and_utc()).abs() > TOLERANCE {
            let message = format!(
                "the request was signed at {at}Z, and it is {}: expected 5 minutes at most between them",
                now.format("%Y-%m-%d %H:%M:%SZ")
            );
            return Err(Problem::new(ErrorCode::Unauthenticated, message)
                .at(DATE)
                .hint("set the clock, and sign each request anew"));
        }
        Ok(())
    }

    /// What is not signed could be anybody's.
    fn check_covered(&self, head: &RequestHead) -> Result<(), Problem> {
        if head.headers.contains_key("x-amz-security-token") {
            let message = "`x-amz-security-token`: there are no session tokens here";
            return Err(refused(message).at("x-amz-security-token"));
        }
        let is_signed = |name: &str| self.signed.split(';').any(|signed| signed == name);
        let must = |name: &str| {
            [HOST, CONTENT_TYPE, CONTENT_ENCODING].iter().any(|it| it == name)
                || MEANINGFUL.iter().any(|prefix| name.starts_with(prefix))
        };
        let mut names = head.headers.keys().map(|name| name.as_str()).chain([HOST.as_str(), DATE]);
        // What a node adds that hands it on is under a seal of its own.
        match names.find(|name| must(name) && *name != FORWARDED && !is_signed(name)) {
            Some(name) => {
                Err(refused(format!("`{name}` is not among the signed headers")).at(name))
            }
            None => Ok(()),
        }
    }

    /// Whether this secret signed the request with this body.
    ///
    /// # Errors
    /// It did not.
    pub(super) fn check(
        &self,
        head: &RequestHead,
        body: &[u8],
        secret: &SecretString,
    ) -> Result<(), Problem> {
        let hash = hex::encode(Sha256::digest(body));
        if header(head, HASH).is_some_and(|told| told != hash) {
            let message = "expected the SHA-256 of the body in hex: unsigned and streamed bodies are not taken";
            return Err(refused(message).at(HASH));
        }
        let canonical = self.canonical(head, &hash).ok_or_else(no_match)?;
        let date = header(head, DATE).unwrap_or_default();
        let hashed = hex::encode(Sha256::digest(canonical));
        let signed = format!("{ALGORITHM}\n{date}\n{}\n{hashed}", self.scope);
        let mut key =
            hmac::Key::new(HMAC_SHA256, &[b"AWS4", secret.expose_secret().as_bytes()].concat());
        for part in [self.date, self.region, SERVICE, TERMINATOR] {
            key = hmac::Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        hmac::verify(&key, signed.as_bytes(), &self.mac).map_err(|_| no_match())
    }

    /// What of a request is signed; absent where a signed header is not there or is no text.
    fn canonical(&self, head: &RequestHead, body_hash: &str) -> Option<String> {
        // Encoded once more than it came, as every service but S3 has it.
        let path = utf8_percent_encode(head.uri.path(), PATH);
        let mut query: Vec<_> = head.uri.query().unwrap_or_default().split('&').collect();
        query.sort_unstable_by_key(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query: Vec<_> = query
            .into_iter()
            .filter(|pair| !pair.is_empty())
            .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
            .collect();
        let mut text = format!("{}\n{path}\n{}\n", head.method, query.join("&"));
        for name in self.signed.split(';') {
            text.push_str(name);
            text.push(':');
            text.push_str(&values(head, name)?);
            text.push('\n');
        }
        Some(format!("{text}\n{}\n{body_hash}", self.signed))
    }
}

/// A header's values with single spaces, one after the other.
fn values(head: &RequestHead, name: &str) -> Option<String> {
    let mut values = Vec::new();
    for value in head.headers.get_all(name) {
        values.push(value.to_str().ok()?.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if values.is_empty() {
        // HTTP/2 has the host elsewhere.
        let authority = head.uri.authority().filter(|_| HOST == name)?;
        return Some(authority.to_string());
    }
    Some(values.join(","))
}

fn header<'a>(head: &'a RequestHead, name: &str) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use actix_web::{HttpRequest, test::TestRequest};

    use super::*;

    /// What botocore 1.43 made of this request.
    const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1/20260102/eu-central-1/sagemaker/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amzn-sagemaker-custom-attributes, Signature=690dbb85fdaeac511b5c300c3f8c953195183b5f4b2c9cdabd27eb1a145d118c";
    const BODY: &[u8] = b"{\"instances\":[[1.0]]}";

    fn request(authorization: &str, more: &[(&str, &str)]) -> HttpRequest {
        let mut request = TestRequest::post()
            .uri("/endpoints/fraud%20x~/invocations?b=2&a=%20&a")
            .insert_header(("authorization", authorization))
            .insert_header(("host", "127.0.0.1:8080"))
            .insert_header(("content-type", "application/json"))
            .insert_header(("x-amz-date", "20260102T030405Z"))
            .insert_header(("x-amzn-sagemaker-custom-attributes", "trace=7   and  more"))
            .insert_header(("user-agent", "whatever"));
        for (name, value) in more {
            request = request.insert_header((*name, *value));
        }
        request.to_http_request()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn check(request: &HttpRequest, now: &str, body: &[u8]) -> Result<TokenId, Problem> {
        let signature = Signature::read(request.head(), at(now))?;
        signature.check(request.head(), body, &"s3cr3t/+=".repeat(5).into())?;
        Ok(signature.token)
    }

    const NOW: &str = "2026-01-02T03:06:00Z";

    #[test]
    fn what_botocore_signed_is_found_whole() {
        let token = check(&request(SIGNED, &[]), NOW, BODY).unwrap();
        assert_eq!(token.to_string(), "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1");
        let hash = hex::encode(Sha256::digest(BODY));
        // Not signed, so refused, though it is true.
        let refused = check(&request(SIGNED, &[(HASH, &hash)]), NOW, BODY).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some(HASH));
    }

    #[test]
    fn whatever_is_changed_about_it_is_refused() {
        let refused = |request: &HttpRequest, body: &[u8]| {
            let refused = check(request, NOW, body).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Unauthenticated);
            (refused.field.unwrap_or_default(), refused.message)
        };
        let none = "the signature is not valid here";
        assert_eq!(refused(&request(SIGNED, &[]), b"{\"instances\":[[2.0]]}").1, none);
        assert_eq!(refused(&request(SIGNED, &[]), b"").1, none);
        for (name, value) in [
            ("content-type", "text/csv"),
            ("host", "elsewhere"),
            ("x-amzn-sagemaker-custom-attributes", "trace=8 and more"),
        ] {
            assert_eq!(refused(&request(SIGNED, &[(name, value)]), BODY).1, none, "{name}");
        }
        for (name, value) in [
            ("x-amzn-sagemaker-target-variant", "2"),
            ("x-bottega-on-behalf-of", "user:ana"),
            ("content-encoding", "gzip"),
            ("x-amz-security-token", "session"),
        ] {
            assert_eq!(refused(&request(SIGNED, &[(name, value)]), BODY).0, name);
        }
        for (from, to) in [
            ("eu-central-1", "us-east-1"),
            ("690d", "690e"),
            ("7c1/", "7c2/"),
            ("content-type;host", "host;content-type"),
        ] {
            let other = SIGNED.replace(from, to);
            let secret = "s3cr3t/+=".repeat(5).into();
            let request = request(&other, &[]);
            let signature = Signature::read(request.head(), at(NOW)).unwrap();
            let is_token = from == "7c1/";
            assert_eq!(signature.check(request.head(), BODY, &secret).is_ok(), is_token, "{from}");
        }
    }

    #[test]
    fn a_header_that_is_not_whole_is_refused() {
        for (from, to) in [
            ("sagemaker/", "s3/"),
            ("aws4_request", "aws4"),
            ("host;", ""),
            (";x-amz-date", ""),
            ("Signature=690d", "Signature="),
            ("Signature=690d", "Signature=690dx"),
            ("Credential=", "Credential=a, Credential="),
            ("SignedHeaders=", "Signed="),
            ("0199f0a2", "AKIA"),
            ("/20260102", "/20260103"),
            ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256,"),
        ] {
            let other = SIGNED.replace(from, to);
            let request = request(&other, &[]);
            assert!(Signature::read(request.head(), at(NOW)).is_err(), "{other}");
        }
        let bare = request("AWS4-HMAC-SHA256", &[]);
        assert!(is_signed(bare.head()) && Signature::read(bare.head(), at(NOW)).is_err());
        for date in ["2026-01-02", "20260102T990405Z", ""] {
            let wrong = request(SIGNED, &[(DATE, date)]);
            let refused = check(&wrong, NOW, BODY).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(DATE), "{date}");
        }
    }

    #[test]
    fn it_is_worth_something_for_five_minutes_on_either_side() {
        let signed = request(SIGNED, &[]);
        for (now, is_fresh) in [
            ("2026-01-02T02:59:05Z", true),
            ("2026-01-02T02:59:04Z", false),
            ("2026-01-02T03:09:05Z", true),
            ("2026-01-02T03:09:06Z", false),
        ] {
            assert_eq!(check(&signed, now, BODY).is_ok(), is_fresh, "{now}");
        }
    }
}
