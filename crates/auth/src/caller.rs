//! Who calls.

use std::{net::IpAddr, sync::Arc};

use domain::{Actor, RequestId, SubjectId, TokenId, access::Scope};

/// Whom credentials stand for.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub actor: Actor,
    /// Their account; absent for a part of Bottega.
    pub subject: Option<SubjectId>,
    /// The token that they hold; absent where they came by password or session.
    pub token: Option<TokenId>,
    /// What that token may be used for; absent: all that its holder may do.
    pub scopes: Option<Arc<[Scope]>>,
}

/// Who calls, in which request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// Their account; absent for a part of Bottega.
    pub subject: Option<SubjectId>,
    /// The token that they hold; absent where they came by password or session.
    pub token: Option<TokenId>,
    /// What that token may be used for; absent: all that its holder may do.
    pub scopes: Option<Arc<[Scope]>>,
    /// Where from.
    pub address: Option<IpAddr>,
    /// For whom a service account says that it acts. It is recorded; rights stay the caller's.
    pub on_behalf_of: Option<Actor>,
    /// In which request.
    pub request_id: RequestId,
}

impl Caller {
    /// Whoever credentials stand for, in this request.
    #[must_use]
    pub fn new(identity: Identity, address: Option<IpAddr>, request_id: RequestId) -> Self {
        let Identity { actor, subject, token, scopes } = identity;
        Self { actor, subject, token, scopes, address, on_behalf_of: None, request_id }
    }

    /// A part of Bottega that acts by itself, by the name of its job.
    #[must_use]
    pub fn system(job: &'static str) -> Self {
        Self {
            actor: Actor::system(job),
            subject: None,
            token: None,
            scopes: None,
            address: None,
            on_behalf_of: None,
            request_id: RequestId::new(),
        }
    }
}
