//! Tells who calls, out of memory.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{Actor, Clock, ErrorCode, Problem, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use store::{Change, Database, tokens};

use crate::{Access, Identity, SecretKey, verbs};

/// A token that is valid until it ends.
struct Known {
    identity: Identity,
    expires_at: Option<Timestamp>,
}

/// The secret that a request carries.
#[derive(Debug)]
pub struct Credentials<'a>(std::borrow::Cow<'a, [u8]>);

impl<'a> Credentials<'a> {
    /// Reads an `Authorization` header: `Bearer TOKEN`, or `Basic` with any user name and the token
    /// as password.
    ///
    /// # Errors
    /// Neither of the two.
    pub fn from_header(value: &'a str) -> Result<Self, Problem> {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
            return Ok(Self(rest.as_bytes().into()));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let pair = BASE64_STANDARD.decode(rest).ok();
            let password = pair.and_then(|pair| {
                let colon = pair.iter().position(|&byte| byte == b':')?;
                Some(pair[colon + 1..].to_vec())
            });
            if let Some(password) = password {
                return Ok(Self(password.into()));
            }
        }
        Err(unauthenticated(
            "the Authorization header is neither `Bearer TOKEN` nor `Basic` with user and token",
        ))
    }
}

fn unauthenticated(message: &str) -> Problem {
    Problem::new(ErrorCode::Unauthenticated, message).hint(
        "send `Authorization: Bearer TOKEN`; `bottega up` shows where the administrator's token is",
    )
}

/// Knows all valid tokens by their keyed hashes. Reading takes no lock and asks no database.
pub struct Authenticator {
    key: SecretKey,
    known: ArcSwap<HashMap<[u8; 32], Known>>,
    clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// Knows nobody until [`Authenticator::refresh`].
    #[must_use]
    pub fn new(key: SecretKey, clock: Arc<dyn Clock>) -> Self {
        Self { key, known: ArcSwap::default(), clock }
    }

    /// Takes over which tokens are valid now. Called at start, whenever something changed, and
    /// from time to time.
    ///
    /// # Errors
    /// The database is away; then those known before stay.
    pub async fn refresh(&self, database: &Database) -> store::Result<()> {
        let known = tokens::valid(database)
            .await?
            .into_iter()
            .map(|token| {
                let identity = Identity {
                    actor: token.actor,
                    subject: token.subject,
                    token: Some(token.id),
                    scopes: token.scopes.map(Arc::from),
                };
                (token.hash, Known { identity, expires_at: token.expires_at })
            })
            .collect();
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// Who holds these credentials.
    ///
    /// # Errors
    /// None that we know.
    pub fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Identity, Problem> {
        let known = self.known.load();
        match known.get(&self.key.hash_bytes(&credentials.0)) {
            Some(token) if token.expires_at.is_none_or(|end| self.clock.now() < end) => {
                Ok(token.identity.clone())
            }
            Some(_) => Err(unauthenticated("the token has expired")),
            None => Err(unauthenticated("the token is not valid here")),
        }
    }

    /// Who a request with this `Authorization` header comes from.
    ///
    /// # Errors
    /// No header, a malformed one, or a token that we do not know.
    pub fn caller(&self, header: Option<&str>) -> Result<Identity, Problem> {
        let header = header.ok_or_else(|| unauthenticated("this needs a token"))?;
        self.authenticate(&Credentials::from_header(header)?)
    }

    /// Makes this the administrator's token, in place of any other of that name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn install_admin_token(
        &self,
        database: &Database,
        access: &Access,
        token: &SecretString,
    ) -> store::Result<()> {
        const NAME: &str = "administrator";
        let admin = Actor::user("admin");
        let permit = access.system::<verbs::Administer>("start", domain::Resource::Platform);
        let mut change = Change::begin(database).await?;
        if tokens::replace(&mut change, &admin, NAME, &self.key.hash(token)).await? {
            let detail = json!({"subject": admin.to_string(), "name": NAME});
            change.commit(&permit.event("token.installed", detail)).await?;
        }
        self.refresh(database).await
    }

    /// A fresh API token: `bt_` and 256 random bits in hex.
    #[must_use]
    pub fn generate_token() -> SecretString {
        SecretString::from(format!("bt_{}", SecretKey::generate().expose_secret()))
    }
}
