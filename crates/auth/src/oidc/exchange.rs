//! A CI job's token, signed by its provider, for a short-lived one of a service account (RFC 8693).

use std::net::IpAddr;

use chrono::TimeDelta;
use domain::{Actor, ActorKind, Problem, Resource, Timestamp, access::Scope};
use serde_json::{Value, json};
use store::oidc::trusts::{self, Trust};

use super::{
    Oidc,
    trusts::is_met,
    verify::{Claims, audiences, no, said_issuer, seconds, text, verified},
};
use crate::{
    Caller, Identity, Result,
    jwt::{AUDIENCE, Claims as Signed, For, JOB_LIFETIME, Wanted},
};

/// How long what was exchanged is remembered beyond its end, where clocks differ.
const BEYOND: TimeDelta = TimeDelta::minutes(5);

/// What a job asks for.
#[derive(Default)]
pub struct Asked<'a> {
    /// The token that its provider signed.
    pub token: &'a str,
    /// By which trust; absent: the one that fits.
    pub trust: Option<&'a str>,
    /// What the new one shall be used for; absent: all that the trust gives.
    pub scopes: Option<Vec<Scope>>,
    /// For how many seconds; absent: an hour.
    pub seconds: Option<i64>,
}

impl Oidc {
    /// Exchanges it.
    ///
    /// # Errors
    /// No trust fits; the token is not valid here, or was exchanged before; the issuer cannot be asked;
    /// the database is away.
    pub async fn exchange(
        &self,
        asked: &Asked<'_>,
        address: Option<IpAddr>,
    ) -> Result<(String, Signed)> {
        let exchanged = self.exchange_known(asked, address).await;
        if let Err(crate::Error::Refused(problem)) = &exchanged {
            let issuer = said_issuer(asked.token).ok();
            let detail = json!({"issuer": issuer, "why": problem.message});
            self.record_failure("token.exchange-failed", detail, address).await?;
        }
        exchanged
    }

    async fn exchange_known(
        &self,
        asked: &Asked<'_>,
        address: Option<IpAddr>,
    ) -> Result<(String, Signed)> {
        let issuer = said_issuer(asked.token)?;
        let mut trusts = trusts::of(&self.database, &issuer).await?;
        trusts.retain(|trust| asked.trust.is_none_or(|name| trust.name == name));
        if trusts.is_empty() {
            return Err(no("its issuer is trusted with nothing here").into());
        }
        let now = self.database.now();
        let claims = verified(&self.issuers, &issuer, asked.token, now).await?;
        let trust = choose(trusts, &claims)?;
        let scopes = narrow(asked.scopes.as_deref(), trust.scopes.as_deref())?;
        // Last, so that what is refused for another reason may be mended and sent again.
        self.require_new(&issuer, &claims).await?;
        let actor = Actor { kind: ActorKind::Service, name: trust.service_name.as_str().into() };
        let wanted = Wanted {
            actor: actor.clone(),
            subject: trust.service,
            exchanged: For::Job(trust.id),
            audience: AUDIENCE.to_owned(),
            scopes,
            seconds: asked.seconds.unwrap_or_else(|| JOB_LIFETIME.num_seconds()),
        };
        let (token, signed) = self.jwts.sign(&wanted, now)?;
        self.record(&trust, actor, &claims, &signed, address);
        Ok((token, signed))
    }

    /// Refuses a token that was exchanged before, as far as it tells itself from others.
    async fn require_new(&self, issuer: &str, claims: &Claims) -> Result<()> {
        let Some(id) = text(claims, "jti") else { return Ok(()) };
        let key = format!("oidc:exchanged:{issuer}\0{id}");
        let hash = self.authenticator.key.hash_bytes(key.as_bytes());
        let ends = seconds(claims, "exp")?.and_then(|at| Timestamp::from_timestamp(at, 0));
        let ends =
            ends.unwrap_or(Timestamp::MAX_UTC).min(self.database.now() + TimeDelta::days(3650));
        if trusts::note_exchanged(&self.database, &hash, ends + BEYOND).await? {
            return Ok(());
        }
        Err(no("it was exchanged before").into())
    }

    fn record(
        &self,
        trust: &Trust,
        actor: Actor,
        claims: &Claims,
        signed: &Signed,
        address: Option<IpAddr>,
    ) {
        let identity =
            Identity { trust: Some(trust.id), ..Identity::of(actor, Some(trust.service)) };
        // What the trust asks about the job is what tells the job.
        let asked: serde_json::Map<String, Value> = trust
            .claims
            .keys()
            .filter_map(|name| Some((name.clone(), claims.get(name)?.clone())))
            .collect();
        let detail = json!({
            "trust": trust.name, "issuer": trust.issuer, "subject": text(claims, "sub"),
            "claims": asked, "scopes": signed.scopes, "id": signed.jti,
            "expires_in": signed.exp - signed.iat,
        });
        let caller = Caller::new(identity, address, rest::request_id());
        self.trail.record(caller.event(None, Resource::Platform, "token.exchanged", detail));
    }
}

/// The one trust that a token fits.
fn choose(trusts: Vec<Trust>, claims: &Claims) -> Result<Trust, Problem> {
    let only = trusts.len() == 1;
    let mut why = String::new();
    let mut fitting = trusts.into_iter().filter(|trust| match misfit(trust, claims) {
        Some(misfit) => {
            why = misfit;
            false
        }
        None => true,
    });
    let found = fitting.next();
    let another = fitting.next();
    drop(fitting);
    match (found, another) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            let message = "more than one trust fits the token: expected the name of one";
            Err(Problem::invalid("trust", message))
        }
        (None, _) if only => Err(no(&why)),
        (None, _) => Err(no("no trust fits its audience and claims")),
    }
}

/// Why a token does not fit a trust; what would fit is not told.
fn misfit(trust: &Trust, claims: &Claims) -> Option<String> {
    if !audiences(claims).contains(&trust.audience.as_str()) {
        return Some("it is for somebody else (`aud`)".to_owned());
    }
    let unmet = |(name, value): &(&String, &String)| !is_met(value, claims.get(*name));
    if let Some((name, _)) = trust.claims.iter().find(unmet) {
        return Some(format!("its `{name}` is not one that is trusted"));
    }
    trust.service_disabled.then(|| "the service account is disabled".to_owned())
}

/// What is asked for, which may not be wider than what the trust gives.
fn narrow(asked: Option<&[Scope]>, given: Option<&[Scope]>) -> Result<Option<Vec<Scope>>, Problem> {
    let Some(asked) = asked else { return Ok(given.map(<[Scope]>::to_vec)) };
    let is_within =
        |scope: &Scope| given.is_none_or(|given| given.iter().any(|wider| scope.is_within(wider)));
    match asked.iter().find(|scope| !is_within(scope)) {
        None => Ok(Some(asked.to_vec())),
        Some(wider) => {
            let message = format!("`{wider}` is wider than what the trust gives");
            Err(Problem::new(domain::ErrorCode::Forbidden, message).at("scope"))
        }
    }
}
