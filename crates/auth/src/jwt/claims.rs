//! What a token says.

use domain::{Actor, SubjectId, Timestamp, TokenId, TrustId, access::Scope};
use serde::{Deserialize, Serialize};

use super::{JOB_LIFETIME, LIFETIME};

/// What a token is exchanged for: they end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// An API token.
    Token(TokenId),
    /// A CI job's token, by this trust.
    Job(TrustId),
}

impl For {
    /// How many seconds it may live at most.
    pub(crate) const fn longest(self) -> i64 {
        match self {
            Self::Token(_) => LIFETIME.num_seconds(),
            Self::Job(_) => JOB_LIFETIME.num_seconds(),
        }
    }
}

/// What a token shall say.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whom it speaks for.
    pub actor: Actor,
    /// Their account.
    pub subject: SubjectId,
    /// What was exchanged for it.
    pub exchanged: For,
    /// Who shall take it.
    pub audience: String,
    /// What it may be used for; absent: all that its holder may do.
    pub scopes: Option<Vec<Scope>>,
    /// How many seconds it shall live.
    pub seconds: i64,
}

/// What a token says. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Which Bottega signed it.
    pub iss: String,
    /// Whom it speaks for, as `user:ana`.
    pub sub: String,
    /// Who shall take it.
    pub aud: String,
    /// When it was made.
    pub iat: i64,
    /// From when on it is valid.
    pub nbf: i64,
    /// Until when.
    pub exp: i64,
    /// Tells it from others.
    pub jti: String,
    /// The account.
    pub sid: SubjectId,
    /// The API token that was exchanged for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<TokenId>,
    /// The trust by which a CI job's token was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustId>,
    /// What it may be used for; absent: all that its holder may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

impl Claims {
    pub(super) fn of(wanted: &Wanted, issuer: &str, now: Timestamp) -> Self {
        let at = now.timestamp();
        let scopes = wanted.scopes.as_ref();
        let (tid, trust) = match wanted.exchanged {
            For::Token(id) => (Some(id), None),
            For::Job(id) => (None, Some(id)),
        };
        Self {
            iss: issuer.to_owned(),
            sub: wanted.actor.to_string(),
            aud: wanted.audience.clone(),
            iat: at,
            nbf: at,
            exp: at + wanted.seconds.clamp(1, wanted.exchanged.longest()),
            jti: uuid::Uuid::now_v7().to_string(),
            sid: wanted.subject,
            tid,
            trust,
            scopes: scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect()),
        }
    }
}
