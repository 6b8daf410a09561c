//! The identity provider that people log in at, as the settings say.

use std::sync::Arc;

use auth::{
    egress::Networks,
    oidc::{Oidc, Provider},
};
use domain::Problem;
use secrecy::SecretString;

use super::{
    platform::{Platform, refused},
    secret,
    urls::check_url,
};
use crate::{output::Failure, settings::Settings};

/// What logs people in, and takes tokens of CI jobs.
pub fn of(platform: &Platform, settings: &Settings) -> Result<Oidc, Failure> {
    let allowed = settings.oidc_allow.as_deref().unwrap_or_default();
    let allowed = Networks::parse("oidc_allow", allowed)?;
    let (authenticator, access) = (Arc::clone(&platform.authenticator), platform.access.clone());
    Oidc::new(provider(settings)?, allowed, authenticator, access, platform.jwts.clone())
        .map_err(|error| refused("oidc", &error))
}

/// The provider; absent where there is none. Whether it answers is seen when somebody logs in: the
/// server starts without it.
pub fn provider(settings: &Settings) -> Result<Option<Provider>, Problem> {
    let Some(issuer) = settings.oidc_issuer.clone() else {
        if settings.oidc_client_id.is_some() || client_secret(settings)?.is_some() {
            return Err(Problem::invalid("oidc_issuer", "a client is set up without a provider")
                .hint("set --oidc-issuer, or leave --oidc-client-id and its secret away"));
        }
        return Ok(None);
    };
    check_url("oidc_issuer", "https://id.example", &issuer)?;
    let client_id = settings.oidc_client_id.clone().ok_or_else(|| {
        Problem::invalid(
            "oidc_client_id",
            "it is not said what this server is called at the provider",
        )
        .hint("set --oidc-client-id")
    })?;
    let public_url = settings.public_url.clone().ok_or_else(|| {
        Problem::invalid("public_url", "the provider must know how browsers reach this server")
            .hint("set --public-url https://bottega.example")
    })?;
    check_url("public_url", "https://id.example", &public_url)?;
    if !settings.oidc_scopes.split(' ').any(|scope| scope == "openid") {
        return Err(Problem::invalid("oidc_scopes", "expected `openid` among the scopes"));
    }
    Ok(Some(Provider {
        issuer,
        client_id,
        client_secret: client_secret(settings)?,
        public_url,
        scopes: settings.oidc_scopes.clone(),
        name_claim: settings.oidc_name_claim.clone(),
        groups_claim: settings.oidc_groups_claim.clone(),
        create_users: settings.oidc_create_users,
    }))
}

fn client_secret(settings: &Settings) -> Result<Option<SecretString>, Problem> {
    let (given, file) = (&settings.oidc_client_secret, &settings.oidc_client_secret_file);
    secret::read("oidc_client_secret", given.as_ref(), file.as_ref())
}
