//! Who calls.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use domain::{
    Actor, ActorKind, AuditEvent, ErrorCode, Problem, RequestId, Resource, SessionId, SubjectId,
    TokenId, TrustId,
    access::{Scope, Subject, SubjectKind, SubjectName},
};
use serde_json::Value;

use crate::{Access, verbs};

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
    /// The session that they are in; absent where they came by password or token.
    pub session: Option<SessionId>,
    /// The trust by which a CI job's token was exchanged for theirs.
    pub trust: Option<TrustId>,
    /// Whether they came by a password that they must change before anything else.
    pub must_change_password: bool,
}

impl Identity {
    /// Somebody of whom no credentials say more.
    #[must_use]
    pub const fn of(actor: Actor, subject: Option<SubjectId>) -> Self {
        Self {
            actor,
            subject,
            token: None,
            scopes: None,
            session: None,
            trust: None,
            must_change_password: false,
        }
    }

    /// Refuses whoever must change their password first.
    ///
    /// # Errors
    /// They must.
    pub fn settled(self) -> Result<Self, Problem> {
        if self.must_change_password {
            return Err(Problem::new(
                ErrorCode::Forbidden,
                "the password must be changed before anything else",
            )
            .hint("`bottega login --user NAME` asks for a new one; over HTTP: PUT /api/v1/me/password"));
        }
        Ok(self)
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The caller's address; absent where nobody from outside calls.
    pub address: Option<IpAddr>,
    /// Whether the caller came by https.
    pub https: bool,
}

/// A connection says no more.
impl From<Option<IpAddr>> for Origin {
    fn from(address: Option<IpAddr>) -> Self {
        Self { address, https: false }
    }
}

/// Who calls, in which request. Cheap to clone: every decision, permit and event carries it.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Call>);

/// What a [`Caller`] says.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who.
    pub actor: Actor,
    /// Their account; absent for a part of Bottega.
    pub subject: Option<SubjectId>,
    /// The token that they hold; absent where they came by password or session.
    pub token: Option<TokenId>,
    /// What that token may be used for; absent: all that its holder may do.
    pub scopes: Option<Arc<[Scope]>>,
    /// The session that they are in; absent where they came by password or token.
    pub session: Option<SessionId>,
    /// The trust by which a CI job's token was exchanged for theirs.
    pub trust: Option<TrustId>,
    /// Where from.
    pub origin: Origin,
    /// For whom a service account says that it acts. It is recorded; rights stay the caller's.
    pub on_behalf_of: Option<Actor>,
    /// In which request.
    pub request_id: RequestId,
}

impl Deref for Caller {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.0
    }
}

impl Caller {
    /// Whoever credentials stand for, in this request.
    #[must_use]
    pub fn new(identity: Identity, origin: impl Into<Origin>, request_id: RequestId) -> Self {
        let Identity { actor, subject, token, scopes, session, trust, must_change_password: _ } =
            identity;
        let on_behalf_of = None;
        let call = Call {
            actor,
            subject,
            token,
            scopes,
            session,
            trust,
            origin: origin.into(),
            on_behalf_of,
            request_id,
        };
        Self(Arc::new(call))
    }

    /// A part of Bottega that acts by itself, by the name of its job.
    #[must_use]
    pub fn system(job: &'static str) -> Self {
        Self::system_for(job, None, RequestId::new())
    }

    /// A part of Bottega that acts in a request from there.
    #[must_use]
    pub fn system_for(job: &'static str, address: Option<IpAddr>, request_id: RequestId) -> Self {
        Self::new(Identity::of(Actor::system(job), None), address, request_id)
    }

    /// What they may do to their own account, which needs no grant.
    ///
    /// # Errors
    /// They have no account, or hold a token that may be used for certain things only.
    pub fn own(&self) -> Result<Own<'_>, Problem> {
        if self.scopes.is_some() {
            let message = "a token with scopes does not reach its holder's own account";
            return Err(Problem::new(ErrorCode::Forbidden, message)
                .hint("log in, or use a token without scopes"));
        }
        self.holder()
    }

    /// The same caller, who acts for somebody else by their own rights: `user:ana`. For service
    /// accounts that may administer.
    ///
    /// # Errors
    /// They may not, or it is nobody.
    pub async fn speaking_for(self, access: &Access, for_whom: &str) -> Result<Self, Problem> {
        const FIELD: &str = "x-bottega-on-behalf-of";
        let subject: Option<Subject> = for_whom.parse().ok();
        let named = subject.and_then(|Subject { kind, name }| {
            let kind = match kind {
                SubjectKind::User => ActorKind::User,
                SubjectKind::Service => ActorKind::Service,
                SubjectKind::Team | SubjectKind::Group => return None,
            };
            let name: SubjectName = name.parse().ok()?;
            Some(Actor { kind, name: name.as_str().into() })
        });
        let wrong = || Problem::invalid(FIELD, "expected user:NAME or service:NAME");
        let named = named.ok_or_else(wrong)?;
        if self.actor.kind != ActorKind::Service {
            let message = "only service accounts act for others";
            return Err(Problem::new(ErrorCode::Forbidden, message).at(FIELD));
        }
        access.authorize::<verbs::Administer>(&self, Resource::Platform).await?;
        let mut call = Arc::unwrap_or_clone(self.0);
        call.on_behalf_of = Some(named);
        Ok(Self(Arc::new(call)))
    }

    /// Refuses a CI job, which is gone in a while: it leaves nothing behind that lasts.
    pub(crate) fn lasting(&self) -> Result<(), Problem> {
        if self.trust.is_some() {
            let message =
                "a CI job's token does not reach its service account's own, and makes none";
            return Err(Problem::new(ErrorCode::Forbidden, message)
                .hint("log in, or use an API token of the service account"));
        }
        Ok(())
    }

    /// The same for what a token with scopes may do as well.
    pub(crate) fn holder(&self) -> Result<Own<'_>, Problem> {
        let no_account = || Problem::new(ErrorCode::Forbidden, "only accounts can do this");
        self.lasting()?;
        Ok(Own { caller: self, subject: self.subject.ok_or_else(no_account)? })
    }
}

/// Says that a caller deals with their own account. Only [`Caller::own`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    caller: &'a Caller,
    subject: SubjectId,
}

impl Own<'_> {
    /// Whose it is.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        self.caller
    }

    /// The account.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// The audit event of what was done to it.
    pub(crate) fn event(&self, change: &'static str, detail: Value) -> AuditEvent {
        self.caller.event(None, Resource::Platform, change, detail)
    }
}
