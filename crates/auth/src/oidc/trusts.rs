//! Whose tokens are exchanged for tokens of a service account, and what they must say. Without one
//! nothing is exchanged.

use std::collections::BTreeMap;

use domain::{
    Problem, TrustId,
    access::{Scope, Subject, SubjectKind},
};
use serde_json::{Value, json};
use store::{
    Change, access,
    oidc::trusts::{self, Trust},
    subjects,
};

use super::Oidc;
use crate::{Permit, Result, accounts::absent, verbs};

/// The most claims of one.
const CLAIMS: usize = 20;
/// The longest name and value of a claim, in characters.
const CLAIM: usize = 500;
/// The most scopes.
const SCOPES: usize = 100;
/// Claims that are looked at anyway, each in its own way.
const OWN: [&str; 6] = ["iss", "aud", "exp", "iat", "nbf", "jti"];

/// A trust that is to be made.
#[derive(Debug, Clone)]
pub struct NewTrust {
    /// What to call it.
    pub name: String,
    /// Who signs.
    pub issuer: String,
    /// For whom the token must be.
    pub audience: String,
    /// The service account.
    pub service: String,
    /// Claim to the value that it must have, which may end in `*`.
    pub claims: BTreeMap<String, String>,
    /// What the token may be used for; absent: all that the service account may do.
    pub scopes: Option<Vec<Scope>>,
}

impl Oidc {
    /// All of them, by name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_trusts(&self, _permit: &Permit<verbs::Administer>) -> Result<Vec<Trust>> {
        Ok(trusts::list(&self.database).await?)
    }

    /// Has tokens of an issuer exchanged for tokens of a service account.
    ///
    /// # Errors
    /// A part of it is wrong; there is one of that name, or no such service account; the issuer may
    /// not be reached; the database is away.
    pub async fn add_trust(
        &self,
        permit: &Permit<verbs::Administer>,
        new: NewTrust,
    ) -> Result<Trust> {
        check(&new)?;
        self.issuers.check(&new.issuer).await?;
        let named = Subject { kind: SubjectKind::Service, name: new.service };
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let service = subjects::lock(&mut change, &named).await?.ok_or_else(|| absent(&named))?;
        let trust = Trust {
            id: TrustId::new(),
            name: new.name,
            issuer: new.issuer,
            audience: new.audience,
            service: service.id,
            service_name: named.name,
            service_disabled: service.disabled_at.is_some(),
            claims: new.claims,
            scopes: new.scopes,
            created_by: permit.actor().to_string(),
            created_at: change.now(),
        };
        trusts::insert(&mut change, &trust, permit.actor()).await?;
        let event = permit.event("trust.added", json!({"trust": trust.name}));
        change.emit("trust.added", "*", &json!({"trust": trust.name})).await?;
        change.commit(&event.changed(None, Some(&described(&trust)))).await?;
        self.authenticator.refresh().await?;
        Ok(trust)
    }

    /// Ends a trust: tokens that were exchanged by it are worth nothing, here at once and elsewhere
    /// within a second.
    ///
    /// # Errors
    /// There is none of that name; the database is away.
    pub async fn remove_trust(&self, permit: &Permit<verbs::Administer>, name: &str) -> Result<()> {
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let gone = trusts::lock(&mut change, name).await?;
        let gone = gone.ok_or_else(|| Problem::not_found("trust", name))?;
        trusts::delete(&mut change, gone.id).await?;
        let event = permit.event("trust.removed", json!({"trust": name}));
        change.emit("trust.removed", "*", &json!({"trust": name})).await?;
        change.commit(&event.changed(Some(&described(&gone)), None)).await?;
        Ok(self.authenticator.refresh().await?)
    }
}

fn check(new: &NewTrust) -> Result<(), Problem> {
    let is_name = |name: &str| {
        (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !is_name(&new.name) {
        return Err(Problem::invalid("name", "expected 1 to 63 characters of a-z, 0-9 and -"));
    }
    let is_text = |text: &str| {
        (1..=CLAIM).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    for (field, text) in [("issuer", &new.issuer), ("audience", &new.audience)] {
        if !is_text(text) {
            return Err(Problem::invalid(field, format!("expected 1 to {CLAIM} characters")));
        }
    }
    if new.claims.is_empty() || new.claims.len() > CLAIMS {
        let message = format!("{} claims: expected 1 to {CLAIMS}", new.claims.len());
        return Err(Problem::invalid("claims", message).hint(
            "an issuer signs for many: say whose jobs are meant, as repository=acme/models",
        ));
    }
    for (claim, value) in &new.claims {
        let wrong = |why: &str| {
            let message = format!("`{claim}` = `{value}`: {why}");
            Err(Problem::invalid("claims", message))
        };
        if !is_text(claim) || !is_text(value) {
            return wrong(&format!("expected 1 to {CLAIM} characters each"));
        }
        if OWN.contains(&claim.as_str()) {
            return wrong("this claim is looked at anyway");
        }
        let beginning = value.strip_suffix('*').unwrap_or(value);
        if beginning.is_empty() || beginning.contains('*') {
            return wrong("`*` stands at the end alone, after something");
        }
    }
    if new.scopes.as_ref().is_some_and(|scopes| !(1..=SCOPES).contains(&scopes.len())) {
        return Err(Problem::invalid("scopes", format!("expected 1 to {SCOPES}"))
            .hint("leave `scopes` out for all that the service account may do"));
    }
    Ok(())
}

/// Whether a claim has the value that it must have: text, a number or a truth value as it is written.
pub(super) fn is_met(required: &str, claim: Option<&Value>) -> bool {
    let said = match claim {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => return false,
    };
    match required.strip_suffix('*') {
        Some(beginning) => said.starts_with(beginning),
        None => said == required,
    }
}

fn described(trust: &Trust) -> Value {
    let scopes = trust.scopes.as_ref();
    json!({
        "trust": trust.name, "issuer": trust.issuer, "audience": trust.audience,
        "service": format!("service:{}", trust.service_name), "claims": trust.claims,
        "scopes": scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect::<Vec<_>>()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_met_as_a_whole_or_up_to_the_star() {
        for (required, claim) in [
            ("acme/models", json!("acme/models")),
            ("refs/heads/*", json!("refs/heads/main")),
            ("refs/heads/*", json!("refs/heads/")),
            ("42", json!(42)),
            ("true", json!(true)),
        ] {
            assert!(is_met(required, Some(&claim)), "{required} {claim}");
        }
        for (required, claim) in [
            ("acme/models", json!("acme/models-evil")),
            ("acme/models", json!("ACME/models")),
            ("acme/models", json!(["acme/models"])),
            ("acme/models", json!({"acme/models": 1})),
            ("acme/models", Value::Null),
            ("refs/heads/*", json!("refs/tags/v1")),
            ("refs/heads/*", json!("x refs/heads/main")),
        ] {
            assert!(!is_met(required, Some(&claim)), "{required} {claim}");
        }
        assert!(!is_met("x*", None));
    }

    #[test]
    fn a_trust_says_whose_jobs_it_means() {
        let new = |claims: &[(&str, &str)]| NewTrust {
            name: "github".to_owned(),
            issuer: "https://token.actions.githubusercontent.com".to_owned(),
            audience: "bottega".to_owned(),
            service: "ci".to_owned(),
            claims: claims.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            scopes: None,
        };
        assert!(check(&new(&[("repository", "acme/models"), ("ref", "refs/heads/*")])).is_ok());
        for claims in [
            &[][..],
            &[("repository", "*")],
            &[("repository", "*/models")],
            &[("repository", "")],
            &[("", "x")],
            &[("aud", "bottega")],
        ] {
            assert_eq!(
                check(&new(claims)).unwrap_err().field.as_deref(),
                Some("claims"),
                "{claims:?}"
            );
        }
        let problem = check(&NewTrust { name: "Git Hub".to_owned(), ..new(&[("a", "b")]) });
        assert_eq!(problem.unwrap_err().field.as_deref(), Some("name"));
        let none = NewTrust { scopes: Some(Vec::new()), ..new(&[("a", "b")]) };
        assert_eq!(check(&none).unwrap_err().field.as_deref(), Some("scopes"));
    }
}
