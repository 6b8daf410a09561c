//! `/credentials`

use actix_web::{HttpResponse, delete, get, put, web::Data};
use auth::{Access, Caller};
use chrono::{DateTime, Utc};
use domain::Resource;
use rest::{ApiError, Json, NoQuery, Path, openapi};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Remote, credentials};

/// Registers the operations on credentials, to be mounted at `/api/v1`. They need `web::Data` of
/// [`Remote`] and [`auth::Access`].
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list_credentials).service(put_credential).service(delete_credential);
}

/// A credential.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
struct CredentialPath {
    /// The credential's name.
    #[param(example = "features")]
    credential: String,
}

/// What a server is told so that it answers. The secret itself is shown to nobody.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "credential": "features", "origin": "https://features.example", "updated_by": "user:ana",
    "updated_at": "2026-01-02T03:04:05Z",
}))]
pub struct Credential {
    credential: String,
    /// The only server that it is sent to: scheme, host and port.
    origin: String,
    /// Who set it last.
    updated_by: String,
    updated_at: DateTime<Utc>,
}

impl From<store::credentials::Credential> for Credential {
    fn from(row: store::credentials::Credential) -> Self {
        Self {
            credential: row.name,
            origin: row.origin,
            updated_by: row.updated_by,
            updated_at: row.updated_at,
        }
    }
}

/// All credentials.
#[derive(Serialize, ToSchema)]
pub struct Credentials {
    /// By name.
    items: Vec<Credential>,
}

/// List credentials: the names of secrets that hooks and external models send to their servers.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    responses((status = 200, description = "All credentials", body = Credentials), openapi::Reads),
)]
#[get("/credentials")]
pub async fn list_credentials(
    caller: Caller,
    access: Data<Access>,
    remote: Data<Remote>,
    _query: NoQuery,
) -> Result<Json<Credentials>, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let items = credentials::list(&remote, &permit).await?.into_iter().map(Into::into).collect();
    Ok(Json(Credentials { items }))
}

/// What a credential is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"origin": "https://features.example", "secret": "Bearer a long random text"}))]
struct NewCredential {
    /// The only server that it is sent to: a URL, of which scheme, host and port count.
    origin: String,
    /// The whole value of the header that names it.
    #[schema(value_type = String, write_only)]
    secret: SecretString,
}

/// Make a credential, or put another in its place: whatever names it sends the new one within a moment.
/// It is sent to its origin alone, whoever names it.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(CredentialPath),
    responses(
        (status = 200, description = "It was there before", body = Credential),
        (status = 201, description = "It is made", body = Credential),
        openapi::Writes,
    ),
)]
#[put("/credentials/{credential}")]
async fn put_credential(
    caller: Caller,
    access: Data<Access>,
    remote: Data<Remote>,
    Path(CredentialPath { credential }): Path<CredentialPath>,
    Json(NewCredential { origin, secret }): Json<NewCredential>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    let (set, is_new) = credentials::put(&remote, &permit, (&credential, &origin), &secret).await?;
    let mut answer = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(Credential::from(set)))
}

/// Delete a credential. What names it fails from then on.
#[utoipa::path(
    tag = "access",
    extensions(("x-bottega-action" = json!("administer:platform"))),
    params(CredentialPath),
    responses((status = 204, description = "It is gone"), openapi::Writes),
)]
#[delete("/credentials/{credential}")]
async fn delete_credential(
    caller: Caller,
    access: Data<Access>,
    remote: Data<Remote>,
    Path(CredentialPath { credential }): Path<CredentialPath>,
) -> Result<HttpResponse, ApiError> {
    let permit = access.authorize(&caller, Resource::Platform).await?;
    credentials::delete(&remote, &permit, &credential).await?;
    Ok(HttpResponse::NoContent().finish())
}
