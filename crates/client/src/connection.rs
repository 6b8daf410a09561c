//! One Bottega, over HTTP.

use std::{sync::Once, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    ApiError, Error,
    mlflow::{Credentials, Source, SourceError},
};

/// What may stand in one segment of a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Builds a path of segments, each percent-encoded: `path(&["models", "credit risk"])`.
#[must_use]
pub fn path(segments: &[&str]) -> String {
    segments.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, SEGMENT))).collect()
}

/// A connection to one Bottega, as whoever holds the token, or has the password.
#[derive(Clone)]
pub struct Connection {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ApiError,
}

impl Connection {
    /// A connection to `base` (`http://HOST:PORT`). Nothing is sent yet.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(base: &str, token: Option<SecretString>) -> Result<Self, Error> {
        static TLS: Once = Once::new();
        // The first to come decides for the process; whoever came before decided the same.
        TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let wrong = || Error::Address(base.to_owned());
        let url = reqwest::Url::parse(base).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong());
        }
        // No limit on a whole request: uploads of any size pass. A dead peer is found by keep-alive.
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .tcp_keepalive(Duration::from_secs(15))
            .build()
            .map_err(|_| wrong())?;
        let credentials = token.map_or(Credentials::None, Credentials::Token);
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), credentials })
    }

    /// The same server, as this user.
    #[must_use]
    pub fn as_user(&self, user: &str, password: SecretString) -> Self {
        Self { credentials: Credentials::Password(user.to_owned(), password), ..self.clone() }
    }

    /// The address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same server, as one that speaks MLflow.
    pub(crate) fn as_mlflow(&self) -> Result<Source, SourceError> {
        Source::new(&self.base, self.credentials.clone())
    }

    /// A request to our own API; `path` as [`path`] makes it, behind `/api/v1`.
    pub(crate) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/api/v1{path}"))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.credentials {
            Credentials::Token(token) => request.bearer_auth(token.expose_secret()),
            Credentials::Password(user, password) => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
            Credentials::None => request,
        }
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error }) => Err(Error::Refused { status, error: Box::new(error) }),
            Err(_) => Err(Error::NotBottega { url: self.base.clone(), status }),
        }
    }

    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Error> {
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body)
            .map_err(|_| Error::NotBottega { url: self.base.clone(), status })
    }

    /// What it means that an answer did not come, or not whole.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Error {
        if error.is_body() || error.is_decode() {
            return Error::BrokenOff(self.base.clone());
        }
        // The innermost cause is the one that says something: "Connection refused".
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Error::Unreachable { url: self.base.clone(), reason: cause.to_string() }
    }

    /// Reads.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Error> {
        self.json(self.api(Method::GET, path).query(query)).await
    }

    /// Reads what is no JSON.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn bytes(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<u8>, Error> {
        let response = self.send(self.api(Method::GET, path).query(query)).await?;
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok(body.to_vec())
    }

    /// Reads every page of a list.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn list(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Value>, Error> {
        #[derive(Deserialize)]
        struct Page {
            items: Vec<Value>,
            #[serde(default)]
            next_cursor: Option<String>,
        }
        let mut items = Vec::new();
        let mut query = query.to_vec();
        loop {
            let page: Page = self.get(path, &query).await?;
            items.extend(page.items);
            let Some(cursor) = page.next_cursor else { return Ok(items) };
            query.retain(|(key, _)| *key != "cursor");
            query.push(("cursor", cursor));
        }
    }

    /// Makes or asks for something.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.json(self.api(Method::POST, path).json(body)).await
    }

    /// Puts something in its place.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.json(self.api(Method::PUT, path).json(body)).await
    }

    /// Puts something in its place of which nothing comes back.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn put_nothing(&self, path: &str, body: &impl Serialize) -> Result<(), Error> {
        self.send(self.api(Method::PUT, path).json(body)).await.map(drop)
    }

    /// Changes something.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        self.json(self.api(Method::PATCH, path).json(body)).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.send(self.api(Method::DELETE, path)).await.map(drop)
    }

    /// Asks what a deletion would do, or deletes what answers with something.
    ///
    /// # Errors
    /// A refusal, or nobody there.
    pub async fn delete_asking<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.json(self.api(Method::DELETE, path)).await
    }

    /// Says how well it is, without a token.
    ///
    /// # Errors
    /// Nobody there.
    pub async fn is_alive(&self) -> Result<bool, Error> {
        let response = self
            .request(Method::GET, "/health/live")
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        Ok(response.status().is_success())
    }
}
