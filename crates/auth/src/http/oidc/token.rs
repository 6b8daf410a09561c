//! `/auth/oidc/token`

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    post,
    web::{Bytes, Data},
};
use domain::{Problem, access::Scope};
use rest::{ApiError, NoQuery, openapi};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Origin,
    jwt::JOB_LIFETIME,
    oidc::{Oidc, exchange::Asked},
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// The most scopes of a token.
const SCOPES: usize = 100;

/// A CI job's token that is to be exchanged.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenExchange, example = json!({
    "grant_type": GRANT, "subject_token_type": ID_TOKEN, "subject_token": "eyJ0eXAiOiJKV1Qi…",
    "scope": "register:model:fraud view",
}))]
pub struct Form {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`
    grant_type: String,
    /// What the job's provider signed.
    subject_token: String,
    /// `urn:ietf:params:oauth:token-type:id_token` or `…:jwt`
    subject_token_type: String,
    /// `urn:ietf:params:oauth:token-type:jwt`, if anything.
    requested_token_type: Option<String>,
    /// What the token shall be used for, with blanks between; all that the trust gives, unless given.
    scope: Option<String>,
    /// Which trust is meant, where more than one fits.
    trust: Option<String>,
    /// For how many seconds, at most 3600, which it is unless given.
    expires_in: Option<i64>,
}

/// A short-lived signed token of a service account.
#[derive(Serialize, ToSchema)]
#[schema(as = ExchangedForJob, example = json!({
    "access_token": "eyJ0eXAiOiJKV1Qi…", "issued_token_type": JWT, "token_type": "Bearer",
    "expires_in": 3600, "scope": "register:model:fraud view", "actor": "service:ci",
}))]
pub struct Exchanged {
    /// To be sent as `Authorization: Bearer TOKEN`.
    access_token: String,
    issued_token_type: &'static str,
    token_type: &'static str,
    /// For how many seconds it is valid.
    expires_in: i64,
    /// What it may be used for; absent: all that the service account may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Whom it speaks for.
    actor: String,
}

/// Exchange a CI job's token, signed by its provider, for a short-lived one of a service account (RFC
/// 8693), as far as a trust says so. A token that tells itself from others (`jti`) is exchanged once.
#[utoipa::path(
    tag = "access",
    operation_id = "exchange_job_token",
    extensions(("x-bottega-action" = json!("none because the provider's token is what proves who asks"))),
    request_body(content = Form, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token", body = Exchanged), openapi::LogsIn),
    security(()),
)]
#[post("/auth/oidc/token")]
pub async fn exchange(
    request: HttpRequest,
    origin: Origin,
    oidc: Data<Oidc>,
    _: NoQuery,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let form = read(&request, &body)?;
    check(&form)?;
    let asked = Asked {
        token: &form.subject_token,
        trust: form.trust.as_deref(),
        scopes: form.scope.as_deref().map(scopes).transpose()?,
        seconds: form.expires_in,
    };
    let (access_token, claims) = oidc.exchange(&asked, origin.address).await?;
    let answer = Exchanged {
        access_token,
        issued_token_type: JWT,
        token_type: "Bearer",
        expires_in: claims.exp - claims.iat,
        scope: claims.scopes.map(|scopes| scopes.join(" ")),
        actor: claims.sub,
    };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
}

fn read(request: &HttpRequest, body: &[u8]) -> Result<Form, Problem> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case(FORM) {
        return Err(Problem::invalid("content-type", format!("expected {FORM}")));
    }
    serde_html_form::from_bytes(body).map_err(|error| {
        // The library says which field, and nothing of the token.
        Problem::invalid("body", format!("the form cannot be read: {error}"))
            .hint("expected grant_type, subject_token and subject_token_type (RFC 8693)")
    })
}

fn check(form: &Form) -> Result<(), Problem> {
    let expected =
        |field: &str, what: &str| Err(Problem::invalid(field, format!("expected {what}")));
    if form.grant_type != GRANT {
        return expected("grant_type", GRANT);
    }
    if ![JWT, ID_TOKEN].contains(&form.subject_token_type.as_str()) {
        return expected("subject_token_type", &format!("{ID_TOKEN} or {JWT}"));
    }
    if form.requested_token_type.as_deref().is_some_and(|kind| kind != JWT) {
        return expected("requested_token_type", JWT);
    }
    let most = JOB_LIFETIME.num_seconds();
    if form.expires_in.is_some_and(|seconds| !(1..=most).contains(&seconds)) {
        return expected("expires_in", &format!("1 to {most} seconds"));
    }
    Ok(())
}

fn scopes(text: &str) -> Result<Vec<Scope>, Problem> {
    let scopes: Vec<_> = text.split(' ').filter(|part| !part.is_empty()).collect();
    if !(1..=SCOPES).contains(&scopes.len()) {
        let message = format!("{} scopes: expected 1 to {SCOPES}", scopes.len());
        return Err(Problem::invalid("scope", message));
    }
    let read = |scope: &&str| scope.parse().map_err(|problem: Problem| problem.at("scope"));
    scopes.iter().map(read).collect()
}
