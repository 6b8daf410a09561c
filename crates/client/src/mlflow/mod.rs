//! An MLflow server, as something to read from: 2.x or 3.x, or a Bottega.
//!
//! It is not trusted: answers are bounded, ids and paths are checked, no redirect leads to another
//! host. What may pass by itself (429, 502, 503, 504, a connection that breaks) is tried again.

mod artifacts;
mod error;
mod read;
pub mod wire;

use std::{sync::Once, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;

pub use self::{
    artifacts::{Found, Root},
    error::SourceError,
};

/// What is waited before the second try; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(120);
/// The longest answer that is kept in memory: the whole history of a metric comes in one from 2.x.
const LONGEST_ANSWER: usize = 1 << 30;

/// How the server knows who asks.
#[derive(Clone)]
pub enum Credentials {
    /// It does not ask.
    None,
    /// `Authorization: Bearer TOKEN`.
    Token(SecretString),
    /// A user name and a password.
    Password(String, SecretString),
}

/// An MLflow server.
#[derive(Clone)]
pub struct Source {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
}

impl Source {
    /// A server at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(url: &str, credentials: Credentials) -> Result<Self, SourceError> {
        static TLS: Once = Once::new();
        TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let wrong = || SourceError::Address(url.to_owned());
        let parsed = reqwest::Url::parse(url.trim_end_matches('/')).map_err(|_| wrong())?;
        let is_plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() || !is_plain {
            return Err(wrong());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(SILENCE)
            .tcp_keepalive(Duration::from_secs(15))
            .redirect(redirect::Policy::custom(stay))
            .build()
            .map_err(|_| wrong())?;
        let base = parsed.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, base, credentials })
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.credentials {
            Credentials::None => request,
            Credentials::Token(token) => request.bearer_auth(token.expose_secret()),
            Credentials::Password(user, password) => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
        }
    }

    /// The JSON that a call answers.
    async fn json<T: DeserializeOwned>(
        &self,
        what: &str,
        make: impl Fn() -> RequestBuilder,
    ) -> Result<T, SourceError> {
        let mut tries = Tries::default();
        loop {
            let answer = match self.send(what, &make).await {
                Ok(response) => self.body(response).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(body) => return self.decode(&body),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// One try: an answer that says that it went well.
    async fn send(
        &self,
        what: &str,
        make: &impl Fn() -> RequestBuilder,
    ) -> Result<Response, SourceError> {
        let response = make().send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        if status.is_redirection() {
            let to = response.headers().get("location").and_then(|to| to.to_str().ok());
            let to: String = to.unwrap_or("elsewhere").chars().take(200).collect();
            return Err(SourceError::Redirected { url: self.base.clone(), to });
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(SourceError::Unauthorised { url: self.base.clone(), status: 401 });
        }
        let body = self.body(response).await?;
        let status = status.as_u16();
        match serde_json::from_slice::<wire::Refusal>(&body) {
            Ok(refusal) => {
                let message: String = refusal.message.chars().take(500).collect();
                let code = refusal.error_code;
                Err(SourceError::Refused { what: what.to_owned(), status, code, message, wait })
            }
            Err(_) if matches!(status, 429 | 500 | 502 | 503 | 504) => {
                let message = format!("status {status}");
                let (what, code) = (what.to_owned(), String::new());
                Err(SourceError::Refused { what, status, code, message, wait })
            }
            Err(_) if status == 403 => {
                Err(SourceError::Unauthorised { url: self.base.clone(), status })
            }
            Err(_) => Err(SourceError::NotMlflow { url: self.base.clone(), status }),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, SourceError> {
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + bytes.len() > LONGEST_ANSWER {
                return Err(SourceError::TooLarge(self.base.clone()));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, SourceError> {
        serde_json::from_slice(body)
            .map_err(|_| SourceError::NotMlflow { url: self.base.clone(), status: 200 })
    }

    fn unreachable(&self, error: &reqwest::Error) -> SourceError {
        // The innermost cause is the one that says something: "Connection refused".
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        SourceError::Unreachable { url: self.base.clone(), reason: cause.to_string() }
    }
}

/// A redirect is followed to the same host alone: whoever answers there saw the credentials already.
fn stay(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let origin = |url: &reqwest::Url| {
        let host = url.host_str().map(ToOwned::to_owned);
        (url.scheme().to_owned(), host, url.port_or_known_default())
    };
    let same =
        attempt.previous().first().is_some_and(|first| origin(first) == origin(attempt.url()));
    if same && attempt.previous().len() < 5 { attempt.follow() } else { attempt.stop() }
}

/// Counts tries, and waits between them.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// Whether it was tried again already.
    const fn are_some(&self) -> bool {
        self.0 >= 2
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// There is none: it would not help, or there were enough.
    async fn again(&mut self, error: SourceError) -> Result<(), SourceError> {
        self.0 += 1;
        if self.0 >= error.tries() {
            return Err(error);
        }
        let wait = error.wait().unwrap_or(FIRST_WAIT * 2_u32.pow(self.0 - 1));
        tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        Ok(())
    }
}
