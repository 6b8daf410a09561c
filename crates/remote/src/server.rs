//! One question to one server, within bounds.

use std::{
    collections::HashMap,
    error::Error as _,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use auth::{
    Vault,
    egress::{Guard, Networks, Purpose},
};
use bytes::Bytes;
use domain::{
    Problem,
    serving::hooks::{Header, HeaderValue},
};
use reqwest::{
    Client, RequestBuilder, Response, Url,
    header::{CONTENT_TYPE, HeaderName, HeaderValue as Sent},
};
use secrecy::{ExposeSecret as _, SecretString};
use store::Database;

use crate::Failure;

/// No question takes longer.
const PATIENCE: Duration = Duration::from_secs(600);
/// How much of a refusal is told.
const TOLD: usize = 200;
/// How much of a refusal is read.
const REFUSAL: usize = 4 << 10;

/// A secret for one origin.
struct Credential {
    origin: String,
    secret: SecretString,
}

/// What asks servers, with what they are told. One for each process.
pub struct Remote {
    pub(crate) database: Database,
    pub(crate) vault: Vault,
    guard: Guard,
    encrypted: Client,
    /// For networks where the operator allows it.
    clear: Client,
    credentials: ArcSwap<HashMap<String, Credential>>,
}

/// A server that may be asked.
#[derive(Debug, Clone)]
pub struct Server {
    url: Url,
    headers: Vec<(Header, HeaderValue)>,
}

impl Server {
    /// The server at a URL, told these headers.
    ///
    /// # Errors
    /// It is no URL.
    pub fn new(url: &str, headers: Vec<(Header, HeaderValue)>) -> Result<Self, Failure> {
        let url = Url::parse(url).map_err(|error| Failure::Unreachable(error.to_string()))?;
        Ok(Self { url, headers })
    }

    /// The same, where another path is asked.
    #[must_use]
    pub fn at(&self, url: Url) -> Self {
        Self { url, headers: self.headers.clone() }
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }
}

impl Remote {
    /// Reaches public addresses, and those in `allowed`; opens credentials with `vault`.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn new(database: Database, vault: Vault, allowed: Networks) -> reqwest::Result<Self> {
        let guard = Guard::new(Purpose::Remote, allowed);
        let (encrypted, clear) = (guard.client(PATIENCE)?, guard.in_the_clear().client(PATIENCE)?);
        Ok(Self { database, vault, guard, encrypted, clear, credentials: ArcSwap::default() })
    }

    /// Reads what servers are told.
    ///
    /// # Errors
    /// The database is away.
    pub async fn refresh(&self) -> store::Result<()> {
        let rows = store::credentials::all(&self.database).await?;
        let opened = rows.into_iter().filter_map(|row| {
            let Some(secret) = self.vault.open(row.id.as_bytes(), &row.sealed) else {
                tracing::error!(
                    credential = row.name,
                    "a credential cannot be read: its key is not given"
                );
                return None;
            };
            Some((row.name, Credential { origin: row.origin, secret }))
        });
        self.credentials.store(std::sync::Arc::new(opened.collect()));
        Ok(())
    }

    /// Whether a server may be asked, and told what it is to be told, as things stand; `field` names where
    /// it stands.
    ///
    /// # Errors
    /// A URL that leads to where this server may not go; a credential that is not there or not for it.
    pub async fn check(
        &self,
        field: &str,
        url: &str,
        headers: impl IntoIterator<Item = (&Header, &HeaderValue)>,
    ) -> Result<Url, Problem> {
        let url =
            self.guard.check(url).await.map_err(|problem| problem.at(format!("{field}.url")))?;
        let origin = url.origin().ascii_serialization();
        for (name, value) in headers {
            let HeaderValue::Credential(reference) = value else { continue };
            let place = format!("{field}.headers.{}.credential", name.as_str());
            let credential = reference.credential.as_str();
            let found = store::credentials::get(&self.database, credential).await?;
            let found = found.ok_or_else(|| {
                Problem::invalid(&place, format!("there is no credential `{credential}`"))
                    .hint("an administrator makes it: bottega credentials set NAME --for ORIGIN")
            })?;
            if found.origin != origin {
                let message = format!(
                    "the credential `{credential}` is for `{}`, and not for `{origin}`",
                    found.origin
                );
                return Err(Problem::invalid(place, message));
            }
        }
        Ok(url)
    }

    /// The origin of a URL that may be reached.
    ///
    /// # Errors
    /// It may not.
    pub(crate) async fn origin(&self, field: &str, url: &str) -> Result<String, Problem> {
        let url = self.guard.check(url).await.map_err(|problem| problem.at(field))?;
        Ok(url.origin().ascii_serialization())
    }

    /// Gives what is at the server's URL.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get(
        &self,
        server: &Server,
        most: usize,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        let request = self.client(&server.url).get(server.url.clone());
        self.answer(server, request, most, deadline).await
    }

    fn client(&self, url: &Url) -> &Client {
        if url.scheme() == "https" { &self.encrypted } else { &self.clear }
    }

    async fn answer(
        &self,
        server: &Server,
        request: RequestBuilder,
        most: usize,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        // A name is looked at when it is resolved, for each connection.
        self.guard.check_address(&server.url).map_err(Failure::Unreachable)?;
        exchange(self.told(server, request)?, most, deadline).await
    }

    /// The request with its headers.
    fn told(&self, server: &Server, request: RequestBuilder) -> Result<RequestBuilder, Failure> {
        let mut request = request;
        for (name, value) in &server.headers {
            let header = HeaderName::from_bytes(name.as_str().as_bytes());
            let header =
                header.map_err(|_| Failure::Wrong(format!("no header `{}`", name.as_str())))?;
            let sent = match value {
                HeaderValue::Plain(text) => Sent::from_str(text.as_str()).ok(),
                HeaderValue::Credential(reference) => {
                    let name = reference.credential.as_str();
                    let held = self.credentials.load();
                    let origin = server.url.origin().ascii_serialization();
                    let found = held.get(name).filter(|found| found.origin == origin);
                    let found = found.ok_or_else(|| Failure::Credential(name.to_owned()))?;
                    let sent = Sent::from_str(found.secret.expose_secret()).ok();
                    sent.map(|mut sent| {
                        sent.set_sensitive(true);
                        sent
                    })
                }
            };
            let sent = sent.ok_or_else(|| Failure::Wrong(format!("no value of `{header}`")))?;
            request = request.header(header, sent);
        }
        Ok(request)
    }
}

/// What asks a server.
pub trait Asks {
    /// Sends JSON and gives the answer's body, which is JSON too and has no more bytes than that.
    ///
    /// # Errors
    /// [`Failure`].
    fn post(
        &self,
        server: &Server,
        body: Vec<u8>,
        most: usize,
        deadline: Instant,
    ) -> impl Future<Output = Result<Bytes, Failure>> + Send;
}

impl Asks for Remote {
    async fn post(
        &self,
        server: &Server,
        body: Vec<u8>,
        most: usize,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        let request = posted(self.client(&server.url), server, body);
        self.answer(server, request, most, deadline).await
    }
}

/// The request that sends JSON to a server.
pub fn posted(client: &Client, server: &Server, body: Vec<u8>) -> RequestBuilder {
    client.post(server.url.clone()).header(CONTENT_TYPE, "application/json").body(body)
}

/// Sends a request and gives the answer's body, which is JSON and has no more bytes than that. Whether the
/// server may be asked is the caller's care.
///
/// # Errors
/// [`Failure`].
pub async fn exchange(
    request: RequestBuilder,
    most: usize,
    deadline: Instant,
) -> Result<Bytes, Failure> {
    let asked = async {
        let response = request.send().await.map_err(|error| cause(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Failure::Redirect(status.as_u16()));
        }
        if !status.is_success() {
            return Err(refused(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if let Some(kind) = kind.filter(|kind| !kind.to_ascii_lowercase().contains("json")) {
            let kind: String = kind.chars().take(60).collect();
            return Err(Failure::Wrong(format!("it is `{kind}`, and not JSON")));
        }
        body(response, most).await?.ok_or(Failure::TooLarge { output: None, limit: most })
    };
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::time::timeout(left, asked).await.map_err(|_| Failure::Late)?
}

/// The whole body; absent where it has more bytes than that.
async fn body(mut response: Response, most: usize) -> Result<Option<Bytes>, Failure> {
    let told = response.content_length().unwrap_or(0);
    if told > most as u64 {
        return Ok(None);
    }
    let mut all = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
        if all.len() + chunk.len() > most {
            return Ok(None);
        }
        all.extend_from_slice(&chunk);
    }
    Ok(Some(all.into()))
}

async fn refused(mut response: Response) -> Failure {
    let status = response.status().as_u16();
    let mut all = Vec::new();
    while all.len() < REFUSAL {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        all.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&all);
    // What V2, TensorFlow Serving and MLflow say is one text in an object.
    let said = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|answer| {
        let text = |key: &str| answer.get(key)?.as_str().map(str::to_owned);
        text("error").or_else(|| text("message"))
    });
    let said: String = said
        .unwrap_or_else(|| {
            if text.trim_start().starts_with('<') { String::new() } else { text.into_owned() }
        })
        .chars()
        .filter(|it| !it.is_control())
        .take(TOLD)
        .collect();
    let told = if said.is_empty() { said } else { format!(": {said}") };
    Failure::Status { status, told }
}

/// The innermost cause, which is the one that says something.
fn cause(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Late;
    }
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    Failure::Unreachable(
        cause.map_or_else(|| "the connection broke".to_owned(), ToString::to_string),
    )
}
