//! API tokens: made, shown once, ended.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, AuditEvent, Problem, SubjectId, Timestamp, TokenId,
    access::{Scope, Subject, SubjectKind},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use store::{
    Change, access,
    tokens::{self, NewToken, Token},
};

use crate::{Authenticator, Caller, Own, Permit, Result, verbs};

/// The longest name.
const NAME: usize = 100;
/// The most scopes of one.
const SCOPES: usize = 100;
/// The most that one account may have at a time.
const MOST: i64 = 1000;
/// The longest that one lasts which does not last for good.
const LONGEST: Duration = Duration::from_hours(24 * 366 * 10);

/// Whose tokens somebody deals with.
pub enum Holder<'a> {
    /// Their own.
    Own(Own<'a>),
    /// Anybody's.
    Any(Permit<verbs::Administer>),
}

impl Holder<'_> {
    fn caller(&self) -> &Caller {
        match self {
            Self::Own(own) => own.caller(),
            Self::Any(permit) => permit.caller(),
        }
    }

    fn event(&self, change: &'static str, detail: Value) -> AuditEvent {
        match self {
            Self::Own(own) => own.event(change, detail),
            Self::Any(permit) => permit.event(change, detail),
        }
    }
}

/// What a token is asked to be.
pub struct Wanted {
    /// What to call it.
    pub name: String,
    /// What it may be used for; absent: all that its holder may do.
    pub scopes: Option<Vec<Scope>>,
    /// How long it lasts; absent: until it is revoked.
    pub expires_in: Option<Duration>,
    /// Whether what requests are signed by is shown with it, which the audit trail tells.
    pub sigv4: bool,
}

impl Authenticator {
    /// Makes a token of one's own, or of `subject` for whoever may administer. Answers its secret,
    /// which nobody can see again.
    ///
    /// # Errors
    /// There is no such account, or it is disabled; the caller's own token is narrower or ends
    /// earlier; the database is away.
    pub async fn create_token(
        &self,
        holder: &Holder<'_>,
        subject: Option<&Subject>,
        wanted: Wanted,
    ) -> Result<(Token, SecretString)> {
        let now = self.database.now();
        let expires_at = check(&wanted, now)?;
        self.check_not_wider(holder.caller(), &wanted, expires_at).await?;
        let (id, actor) = self.holder(holder, subject).await?;
        let secret = Self::generate_token();
        let prefix: String = secret.expose_secret().chars().take(11).collect();
        let new = NewToken {
            id: TokenId::new(),
            hash: self.key.hash(&secret),
            prefix: &prefix,
            holder: &actor,
            subject: id,
            name: wanted.name.trim(),
            scopes: wanted.scopes.as_deref(),
            expires_at,
        };
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        if tokens::count(&mut change, id).await? >= MOST {
            return Err(Problem::conflict(format!("`{actor}` has {MOST} tokens"))
                .hint("revoke those that are not needed any more: bottega tokens list")
                .into());
        }
        tokens::insert(&mut change, &new, &holder.caller().actor).await?;
        let scopes: Option<Vec<_>> =
            new.scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect());
        let detail = json!({
            "token": new.id, "holder": actor.to_string(), "name": new.name, "prefix": prefix,
            "scopes": scopes, "expires_at": expires_at, "sigv4": wanted.sigv4,
        });
        change.emit("token.created", &actor.to_string(), &json!({"token": new.id})).await?;
        change.commit(&holder.event("token.created", detail)).await?;
        self.refresh().await?;
        let made = tokens::get(&self.database, new.id).await?;
        Ok((made.ok_or_else(|| Problem::not_found("token", new.id))?, secret))
    }

    /// Whom a token shall be for.
    async fn holder(
        &self,
        holder: &Holder<'_>,
        subject: Option<&Subject>,
    ) -> Result<(SubjectId, Actor)> {
        let subject = match (holder, subject) {
            (Holder::Own(own), _) => return Ok((own.subject(), own.caller().actor.clone())),
            (Holder::Any(_), Some(subject)) => subject,
            (Holder::Any(permit), None) => {
                let own = permit.caller().holder()?;
                return Ok((own.subject(), permit.actor().clone()));
            }
        };
        let kind = match subject.kind {
            SubjectKind::User => ActorKind::User,
            SubjectKind::Service => ActorKind::Service,
            SubjectKind::Team | SubjectKind::Group => {
                let message = format!("`{subject}`: tokens are of users and service accounts");
                return Err(Problem::invalid("holder", message).into());
            }
        };
        let account = self.account(subject).await?;
        if account.disabled_at.is_some() {
            let message = format!("`{subject}` is disabled: its tokens are worth nothing");
            return Err(Problem::conflict(message).hint("enable it first").into());
        }
        Ok((account.id, Actor { kind, name: account.subject.name.into() }))
    }

    /// A token makes none that may do more or lasts longer than itself.
    async fn check_not_wider(
        &self,
        caller: &Caller,
        wanted: &Wanted,
        expires_at: Option<Timestamp>,
    ) -> Result<()> {
        caller.lasting()?;
        if let Some(own) = &caller.scopes {
            let is_within = |scope: &Scope| own.iter().any(|own| scope.is_within(own));
            if !wanted.scopes.as_ref().is_some_and(|scopes| scopes.iter().all(is_within)) {
                let own: Vec<_> = own.iter().map(ToString::to_string).collect();
                let message = "a token makes none that may be used for more than itself";
                return Err(Problem::new(domain::ErrorCode::Forbidden, message)
                    .at("scopes")
                    .hint(format!("this one may be used for {}", own.join(", ")))
                    .into());
            }
        }
        let Some(id) = caller.token else { return Ok(()) };
        let end = tokens::get(&self.database, id).await?.and_then(|token| token.expires_at);
        if end.is_some_and(|end| expires_at.is_none_or(|wanted| wanted > end)) {
            let message = "a token makes none that lasts longer than itself";
            return Err(Problem::new(domain::ErrorCode::Forbidden, message)
                .at("expires_in")
                .hint("ask for a shorter time, or log in by password")
                .into());
        }
        Ok(())
    }

    /// Ends a token at once: here before this returns, elsewhere within a second.
    ///
    /// # Errors
    /// There is none such that the caller may see; the database is away.
    pub async fn revoke_token(&self, holder: &Holder<'_>, id: TokenId) -> Result<()> {
        let found = tokens::get(&self.database, id).await?.filter(|token| match holder {
            Holder::Own(own) => token.subject == Some(own.subject()),
            Holder::Any(_) => true,
        });
        let Some(token) = found else { return Err(Problem::not_found("token", id).into()) };
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        if !tokens::revoke(&mut change, id).await? {
            return Ok(());
        }
        let detail = json!({"token": id, "holder": token.holder, "name": token.name, "prefix": token.prefix});
        change.emit("token.revoked", &token.holder, &json!({"token": id})).await?;
        change.commit(&holder.event("token.revoked", detail)).await?;
        Ok(self.refresh().await?)
    }
}

/// When a token that is asked for ends.
fn check(wanted: &Wanted, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        let message = format!("expected 1 to {NAME} characters that say what the token is for");
        return Err(Problem::invalid("name", message));
    }
    if let Some(scopes) = &wanted.scopes
        && !(1..=SCOPES).contains(&scopes.len())
    {
        let message = format!("there are {} scopes: expected 1 to {SCOPES}", scopes.len());
        return Err(Problem::invalid("scopes", message)
            .hint("leave `scopes` out for a token that may do all that its holder may"));
    }
    let Some(lasts) = wanted.expires_in else { return Ok(None) };
    if lasts < Duration::from_secs(1) || lasts > LONGEST {
        return Err(Problem::invalid("expires_in", "expected 1s to 3660d")
            .hint("leave it out for a token that lasts until it is revoked"));
    }
    TimeDelta::from_std(lasts).map(|lasts| Some(now + lasts)).map_err(|_| Problem::internal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_is_for_and_ends_in_reach() {
        let now = Timestamp::UNIX_EPOCH;
        let check = |name: &str, scopes: Option<usize>, expires_in: Option<Duration>| {
            let scopes = scopes.map(|count| vec!["view".parse().unwrap(); count]);
            let sigv4 = false;
            super::check(&Wanted { name: name.to_owned(), scopes, expires_in, sigv4 }, now)
        };
        assert_eq!(check("ci", None, None), Ok(None));
        let day = Duration::from_hours(24);
        assert_eq!(check("ci", Some(1), Some(day)), Ok(Some(now + TimeDelta::days(1))));
        let field = |refused: Result<_, Problem>| refused.unwrap_err().field.unwrap();
        assert_eq!(field(check(" ", None, None)), "name");
        assert_eq!(field(check(&"x".repeat(101), None, None)), "name");
        assert_eq!(field(check("ci", Some(0), None)), "scopes");
        assert_eq!(field(check("ci", None, Some(Duration::ZERO))), "expires_in");
        assert_eq!(
            field(check("ci", None, Some(Duration::from_hours(24 * 365 * 100)))),
            "expires_in"
        );
    }
}
