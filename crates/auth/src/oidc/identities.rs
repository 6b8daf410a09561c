//! Which user somebody is whom the provider knows: for those who have an account already.

use domain::{
    IdentityId, Problem,
    access::{Subject, SubjectKind},
};
use serde_json::json;
use store::{
    Change,
    oidc::identities::{self, Identity},
    subjects,
};

use super::Oidc;
use crate::{Permit, Result, accounts::absent, verbs};

/// The most that are listed.
const MOST: i64 = 10_000;
/// The longest subject and issuer, in characters.
const SUBJECT: usize = 255;
const ISSUER: usize = 500;

impl Oidc {
    /// All of them by user, or those of one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_identities(
        &self,
        _permit: &Permit<verbs::Administer>,
        user: Option<&str>,
    ) -> Result<Vec<Identity>> {
        Ok(identities::list(&self.database, user, MOST).await?)
    }

    /// Says that whom an issuer calls so is that user. The issuer is the provider, unless given.
    ///
    /// # Errors
    /// They are a user already; there is no such user; there is no provider, and no issuer given; the
    /// database is away.
    pub async fn link(
        &self,
        permit: &Permit<verbs::Administer>,
        user: &str,
        issuer: Option<String>,
        subject: &str,
    ) -> Result<Identity> {
        let issuer = match issuer {
            Some(issuer) => issuer,
            None => self.provider()?.issuer.clone(),
        };
        check("issuer", &issuer, ISSUER)?;
        check("subject", subject, SUBJECT)?;
        let named = Subject { kind: SubjectKind::User, name: user.to_owned() };
        let mut change = Change::begin(&self.database).await?;
        let account = subjects::lock(&mut change, &named).await?.ok_or_else(|| absent(&named))?;
        let by = permit.actor();
        let id = identities::insert(&mut change, &issuer, subject, account.id, by).await?;
        let made = Identity {
            id,
            issuer,
            subject: subject.to_owned(),
            user: named.name.clone(),
            created_by: by.to_string(),
            created_at: change.now(),
            last_login_at: None,
        };
        let detail = json!({
            "id": id, "subject": named.to_string(), "issuer": made.issuer, "identity": subject,
        });
        change.commit(&permit.event("identity.linked", detail)).await?;
        Ok(made)
    }

    /// Takes that back, and ends the sessions that the user came to by a provider.
    ///
    /// # Errors
    /// There is none of that id; the database is away.
    pub async fn unlink(&self, permit: &Permit<verbs::Administer>, id: IdentityId) -> Result<()> {
        let mut change = Change::begin(&self.database).await?;
        let gone = identities::delete(&mut change, id).await?;
        let (account, issuer, subject) = gone.ok_or_else(|| Problem::not_found("identity", id))?;
        let detail = json!({"id": id, "account": account, "issuer": issuer, "identity": subject});
        Ok(change.commit(&permit.event("identity.unlinked", detail)).await?)
    }
}

fn check(field: &str, text: &str, longest: usize) -> Result<(), Problem> {
    let length = text.chars().count();
    if (1..=longest).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("expected 1 to {longest} characters")))
}
