//! Logging in at the provider: authorization code with PKCE (RFC 6749, 7636; OpenID Connect Core).
//!
//! The browser holds one random secret in a cookie; state, nonce and the code verifier are derived
//! from it, and its hash is a row that whoever comes back takes away. So each is bound to this browser,
//! is good once, and no secret is in the database.

use std::net::IpAddr;

use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use domain::{ErrorCode, Problem};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{
    Change,
    oidc::logins::{self, Then},
};

use super::{
    Oidc, Provider,
    issuers::Metadata,
    people::{Entered, Person},
    verify::{Claims, audiences, claim, no, text, verified},
};
use crate::{Result, SecretKey, Started, credentials::unauthenticated, sessions::Entering};

/// How long somebody may take at the provider.
pub(crate) const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// The longest address to go to afterwards, in characters.
const RETURN_TO: usize = 2000;
/// The longest subject (OpenID Connect Core, 2).
const SUBJECT: usize = 255;

/// A log-in that has begun.
pub struct Begun {
    /// Where the browser goes now.
    pub url: String,
    /// What it holds meanwhile.
    pub cookie: SecretString,
}

/// What came of a log-in.
pub enum Arrived {
    /// A session, and the path where its user goes.
    Session(Box<Started>, String),
    /// A code for a command; the browser takes it there.
    Command(String),
}

/// What the provider's answer carries.
#[derive(Debug, Default, Deserialize)]
pub struct Returned {
    /// What is exchanged for the token.
    pub code: Option<String>,
    /// What we sent along.
    pub state: Option<String>,
    /// Who the provider is (RFC 9207).
    pub iss: Option<String>,
    /// Why it refused.
    pub error: Option<String>,
}

/// What the provider gives for a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

impl Oidc {
    /// Begins a log-in.
    ///
    /// # Errors
    /// There is no provider, or it cannot be asked; the database is away.
    pub async fn begin(&self, then: &Then) -> Result<Begun> {
        let provider = self.provider()?;
        let metadata = self.issuers.metadata(&provider.issuer).await.map_err(Problem::from)?;
        let cookie = SecretKey::generate();
        let expires_at = self.database.now() + PATIENCE;
        logins::begin(&self.database, &self.hash(&cookie), then, expires_at).await?;
        let challenge =
            BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.derived("verifier", &cookie)));
        let unusable = || Problem::unavailable("the identity provider logs nobody in");
        let url = provider.page(metadata.authorization_endpoint.as_deref());
        let mut url = url.ok_or_else(unusable)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &provider.redirect_url())
            .append_pair("scope", &provider.scopes)
            .append_pair("state", &self.derived("state", &cookie))
            .append_pair("nonce", &self.derived("nonce", &cookie))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { url: url.into(), cookie })
    }

    /// Ends a log-in: begins a session of whoever came back, or has a command make a token for them.
    ///
    /// # Errors
    /// It was not begun in this browser, was ended before or took too long; the provider refuses, or
    /// vouches for nobody whom we let in, or cannot be asked; the database is away.
    pub async fn finish(
        &self,
        cookie: Option<&SecretString>,
        returned: &Returned,
        address: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> Result<Arrived> {
        let provider = self.provider()?;
        let strange = || {
            unauthenticated(
                "this log-in was not begun in this browser, or took too long, or is over",
            )
            .hint("begin again: GET /api/v1/auth/oidc/login")
        };
        let cookie = cookie.ok_or_else(strange)?;
        let state = returned.state.as_deref().ok_or_else(strange)?;
        // Compared by hash: how far two of them agree is seen by nobody. What was made elsewhere ends
        // nothing that is on its way here.
        let hash = |text: &str| self.authenticator.key.hash_bytes(text.as_bytes());
        if hash(state) != hash(&self.derived("state", cookie)) {
            return Err(strange().into());
        }
        let then = logins::take(&self.database, &self.hash(cookie)).await?.ok_or_else(strange)?;
        let person = self.vouched_for(provider, cookie, returned).await;
        let arrived = match person {
            Ok(person) => self.arrive(provider, &person, then, address, user_agent).await,
            Err(problem) => Err(problem.into()),
        };
        if let Err(crate::Error::Refused(problem)) = &arrived {
            let detail = json!({"issuer": provider.issuer, "why": problem.message});
            self.record_failure("login.failed", detail, address).await?;
        }
        arrived
    }

    /// Whom the provider vouches for.
    async fn vouched_for(
        &self,
        provider: &Provider,
        cookie: &SecretString,
        returned: &Returned,
    ) -> Result<Person, Problem> {
        let metadata = self.issuers.metadata(&provider.issuer).await.map_err(Problem::from)?;
        let is_named = match &returned.iss {
            Some(issuer) => *issuer == provider.issuer,
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        if !is_named {
            return Err(unauthenticated("the answer comes from another identity provider"));
        }
        if let Some(error) = &returned.error {
            return Err(refused(error));
        }
        let code = returned.code.as_deref();
        let code = code.ok_or_else(|| unauthenticated("the identity provider sent no code"))?;
        let tokens = self.redeem(provider, &metadata, code, cookie).await?;
        self.person(provider, &metadata, tokens, cookie).await
    }

    /// Lets them in.
    async fn arrive(
        &self,
        provider: &Provider,
        person: &Person,
        then: Then,
        address: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> Result<Arrived> {
        let mut change = Change::begin(&self.database).await?;
        let Entered { id, user, changed } = self.enter(&mut change, provider, person).await?;
        let issuer = provider.issuer.as_str();
        let arrived = match then {
            Then::Path(to) => {
                let who = Entering { id, user, must_change_password: false, issuer: Some(issuer) };
                let session = self.authenticator.begin_session(change, who, address, user_agent);
                Arrived::Session(Box::new(session.await?), to)
            }
            Then::Command(command) => {
                let who = (id, user.as_str(), issuer);
                Arrived::Command(self.tell_command(change, &command, who, address).await?)
            }
        };
        if changed {
            self.authenticator.refresh().await?;
        }
        Ok(arrived)
    }

    /// Exchanges the code for tokens.
    async fn redeem(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        code: &str,
        cookie: &SecretString,
    ) -> Result<Tokens, Problem> {
        let endpoint = metadata.token_endpoint.as_deref().ok_or_else(|| {
            Problem::unavailable("the identity provider says nowhere what a code is exchanged for")
        })?;
        let (redirect_url, verifier) = (provider.redirect_url(), self.derived("verifier", cookie));
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_url.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let methods = metadata.token_endpoint_auth_methods_supported.as_ref();
        // Basic is what providers take that do not say.
        let by_basic =
            methods.is_none_or(|methods| methods.iter().any(|it| it == "client_secret_basic"));
        let mut header = None;
        match &provider.client_secret {
            Some(secret) if by_basic => header = Some(basic(&provider.client_id, secret)),
            secret => {
                form.push(("client_id", &provider.client_id));
                if let Some(secret) = secret {
                    form.push(("client_secret", secret.expose_secret()));
                }
            }
        }
        let body = serde_html_form::to_string(&form).map_err(|_| Problem::internal())?;
        let answer = self.issuers.send(endpoint, |url| {
            let request = self.issuers.http.post(url);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let request = request.body(body);
            header.iter().fold(request, |request, header| request.header("authorization", header))
        });
        answer.await?.ok_or_else(|| {
            unauthenticated("the identity provider did not take the code").hint("log in again")
        })
    }

    /// Whom the tokens are about.
    async fn person(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        tokens: Tokens,
        cookie: &SecretString,
    ) -> Result<Person, Problem> {
        let token = tokens.id_token.ok_or_else(|| {
            unauthenticated("the identity provider sent no ID token")
                .hint("the operator asks for the scope `openid`: --oidc-scopes")
        })?;
        let now = self.database.now();
        let mut claims = verified(&self.issuers, &provider.issuer, &token, now).await?;
        check_for_us(&claims, &provider.client_id)?;
        let nonce = self.derived("nonce", cookie);
        if text(&claims, "nonce") != Some(nonce.as_str()) {
            return Err(no("it belongs to another log-in"));
        }
        let subject = text(&claims, "sub").map(ToOwned::to_owned);
        let subject = subject
            .filter(|subject| (1..=SUBJECT).contains(&subject.chars().count()))
            .ok_or_else(|| no("it names nobody"))?;
        let lacks = |name: &str| claim(&claims, name).is_none();
        if (lacks(&provider.name_claim) || lacks(&provider.groups_claim))
            && let (Some(url), Some(access)) = (&metadata.userinfo_endpoint, &tokens.access_token)
        {
            let more: Option<Claims> = self
                .issuers
                .send(url, |url| self.issuers.http.get(url).bearer_auth(access))
                .await?;
            let more =
                more.ok_or_else(|| unauthenticated("the identity provider tells nothing"))?;
            if text(&more, "sub") != Some(subject.as_str()) {
                return Err(unauthenticated("the identity provider tells of somebody else"));
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(described(provider, &claims, subject))
    }

    /// One of the values that the cookie's secret stands for.
    fn derived(&self, what: &str, cookie: &SecretString) -> String {
        let text = format!("oidc:{what}:{}", cookie.expose_secret());
        hex::encode(self.authenticator.key.hash_bytes(text.as_bytes()))
    }

    fn hash(&self, cookie: &SecretString) -> [u8; 32] {
        let text = format!("oidc:login:{}", cookie.expose_secret());
        self.authenticator.key.hash_bytes(text.as_bytes())
    }
}

/// An ID token is for us, and where it is for others too, was made for us (OpenID Connect Core,
/// 3.1.3.7).
fn check_for_us(claims: &Claims, client_id: &str) -> Result<(), Problem> {
    let audiences = audiences(claims);
    let party = text(claims, "azp");
    let is_ours = audiences.contains(&client_id)
        && party.is_none_or(|party| party == client_id)
        && (audiences.len() == 1 || party.is_some());
    if is_ours { Ok(()) } else { Err(no("it is for somebody else")) }
}

fn described(provider: &Provider, claims: &Claims, subject: String) -> Person {
    let name = claim(claims, &provider.name_claim).and_then(Value::as_str);
    let groups = match claim(claims, &provider.groups_claim) {
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    let shown = text(claims, "name").unwrap_or_default();
    let shown = shown.chars().filter(|c| !c.is_control()).take(255).collect();
    Person { subject, name: name.map(ToOwned::to_owned), display_name: shown, groups }
}

/// `Basic` with both parts encoded as forms are (RFC 6749, 2.3.1).
fn basic(id: &str, secret: &SecretString) -> String {
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pair = format!("{}:{}", part(id), part(secret.expose_secret()));
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

/// A path of this server to go to: no other host, in no spelling.
///
/// # Errors
/// It is none.
pub fn return_path(to: &str) -> Result<&str, Problem> {
    let begins = to.starts_with('/') && !to.starts_with("//");
    let is_plain = !to.contains('\\') && !to.chars().any(|c| c.is_control() || c.is_whitespace());
    if begins && is_plain && to.chars().count() <= RETURN_TO {
        return Ok(to);
    }
    let message = format!(
        "expected a path of this server, like `/`, of at most {RETURN_TO} characters and no blanks"
    );
    Err(Problem::invalid("to", message))
}

/// What the provider says about a refusal is a word of the standard, or not repeated.
fn refused(error: &str) -> Problem {
    let is_word = error.len() <= 60 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let word = if is_word { format!(": {error}") } else { String::new() };
    Problem::new(ErrorCode::Forbidden, format!("the identity provider refused the log-in{word}"))
        .hint("log in again, or ask whoever runs the identity provider")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_returns_to_this_server_alone() {
        for good in ["/", "/models/fraud?tab=versions", "/docs/#x"] {
            assert_eq!(return_path(good), Ok(good));
        }
        for bad in [
            "",
            "models",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "/a b",
            "javascript:alert(1)",
        ] {
            assert_eq!(return_path(bad).unwrap_err().field.as_deref(), Some("to"), "{bad}");
        }
        assert!(return_path(&format!("/{}", "a".repeat(2000))).is_err());
    }

    #[test]
    fn an_id_token_is_ours_where_it_was_made_for_us() {
        let check = |claims: Value| check_for_us(claims.as_object().unwrap(), "bottega").is_ok();
        assert!(check(json!({"aud": "bottega"})));
        assert!(check(json!({"aud": ["bottega"], "azp": "bottega"})));
        assert!(check(json!({"aud": ["other", "bottega"], "azp": "bottega"})));
        for other in [
            json!({}),
            json!({"aud": "other"}),
            json!({"aud": "bottega", "azp": "other"}),
            json!({"aud": ["bottega", "other"]}),
            json!({"aud": ["bottega", "other"], "azp": "other"}),
            json!({"aud": {"bottega": true}}),
        ] {
            assert!(!check(other.clone()), "{other}");
        }
    }

    #[test]
    fn what_a_provider_says_of_a_refusal_is_repeated_only_where_it_is_a_word() {
        assert!(refused("access_denied").message.ends_with(": access_denied"));
        assert!(!refused("<script>alert(1)</script>").message.contains("script"));
    }

    #[test]
    fn both_parts_of_basic_are_encoded() {
        let header = basic("a:b", &SecretString::from("c d+e".to_owned()));
        let pair = BASE64_STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "a%3Ab:c%20d%2Be");
    }
}
