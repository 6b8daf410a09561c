//! Browsers that are logged in.

use std::net::IpAddr;

use chrono::TimeDelta;
use domain::{Actor, ErrorCode, Problem, SessionId, SubjectId};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use store::{
    Change,
    sessions::{self, NewSession, Session},
};

use crate::{
    Authenticator, Identity, Own, Result, SecretKey, caller::Caller, credentials::unauthenticated,
};

/// How long a session lasts without a request.
pub(crate) const IDLE: TimeDelta = TimeDelta::hours(12);
/// How long a session lasts at most.
const LONGEST: TimeDelta = TimeDelta::days(7);
/// What a cookie's value begins with.
const PREFIX: &str = "bs_";

/// A session that has just begun.
pub struct Started {
    /// What the browser holds.
    pub cookie: SecretString,
    /// What must come back with each request that changes something.
    pub csrf_token: String,
    /// The session.
    pub id: SessionId,
    /// Whose.
    pub actor: Actor,
    /// When it ends whatever happens.
    pub expires_at: domain::Timestamp,
    /// Whether they must change their password before anything else.
    pub must_change_password: bool,
}

/// Somebody who proved who they are.
pub(crate) struct Entering<'a> {
    pub(crate) id: SubjectId,
    pub(crate) user: String,
    pub(crate) must_change_password: bool,
    /// Who says so, if it is an identity provider.
    pub(crate) issuer: Option<&'a str>,
}

impl Authenticator {
    /// Begins a session for a user who proves by password who they are.
    ///
    /// # Errors
    /// They do not, or failed too often before; the database is away.
    pub async fn start_session(
        &self,
        user: &str,
        password: &SecretString,
        address: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> Result<Started> {
        let proven = self.prove(user, password, address).await?;
        let change = Change::begin(&self.database).await?;
        let who = Entering {
            id: proven.id,
            user: proven.user,
            must_change_password: proven.must_change,
            issuer: None,
        };
        self.begin_session(change, who, address, user_agent).await
    }

    /// Begins a session for somebody who proved who they are, and commits the change.
    pub(crate) async fn begin_session(
        &self,
        mut change: Change,
        who: Entering<'_>,
        address: Option<IpAddr>,
        user_agent: Option<&str>,
    ) -> Result<Started> {
        let cookie =
            SecretString::from(format!("{PREFIX}{}", SecretKey::generate().expose_secret()));
        let (id, expires_at) = (SessionId::new(), change.now() + LONGEST);
        let actor = Actor::user(who.user);
        let user_agent: Option<String> = user_agent.map(|agent| agent.chars().take(300).collect());
        sessions::insert(
            &mut change,
            &NewSession {
                id,
                hash: self.session_hash(cookie.expose_secret()),
                subject: who.id,
                by_provider: who.issuer.is_some(),
                expires_at,
                address: address.map(|address| address.to_string()).as_deref(),
                user_agent: user_agent.as_deref(),
            },
        )
        .await?;
        let identity = Identity {
            session: Some(id),
            must_change_password: who.must_change_password,
            ..Identity::of(actor.clone(), Some(who.id))
        };
        let caller = Caller::new(identity, address, rest::request_id());
        let mut detail = json!({"session": id, "address": address, "user_agent": user_agent});
        if let Some(issuer) = who.issuer {
            detail["issuer"] = issuer.into();
        }
        change.commit(&caller.own()?.event("session.started", detail)).await?;
        let csrf_token = self.csrf_token(cookie.expose_secret());
        let must_change_password = who.must_change_password;
        Ok(Started { cookie, csrf_token, id, actor, expires_at, must_change_password })
    }

    /// Who a request with this cookie comes from.
    ///
    /// # Errors
    /// No session goes by it any more; the database is away.
    pub async fn by_session(&self, cookie: &str) -> Result<Identity, Problem> {
        let over = || unauthenticated("the session is over: log in again");
        if !cookie.starts_with(PREFIX) {
            return Err(over());
        }
        let (hash, now) = (self.session_hash(cookie), self.now());
        let session = sessions::find(&self.database, &hash, now, IDLE).await;
        let session = session.map_err(crate::Error::from)?.ok_or_else(over)?;
        if now - session.last_seen_at >= TimeDelta::minutes(1) {
            sessions::touch(&self.database, session.id, now).await.map_err(crate::Error::from)?;
        }
        Ok(Identity {
            session: Some(session.id),
            must_change_password: session.must_change_password,
            ..Identity::of(Actor::user(session.user), Some(session.subject))
        })
    }

    /// What must come back with each request that changes something in the session of this cookie.
    #[must_use]
    pub fn csrf_token(&self, cookie: &str) -> String {
        hex::encode(self.key.hash_bytes(format!("csrf:{cookie}").as_bytes()))
    }

    /// Whether a request in the session of this cookie was made by a page of ours.
    ///
    /// # Errors
    /// It was not, or does not say.
    pub(crate) fn check_csrf(&self, cookie: &str, given: Option<&str>) -> Result<(), Problem> {
        // Compared by hash: how far two of them agree is seen by nobody.
        let hash = |token: &str| self.key.hash_bytes(token.as_bytes());
        if given.is_some_and(|given| hash(given) == hash(&self.csrf_token(cookie))) {
            return Ok(());
        }
        let message =
            "a request that changes something in a session needs the session's x-csrf-token";
        Err(Problem::new(ErrorCode::Forbidden, message)
            .at("x-csrf-token")
            .hint("GET /api/v1/sessions/current says it"))
    }

    fn session_hash(&self, cookie: &str) -> [u8; 32] {
        self.key.hash_bytes(format!("session:{cookie}").as_bytes())
    }

    /// Ends a session of one's own; whether it began at an identity provider.
    ///
    /// # Errors
    /// There is none such; the database is away.
    pub async fn end_session(&self, own: &Own<'_>, id: SessionId) -> Result<bool> {
        let mut change = Change::begin(&self.database).await?;
        let by_provider = sessions::delete(&mut change, id, own.subject()).await?;
        let by_provider = by_provider.ok_or_else(|| Problem::not_found("session", id))?;
        change.commit(&own.event("session.ended", json!({"session": id}))).await?;
        Ok(by_provider)
    }

    /// Lists one's own sessions, newest first.
    ///
    /// # Errors
    /// The database is away; a cursor of another list.
    pub async fn list_sessions(
        &self,
        own: &Own<'_>,
        cursor: Option<&domain::Cursor>,
        limit: domain::Limit,
    ) -> Result<domain::Page<Session>> {
        Ok(sessions::list(&self.database, own.subject(), IDLE, cursor, limit).await?)
    }
}
