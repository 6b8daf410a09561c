//! Who somebody is by the word of others: people who log in at an identity provider (OpenID Connect,
//! authorization code with PKCE), and CI jobs whose provider signs a token for them.
//!
//! - [`Oidc::begin`] and [`Oidc::finish`] are the two ends of a log-in, the [`groups`] of the
//!   provider give memberships and roles at each one.
//! - [`exchange`] takes a job's token for a short-lived one of a service account that [`trusts`] names.
//! - A provider is asked only while somebody logs in: where it is away, all else goes on.
//!
//! Somebody is known by issuer and subject, never by e-mail or name, which a provider may give to
//! others.

pub mod command;
pub mod exchange;
pub mod groups;
pub mod identities;
mod issuers;
mod login;
mod people;
pub mod trusts;
mod verify;

use std::{net::IpAddr, sync::Arc};

use domain::{ErrorCode, Problem, access::Patience};
use secrecy::SecretString;
use serde_json::Value;
use store::{Database, logins::Attempt};

use self::issuers::Issuers;
pub use self::login::{Arrived, Begun, Returned, return_path};
use crate::{
    Access, Authenticator,
    audit::Trail,
    egress::Networks,
    jwt::Jwts,
    logins::{attempt, network},
};

/// Where the provider sends browsers back to, on this server.
pub const CALLBACK: &str = "/api/v1/auth/oidc/callback";

/// The identity provider that people log in at.
#[derive(Clone)]
pub struct Provider {
    /// How it signs itself; its configuration lies below.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// What proves that we are we; absent where PKCE alone does.
    pub client_secret: Option<SecretString>,
    /// How browsers reach this server, as `https://bottega.example`.
    pub public_url: String,
    /// What we ask for, as `openid profile email`.
    pub scopes: String,
    /// The claim that names a new user.
    pub name_claim: String,
    /// The claim that lists somebody's groups.
    pub groups_claim: String,
    /// Whether whoever logs in for the first time becomes a user.
    pub create_users: bool,
}

impl Provider {
    /// Where the provider sends browsers back to.
    #[must_use]
    pub fn redirect_url(&self) -> String {
        format!("{}{CALLBACK}", self.public_url.trim_end_matches('/'))
    }

    /// Where the provider sends browsers back to that logged out there.
    #[must_use]
    pub fn logout_redirect_url(&self) -> String {
        format!("{}/", self.public_url.trim_end_matches('/'))
    }

    /// An address of the provider's that browsers are sent to: in the clear where the operator lets us speak
    /// so to the provider, and else not.
    fn page(&self, url: Option<&str>) -> Option<reqwest::Url> {
        let url: reqwest::Url = url?.parse().ok()?;
        let is_fine = match url.scheme() {
            "https" => true,
            "http" => self.issuer.starts_with("http://"),
            _ => false,
        };
        is_fine.then_some(url)
    }
}

/// Logs people in at an identity provider, and takes tokens of CI jobs.
pub struct Oidc {
    provider: Option<Provider>,
    issuers: Issuers,
    database: Database,
    access: Access,
    authenticator: Arc<Authenticator>,
    trail: Trail,
    jwts: Jwts,
}

impl Oidc {
    /// With this provider to log in at, if there is one. Issuers are reached at public addresses, and
    /// in `allowed`.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn new(
        provider: Option<Provider>,
        allowed: Networks,
        authenticator: Arc<Authenticator>,
        access: Access,
        jwts: Jwts,
    ) -> reqwest::Result<Self> {
        Ok(Self {
            provider,
            issuers: Issuers::new(allowed)?,
            database: authenticator.database.clone(),
            trail: authenticator.trail.clone(),
            access,
            authenticator,
            jwts,
        })
    }

    /// The provider that people log in at.
    ///
    /// # Errors
    /// There is none.
    pub fn provider(&self) -> Result<&Provider, Problem> {
        self.provider.as_ref().ok_or_else(|| {
            Problem::new(ErrorCode::NotFound, "nobody logs in by OpenID Connect here")
                .hint("the operator sets it up with --oidc-issuer; log in by password")
        })
    }

    /// Records that somebody failed, unless so many do from their address that they would fill the
    /// trail. Nothing can be guessed here: nobody is kept waiting for it.
    async fn record_failure(
        &self,
        change: &'static str,
        detail: Value,
        address: Option<IpAddr>,
    ) -> store::Result<()> {
        let place = ["oidc", &network(address)];
        let place = self.authenticator.culprit(Patience::ADDRESS, &place);
        if store::logins::attempt(&self.database, &[place, place]).await? == Attempt::Counted {
            self.trail.record(attempt(change, address, detail).refused());
        }
        Ok(())
    }

    /// Where somebody who logged in at the provider logs out there; absent where it has no such place, or
    /// cannot be asked: then only the session here is over.
    pub async fn logout_url(&self) -> Option<String> {
        let provider = self.provider.as_ref()?;
        let metadata = self.issuers.metadata(&provider.issuer).await;
        let metadata = metadata
            .inspect_err(|issuers::Away(why)| {
                tracing::warn!(why, "nobody can log out at the identity provider");
            })
            .ok()?;
        let mut url = provider.page(metadata.end_session_endpoint.as_deref())?;
        url.query_pairs_mut()
            .append_pair("client_id", &provider.client_id)
            .append_pair("post_logout_redirect_uri", &provider.logout_redirect_url());
        Some(url.into())
    }

    /// Whether the provider answers, and if not, why.
    ///
    /// # Errors
    /// There is none.
    pub async fn look(&self) -> Result<Option<String>, Problem> {
        let provider = self.provider()?;
        let found = self.issuers.metadata(&provider.issuer).await;
        Ok(found.err().map(|issuers::Away(why)| why))
    }
}
