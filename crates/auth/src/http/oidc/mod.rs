//! `/auth/oidc` and `/oidc`

mod command;
mod groups;
mod identities;
mod login;
mod page;
mod token;
mod trusts;

use actix_web::{get, web::Data};
use domain::Resource;
use rest::{ApiError, Json, NoQuery, openapi};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Access, Caller, oidc::Oidc, verbs};

/// What needs no token: method and path.
pub const OPEN: [(&str, &str); 4] = [
    ("GET", "/api/v1/auth/oidc/login"),
    ("GET", "/api/v1/auth/oidc/callback"),
    ("POST", "/api/v1/auth/oidc/token"),
    ("POST", "/api/v1/auth/oidc/cli"),
];

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(login::login).service(login::callback).service(token::exchange);
    config.service(command::redeem);
    config.service(show).configure(groups::routes).configure(identities::routes);
    config.configure(trusts::routes);
}

/// The identity provider that people log in at.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcProvider, example = json!({
    "issuer": "https://id.example/realms/acme", "client_id": "bottega",
    "redirect_url": "https://bottega.example/api/v1/auth/oidc/callback",
    "logout_redirect_url": "https://bottega.example/", "scopes": "openid profile email",
    "name_claim": "preferred_username", "groups_claim": "groups", "create_users": true, "problem": null,
}))]
pub struct ProviderBody {
    issuer: String,
    client_id: String,
    /// To be entered at the provider.
    redirect_url: String,
    /// To be entered there too, as where browsers may be sent after logging out.
    logout_redirect_url: String,
    scopes: String,
    /// The claim that names new users.
    name_claim: String,
    /// The claim that lists somebody's groups.
    groups_claim: String,
    /// Whether whoever logs in for the first time becomes a user.
    create_users: bool,
    /// Why it cannot be asked just now, if it cannot.
    #[schema(required)]
    problem: Option<String>,
}

/// Show the identity provider that people log in at, and whether it answers. The operator sets it up,
/// by settings of the server.
#[utoipa::path(
    tag = "access",
    operation_id = "show_oidc",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "The provider", body = ProviderBody), openapi::Reads),
)]
#[get("/oidc")]
pub async fn show(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    _: NoQuery,
) -> Result<Json<ProviderBody>, ApiError> {
    access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let problem = oidc.look().await?;
    let provider = oidc.provider()?;
    Ok(Json(ProviderBody {
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        redirect_url: provider.redirect_url(),
        logout_redirect_url: provider.logout_redirect_url(),
        scopes: provider.scopes.clone(),
        name_claim: provider.name_claim.clone(),
        groups_claim: provider.groups_claim.clone(),
        create_users: provider.create_users,
        problem,
    }))
}
