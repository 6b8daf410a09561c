//! `/oidc/identities`

use actix_web::{HttpResponse, delete, get, post, web::Data};
use chrono::{DateTime, Utc};
use domain::{IdentityId, Resource};
use rest::{ApiError, Json, Path, Query, openapi};
use serde::{Deserialize, Serialize};
use store::oidc::identities::Identity;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Access, Caller, oidc::Oidc, verbs};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(link).service(unlink);
}

/// Somebody at an identity provider, and the user that they are here.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcIdentity, example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "user": "ana", "issuer": "https://id.example/realms/acme",
    "subject": "248289761001", "created_by": "system:oidc", "created_at": "2026-01-02T03:04:05Z",
    "last_login_at": "2026-01-03T08:00:00Z",
}))]
pub struct IdentityBody {
    id: String,
    user: String,
    issuer: String,
    /// What the provider calls them, for good.
    subject: String,
    created_by: String,
    created_at: DateTime<Utc>,
    #[schema(required)]
    last_login_at: Option<DateTime<Utc>>,
}

impl From<Identity> for IdentityBody {
    fn from(identity: Identity) -> Self {
        Self {
            id: identity.id.to_string(),
            user: identity.user,
            issuer: identity.issuer,
            subject: identity.subject,
            created_by: identity.created_by,
            created_at: identity.created_at,
            last_login_at: identity.last_login_at,
        }
    }
}

/// Up to 10,000 of them.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcIdentities)]
pub struct IdentityList {
    items: Vec<IdentityBody>,
}

/// Whose.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this user.
    #[param(example = "ana")]
    user: Option<String>,
}

/// List which user is whom at which identity provider.
#[utoipa::path(
    tag = "access",
    operation_id = "list_oidc_identities",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(Filter),
    responses((status = 200, description = "By user", body = IdentityList), openapi::Reads),
)]
#[get("/oidc/identities")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    Query(Filter { user }): Query<Filter>,
) -> Result<Json<IdentityList>, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let all = oidc.list_identities(&permit, user.as_deref()).await?;
    Ok(Json(IdentityList { items: all.into_iter().map(IdentityBody::from).collect() }))
}

/// Who a user is at an identity provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOidcIdentity, example = json!({"user": "ana", "subject": "248289761001"}))]
pub struct NewIdentity {
    user: String,
    /// What the provider calls them (`sub`).
    subject: String,
    /// The provider; the one that people log in at, unless given.
    issuer: Option<String>,
}

/// Say who a user is at an identity provider, so that they log in there.
#[utoipa::path(
    tag = "access",
    operation_id = "link_oidc_identity",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 201, description = "The link", body = IdentityBody), openapi::Writes),
)]
#[post("/oidc/identities")]
pub async fn link(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    Json(NewIdentity { user, subject, issuer }): Json<NewIdentity>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    let made = oidc.link(&permit, &user, issuer, &subject).await?;
    Ok(HttpResponse::Created().json(IdentityBody::from(made)))
}

/// An identity.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct IdentityPath {
    /// Its id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    identity: IdentityId,
}

/// Take that back. Sessions that the user came to by an identity provider are over.
#[utoipa::path(
    tag = "access",
    operation_id = "unlink_oidc_identity",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(IdentityPath),
    responses((status = 204, description = "They log in so no more"), openapi::Writes),
)]
#[delete("/oidc/identities/{identity}")]
pub async fn unlink(
    caller: Caller,
    access: Data<Access>,
    oidc: Data<Oidc>,
    Path(IdentityPath { identity }): Path<IdentityPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
    oidc.unlink(&permit, identity).await?;
    Ok(HttpResponse::NoContent().finish())
}
