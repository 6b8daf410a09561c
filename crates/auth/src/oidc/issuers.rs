//! What issuers publish about themselves: where they are asked, and the keys that they sign with.
//! Read when somebody needs it, remembered for a while, and read again where a token names a key that
//! is not known, as often as is good.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::Problem;
use jsonwebtoken::jwk::Jwk;
use reqwest::{Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::egress::{Guard, Networks, Purpose};

/// How long an issuer may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what it published is taken for what it publishes.
const FRESH: Duration = Duration::from_secs(600);
/// The longest answer that is read.
const LONGEST: usize = 512 << 10;
/// How often keys are read again for tokens that name unknown ones, in [`WINDOW`].
const REREADS: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// Where an issuer is asked.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    /// Where people log out (RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<String>,
    jwks_uri: String,
    /// How tokens of its are signed; absent where it does not say.
    pub id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// How we may prove who we are.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether it says with each answer who it is (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What is known of an issuer.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub metadata: Arc<Metadata>,
    pub keys: Arc<Vec<Jwk>>,
    read_at: Instant,
    /// How often keys were read again since when.
    rereads: (u32, Instant),
}

#[cfg(test)]
impl Known {
    /// What an issuer that publishes this would be known by.
    pub fn of(metadata: Value, keys: Vec<Value>) -> Self {
        let metadata = Arc::new(serde_json::from_value(metadata).unwrap());
        let keys = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        let now = Instant::now();
        Self { metadata, keys: Arc::new(keys), read_at: now, rereads: (0, now) }
    }
}

/// What one issuer published last; whoever reads it again keeps others waiting, not asking.
type Slot = Arc<tokio::sync::Mutex<Option<Known>>>;

/// Knows issuers. Only those are asked that an administrator or the operator named.
pub(super) struct Issuers {
    guard: Guard,
    pub http: reqwest::Client,
    known: Mutex<HashMap<String, Slot>>,
}

impl Issuers {
    pub fn new(allowed: Networks) -> reqwest::Result<Self> {
        let guard = Guard::new(Purpose::Issuer, allowed);
        Ok(Self { http: guard.client(PATIENCE)?, guard, known: Mutex::default() })
    }

    /// An issuer that may be asked, as whoever names it hears.
    pub async fn check(&self, issuer: &str) -> Result<(), Problem> {
        let url = self.guard.check(issuer).await?;
        if url.query().is_some() || url.fragment().is_some() {
            let message = format!("`{issuer}` has a query or a fragment: no issuer has");
            return Err(Problem::invalid("issuer", message));
        }
        Ok(())
    }

    /// Where an issuer is asked.
    pub async fn metadata(&self, issuer: &str) -> Result<Arc<Metadata>, Away> {
        Ok(self.known(issuer).await?.metadata)
    }

    /// What is known of an issuer, read now if it was not for a while.
    pub async fn known(&self, issuer: &str) -> Result<Known, Away> {
        let slot = self.slot(issuer);
        let mut slot = slot.lock().await;
        if let Some(known) = slot.as_ref().filter(|known| known.read_at.elapsed() < FRESH) {
            return Ok(known.clone());
        }
        match self.read(issuer).await {
            Ok(known) => Ok(slot.insert(known).clone()),
            // Keys that were right go on while the issuer is away.
            Err(Away(why)) => {
                tracing::warn!(issuer, why, "an identity provider cannot be read again");
                slot.clone().ok_or(Away(why))
            }
        }
    }

    /// The same, where a token names a key that was not among those known: read again, unless that
    /// was done a few times within the last minute.
    pub async fn read_again(&self, issuer: &str) -> Result<Known, Away> {
        let slot = self.slot(issuer);
        let mut slot = slot.lock().await;
        let (count, since) = match slot.as_ref().map(|known| known.rereads) {
            Some((count, since)) if since.elapsed() < WINDOW => (count, since),
            _ => (0, Instant::now()),
        };
        if let Some(known) = slot.as_ref().filter(|_| count >= REREADS) {
            return Ok(known.clone());
        }
        let read = self.read(issuer).await?;
        Ok(slot.insert(Known { rereads: (count + 1, since), ..read }).clone())
    }

    fn slot(&self, issuer: &str) -> Slot {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(issuer.to_owned()).or_default())
    }

    async fn read(&self, issuer: &str) -> Result<Known, Away> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = self.get(&url).await?;
        if metadata.issuer != issuer {
            let why = format!("it calls itself `{}`", metadata.issuer);
            return Err(away(issuer, &why));
        }
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<Value>,
        }
        let Keys { keys } = self.get(&metadata.jwks_uri).await?;
        // One key of a new kind must not take the others along.
        let keys = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        let (metadata, keys) = (Arc::new(metadata), Arc::new(keys));
        Ok(Known { metadata, keys, read_at: Instant::now(), rereads: (0, Instant::now()) })
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Away> {
        self.send(url, |url| self.http.get(url)).await?.ok_or_else(|| away(url, "it refused"))
    }

    /// Asks an issuer and reads its JSON; absent where it answered a refusal (4xx).
    pub async fn send<T: DeserializeOwned>(
        &self,
        url: &str,
        request: impl FnOnce(reqwest::Url) -> reqwest::RequestBuilder,
    ) -> Result<Option<T>, Away> {
        let checked = self.guard.check(url).await.map_err(|problem| away(url, &problem.message))?;
        let request = request(checked).header("accept", "application/json");
        let answer = request.send().await.map_err(|error| away(url, &words(&error)))?;
        let status = answer.status();
        let body = read(answer).await.map_err(|why| away(url, &why))?;
        if status.is_client_error() {
            let said = String::from_utf8_lossy(&body).chars().take(300).collect::<String>();
            tracing::warn!(url, %status, said, "an identity provider refused");
            return Ok(None);
        }
        if status != StatusCode::OK {
            return Err(away(url, &format!("it answered {status}")));
        }
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|_| away(url, "its answer is not what it should be"))
    }
}

async fn read(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| words(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err("its answer is too long".to_owned());
        }
    }
    Ok(body)
}

/// The innermost cause, which is the one that says something.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Why an issuer cannot be asked. It is for operators: whoever logs in can do nothing about it.
#[derive(Debug)]
pub(super) struct Away(pub String);

impl From<Away> for Problem {
    fn from(Away(why): Away) -> Self {
        tracing::warn!(why, "an identity provider cannot be asked");
        Self::unavailable("the identity provider cannot be asked just now")
            .hint("try again in a moment; logging in by password and tokens go on")
    }
}

fn away(url: &str, why: &str) -> Away {
    Away(format!("{url}: {why}"))
}
