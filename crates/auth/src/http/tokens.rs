//! `/tokens`

use std::time::Duration;

use actix_web::{HttpResponse, delete, get, post, web::Data};
use chrono::{DateTime, Utc};
use domain::{
    Problem, Resource, TokenId,
    access::{Scope, Subject},
    parse_duration,
};
use rest::{ApiError, Json, PageBody, PageQuery, Path, Query, openapi};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use store::{Database, tokens};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{Access, Authenticator, Caller, Holder, Wanted, verbs};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(revoke);
}

/// An API token, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "name": "nightly training", "holder": "service:ci",
    "prefix": "bt_1a2b3c4d", "scopes": ["invoke:endpoint:fraud"], "created_by": "user:admin",
    "created_at": "2026-01-02T03:04:05Z", "expires_at": null, "last_used_at": "2026-01-03T03:04:00Z",
}))]
pub struct Token {
    id: String,
    /// What it is for.
    name: String,
    /// Whom it speaks for.
    holder: String,
    /// The part of it that may be shown; null for one that was given to the platform.
    #[schema(required)]
    prefix: Option<String>,
    /// What it may be used for; null: all that its holder may do.
    #[schema(required)]
    scopes: Option<Vec<String>>,
    created_by: String,
    created_at: DateTime<Utc>,
    #[schema(required)]
    expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    #[schema(required)]
    last_used_at: Option<DateTime<Utc>>,
}

impl From<tokens::Token> for Token {
    fn from(token: tokens::Token) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            holder: token.holder,
            prefix: token.prefix,
            scopes: token.scopes.map(|all| all.iter().map(ToString::to_string).collect()),
            created_by: token.created_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "nightly training", "holder": "service:ci", "scopes": ["invoke:endpoint:fraud"], "expires_in": "30d",
}))]
pub struct NewToken {
    /// What it is for, in 1 to 100 characters.
    name: String,
    /// `user:NAME` or `service:NAME`; the caller where it is absent.
    holder: Option<String>,
    /// `ACTION` or `ACTION:RESOURCE`; absent: all that its holder may do.
    scopes: Option<Vec<String>>,
    /// `30d`, `12h`; absent: until it is revoked.
    expires_in: Option<String>,
    /// Whether AWS's clients will sign their requests by it, to SageMaker's runtime.
    #[serde(default)]
    sigv4: bool,
}

/// What a token's holder signs requests to SageMaker's runtime by, as AWS's clients do.
#[derive(Serialize, ToSchema)]
pub struct SigningKey {
    /// The token's id: `AWS_ACCESS_KEY_ID`.
    #[schema(examples("0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1"))]
    access_key_id: String,
    /// Shown this once: `AWS_SECRET_ACCESS_KEY`.
    #[schema(examples("5f1d…"))]
    secret_access_key: String,
}

/// A token with its secret.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "name": "nightly training", "holder": "service:ci",
    "prefix": "bt_1a2b3c4d", "scopes": null, "created_by": "user:admin", "created_at": "2026-01-02T03:04:05Z",
    "expires_at": null, "last_used_at": null, "token": "bt_1a2b3c4d_…", "sigv4": null,
}))]
pub struct MadeToken {
    #[serde(flatten)]
    about: Token,
    /// Shown this once.
    token: String,
    /// Where it was asked for.
    #[schema(required)]
    sigv4: Option<SigningKey>,
}

impl MadeToken {
    pub(super) fn of(made: tokens::Token, secret: &SecretString) -> Self {
        Self { about: made.into(), token: secret.expose_secret().to_owned(), sigv4: None }
    }

    fn with_signing_key(self, secret: &SecretString) -> Self {
        let secret_access_key = secret.expose_secret().to_owned();
        let access_key_id = self.about.id.clone();
        Self { sigv4: Some(SigningKey { access_key_id, secret_access_key }), ..self }
    }
}

/// Make a token: for oneself, or for anybody by whoever administers. Nobody can see it again.
#[utoipa::path(
    tag = "tokens",
    extensions(("x-bottega-action" = json!(["self", "administer:platform when it is for another"]))),
    responses((status = 201, description = "The token", body = MadeToken), openapi::Writes),
)]
#[post("/tokens")]
pub async fn create(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    Json(NewToken { name, holder, scopes, expires_in, sigv4 }): Json<NewToken>,
) -> Result<HttpResponse, ApiError> {
    let subject: Option<Subject> = holder
        .map(|holder| holder.parse().map_err(|wrong: Problem| wrong.at("holder")))
        .transpose()?;
    let own = Subject::try_from(&caller.actor).ok();
    let holder = match &subject {
        Some(other) if Some(other) != own.as_ref() => {
            Holder::Any(access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?)
        }
        _ => Holder::Own(caller.holder()?),
    };
    let scopes = scopes.map(|scopes| scopes.iter().map(|scope| scope.parse()).collect());
    let scopes: Option<Vec<Scope>> = scopes.transpose()?;
    let read =
        |text: String| parse_duration(&text).map_err(|wrong| Problem::invalid("expires_in", wrong));
    let expires_in: Option<Duration> = expires_in.map(read).transpose()?;
    let wanted = Wanted { name, scopes, expires_in, sigv4 };
    let (made, secret) = authenticator.create_token(&holder, subject.as_ref(), wanted).await?;
    let signing = if sigv4 { authenticator.signing_secret(made.id) } else { None };
    let mut token = MadeToken::of(made, &secret);
    if let Some(signing) = signing {
        token = token.with_signing_key(&signing);
    }
    Ok(HttpResponse::Created().json(token))
}

/// Which tokens.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this holder.
    #[param(example = "service:ci")]
    holder: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 1000; 100 unless asked.
    limit: Option<u32>,
}

/// List tokens that were not revoked, newest first: all for whoever administers, else one's own.
#[utoipa::path(
    tag = "tokens",
    extensions(("x-bottega-action" = json!(["self", "administer:platform when others' are to be seen"]))),
    params(Filter),
    responses((status = 200, description = "A page of tokens", body = PageBody<Token>), openapi::Reads),
)]
#[get("/tokens")]
pub async fn list(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    database: Data<Database>,
    Query(Filter { holder, cursor, limit }): Query<Filter>,
) -> Result<Json<PageBody<Token>>, ApiError> {
    let (cursor, limit) = PageQuery { cursor, limit }.bounds()?;
    let own = Subject::try_from(&caller.actor).ok();
    let named: Option<Subject> = holder
        .map(|holder| holder.parse().map_err(|wrong: Problem| wrong.at("holder")))
        .transpose()?;
    let of = match named {
        Some(named) if Some(&named) == own.as_ref() => Some(caller.holder()?.subject()),
        Some(named) => {
            access.authorize::<verbs::Administer>(&caller, Resource::Platform).await?;
            Some(authenticator.account(&named).await?.id)
        }
        None if access.may::<verbs::Administer>(&caller, &Resource::Platform).await? => None,
        None => Some(caller.holder()?.subject()),
    };
    Ok(Json(tokens::list(&database, of, cursor.as_ref(), limit).await?.into()))
}

/// A token.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct TokenPath {
    /// Its id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    token: TokenId,
}

/// Revoke a token. It is worth nothing at once here, and within a second everywhere.
#[utoipa::path(
    tag = "tokens",
    extensions(("x-bottega-action" = json!(["self", "administer:platform when it is another's"]))),
    params(TokenPath),
    responses((status = 204, description = "It is worth nothing"), openapi::Writes),
)]
#[delete("/tokens/{token}")]
pub async fn revoke(
    caller: Caller,
    access: Data<Access>,
    authenticator: Data<Authenticator>,
    database: Data<Database>,
    Path(TokenPath { token }): Path<TokenPath>,
) -> Result<HttpResponse, ApiError> {
    let found = tokens::get(&database, token).await?;
    let is_own = found.is_some_and(|found| {
        found.subject == caller.subject
            && (caller.scopes.is_none() || Some(found.id) == caller.token)
    });
    let holder = if is_own {
        Holder::Own(caller.holder()?)
    } else {
        // Whoever does not administer hears the same of others' tokens as of none.
        let permit = access.authorize::<verbs::Administer>(&caller, Resource::Platform).await;
        Holder::Any(permit.map_err(|_| Problem::not_found("token", token))?)
    };
    authenticator.revoke_token(&holder, token).await?;
    Ok(HttpResponse::NoContent().finish())
}
