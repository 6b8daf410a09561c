//! What a request proves itself by.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{ErrorCode, Problem};

/// What an `Authorization` header carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials<'a> {
    /// `Bearer TOKEN`
    Token(&'a [u8]),
    /// `Basic`: a user with a password, or any user name with a token.
    Basic {
        /// The user name; absent where it is no text.
        user: Option<String>,
        /// The password or token.
        secret: Vec<u8>,
    },
}

impl<'a> Credentials<'a> {
    /// Reads the header.
    pub(crate) fn from_header(value: &'a str) -> Result<Self, Problem> {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Ok(Self::Token(rest.as_bytes()));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let pair = BASE64_STANDARD.decode(rest).ok();
            let basic = pair.and_then(|mut pair| {
                let colon = pair.iter().position(|&byte| byte == b':')?;
                let secret = pair.split_off(colon + 1);
                pair.truncate(colon);
                Some(Self::Basic { user: String::from_utf8(pair).ok(), secret })
            });
            if let Some(basic) = basic {
                return Ok(basic);
            }
        }
        if scheme == "AWS4-HMAC-SHA256" {
            let message =
                "requests that are signed for AWS are taken at /endpoints/NAME/invocations only";
            return Err(unauthenticated(message));
        }
        Err(unauthenticated(
            "the Authorization header is neither `Bearer TOKEN` nor `Basic` with user and password or token",
        ))
    }
}

/// What a token is made of besides its secret: `bt_`, 8 hex digits, `_`, 64 hex digits.
pub(crate) const TOKEN: &str = "bt_";

/// Whether a secret claims to be one of our tokens, and then whether it can be one. A token that was
/// given to us or made by an older Bottega may look otherwise.
pub(crate) fn is_broken_token(secret: &[u8]) -> Option<bool> {
    let rest = secret.strip_prefix(TOKEN.as_bytes())?;
    let is_hex =
        |part: &[u8], length| part.len() == length && part.iter().all(u8::is_ascii_hexdigit);
    let is_whole = match rest.iter().position(|&byte| byte == b'_') {
        Some(at) => is_hex(&rest[..at], 8) && is_hex(&rest[at + 1..], 64),
        None => is_hex(rest, 64),
    };
    Some(!is_whole)
}

/// A refusal of whoever does not prove who they are.
pub(crate) fn unauthenticated(message: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::Unauthenticated, message).hint(
        "send `Authorization: Bearer TOKEN`, or Basic with user and password; `bottega tokens create` makes a token, `bottega up` shows where the administrator's is",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_token_or_a_user_with_a_secret() {
        let token = Credentials::from_header("bearer  abc").unwrap();
        assert_eq!(token, Credentials::Token(b"abc"));
        // ana:a:b
        let basic = Credentials::from_header("Basic YW5hOmE6Yg==").unwrap();
        let expected = Credentials::Basic { user: Some("ana".to_owned()), secret: b"a:b".to_vec() };
        assert_eq!(basic, expected);
        for wrong in
            ["", "Bearer", "Bearer ", "Basic", "Basic ???", "Basic YWJj", "Digest x", "abc"]
        {
            assert!(Credentials::from_header(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_of_ours_can_be_told_from_a_part_of_one() {
        let whole = format!("bt_{}_{}", "1a2b3c4d", "0f".repeat(32));
        assert_eq!(is_broken_token(whole.as_bytes()), Some(false));
        assert_eq!(is_broken_token(format!("bt_{}", "0f".repeat(32)).as_bytes()), Some(false));
        for cut in 3..whole.len() {
            assert_eq!(is_broken_token(&whole.as_bytes()[..cut]), Some(true), "{cut}");
        }
        assert_eq!(is_broken_token(b"correct horse"), None);
    }
}
