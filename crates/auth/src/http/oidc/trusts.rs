//! `/oidc/trusts`

use std::collections::BTreeMap;

use actix_web::{HttpResponse, delete, get, post, web::Data};
use chrono::{DateTime, Utc};
use domain::{Problem, Resource, access::Scope};
use rest::{ApiError, Json, NoQuery, Path, openapi};
use serde::{Deserialize, Serialize};
use store::oidc::trusts::Trust;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    Access, Caller,
    oidc::{Oidc, trusts::NewTrust},
    verbs,
};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(add).service(remove);
}

/// Whose tokens are exchanged for tokens of a service account, and what they must say.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcTrust, example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "name": "github-models",
    "issuer": "https://token.actions.githubusercontent.com", "audience": "bottega", "service": "ci",
    "claims": {"repository": "acme/models", "ref": "refs/heads/main"}, "scopes": ["register", "view"],
    "created_by": "user:admin", "created_at": "2026-01-02T03:04:05Z",
}))]
pub struct TrustBody {
    id: String,
    name: String,
    /// Who signs.
    issuer: String,
    /// For whom the token must be (`aud`).
    audience: String,
    /// The service account.
    service: String,
    /// Claim to the value that it must have, which may end in `*`.
    claims: BTreeMap<String, String>,
    /// What tokens may be used for; null: all that the service account may do.
    #[schema(required)]
    scopes: Option<Vec<String>>,
    created_by: String,
    created_at: DateTime<Utc>,
}

impl From<Trust> for TrustBody {
    fn from(trust: Trust) -> Self {
        let scopes = trust.scopes;
        Self {
            id: trust.id.to_string(),
            name: trust.name,
            issuer: trust.issuer,
            audience: trust.audience,
            service: trust.service_name,
            claims: trust.claims,
            scopes: scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect()),
            created_by: trust.created_by,
            created_at: trust.created_at,
        }
    }
}

/// All of them.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcTrusts)]
pub struct TrustList {
    items: Vec<TrustBody>,
}

/// List whose tokens are exchanged for tokens of service accounts.
#[utoipa::path(
    tag = "access",
    operation_id = "list_oidc_trusts",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "By name", body = TrustList), openapi::Reads),
)]
#[get("/oidc/trusts")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    _: NoQuery,
) -> Result<Json<TrustList>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let all = oidc.list_trusts(&permit).await?;
    Ok(Json(TrustList { items: all.into_iter().map(TrustBody::from).collect() }))
}

/// A trust to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOidcTrust, example = json!({
    "name": "github-models", "issuer": "https://token.actions.githubusercontent.com", "audience": "bottega",
    "service": "ci", "claims": {"repository": "acme/models", "ref": "refs/heads/main"},
    "scopes": ["register", "view"],
}))]
pub struct NewTrustBody {
    /// a-z, 0-9 and -.
    name: String,
    /// Who signs, as the `iss` of the tokens.
    issuer: String,
    /// For whom the token must be (`aud`).
    audience: String,
    /// The service account.
    service: String,
    /// Claim to the value that it must have, which may end in `*`; at least one, since an issuer signs
    /// for many.
    claims: BTreeMap<String, String>,
    /// What tokens may be used for; all that the service account may do, unless given.
    scopes: Option<Vec<String>>,
}

/// Have tokens of an issuer exchanged for tokens of a service account: jobs need no secret then.
#[utoipa::path(
    tag = "access",
    operation_id = "add_oidc_trust",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 201, description = "The trust", body = TrustBody), openapi::Writes),
)]
#[post("/oidc/trusts")]
pub async fn add(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    Json(new): Json<NewTrustBody>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let NewTrustBody { name, issuer, audience, service, claims, scopes } = new;
    let read = |scope: String| scope.parse().map_err(|problem: Problem| problem.at("scopes"));
    let scopes: Option<Result<Vec<Scope>, Problem>> =
        scopes.map(|scopes| scopes.into_iter().map(read).collect());
    let new = NewTrust { name, issuer, audience, service, claims, scopes: scopes.transpose()? };
    let made = oidc.add_trust(&permit, new).await?;
    Ok(HttpResponse::Created().json(TrustBody::from(made)))
}

/// A trust.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct TrustPath {
    /// Its name.
    #[param(example = "github-models")]
    trust: String,
}

/// End a trust: tokens that were exchanged by it are worth nothing within a second.
#[utoipa::path(
    tag = "access",
    operation_id = "remove_oidc_trust",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(TrustPath),
    responses((status = 204, description = "It is over"), openapi::Writes),
)]
#[delete("/oidc/trusts/{trust}")]
pub async fn remove(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    Path(TrustPath { trust }): Path<TrustPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    oidc.remove_trust(&permit, &trust).await?;
    Ok(HttpResponse::NoContent().finish())
}
