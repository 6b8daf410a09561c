//! A command that waits for its user on the machine where their browser is (RFC 8252): it gets a code
//! by way of the browser, and an API token for the code and what only it knows.

use std::{net::IpAddr, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use domain::{Actor, Problem, SubjectId};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{
    Change,
    oidc::logins::{self, Command},
    tokens::Token,
};

use super::Oidc;
use crate::{Caller, Holder, Identity, Result, SecretKey, Wanted, credentials::unauthenticated};

/// How long a code is good.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// What a command waits at and with.
///
/// # Errors
/// The challenge is not the Base64 for URLs of a SHA-256.
pub fn waiting(port: u16, challenge: String) -> Result<Command, Problem> {
    let is_hash = BASE64_URL_SAFE_NO_PAD.decode(&challenge).is_ok_and(|hash| hash.len() == 32);
    if port == 0 || !is_hash {
        let message = "expected a port, and the SHA-256 of the verifier in Base64 for URLs";
        return Err(Problem::invalid("cli_challenge", message));
    }
    Ok(Command { port, challenge })
}

impl Oidc {
    /// Sends a user back to their command with a code, and commits the change.
    pub(super) async fn tell_command(
        &self,
        mut change: Change,
        command: &Command,
        (id, user, issuer): (SubjectId, &str, &str),
        address: Option<IpAddr>,
    ) -> Result<String> {
        let code = SecretKey::generate();
        let ends = change.now() + PATIENCE;
        logins::insert_code(&mut change, &self.code_hash(&code), id, &command.challenge, ends)
            .await?;
        let caller = caller(id, user, address);
        let event = caller.own()?.event("login.succeeded", json!({"user": user, "issuer": issuer}));
        change.commit(&event).await?;
        Ok(format!("http://127.0.0.1:{}/?code={}", command.port, code.expose_secret()))
    }

    /// Makes an API token for whoever the code stands for. The code is gone, whatever comes of it.
    ///
    /// # Errors
    /// The code is not good, or not any more; the verifier is not the one that was announced; the
    /// database is away.
    pub async fn token_for_code(
        &self,
        code: &SecretString,
        verifier: &SecretString,
        (name, expires_in): (String, Duration),
        address: Option<IpAddr>,
    ) -> Result<(Token, SecretString)> {
        let challenge = Sha256::digest(verifier.expose_secret());
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(challenge);
        let taken = logins::take_code(&self.database, &self.code_hash(code), &challenge).await?;
        let (id, user) = taken.ok_or_else(|| {
            unauthenticated("the code is not good, or not any more").hint("log in again")
        })?;
        let caller = caller(id, &user, address);
        let expires_in = Some(expires_in);
        let wanted = Wanted { name, scopes: None, expires_in, sigv4: false };
        self.authenticator.create_token(&Holder::Own(caller.own()?), None, wanted).await
    }

    fn code_hash(&self, code: &SecretString) -> [u8; 32] {
        let text = format!("oidc:code:{}", code.expose_secret());
        self.authenticator.key.hash_bytes(text.as_bytes())
    }
}

fn caller(id: SubjectId, user: &str, address: Option<IpAddr>) -> Caller {
    Caller::new(Identity::of(Actor::user(user), Some(id)), address, rest::request_id())
}
