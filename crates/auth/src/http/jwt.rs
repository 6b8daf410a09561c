//! `/tokens/exchange`, and the keys that signed tokens are checked by.

use actix_web::{HttpRequest, HttpResponse, get, http::header, post, web::Data};
use chrono::TimeDelta;
use domain::{ErrorCode, Problem, Resource, access::Scope};
use rest::{ApiError, Json, NoQuery, openapi};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Database;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::{
    Caller,
    audit::Trail,
    jwt::{AUDIENCE, For, Jwts, LIFETIME, Wanted},
};

/// The longest name of an audience, in characters.
const AUDIENCE_LENGTH: usize = 200;
/// The most scopes of a token.
const MOST_SCOPES: usize = 100;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(exchange);
}

/// Registers the published keys, to be mounted at the root.
pub fn well_known(config: &mut ServiceConfig<'_>) {
    config.service(keys);
}

/// What an API token is exchanged for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scopes": ["invoke:endpoint:fraud"], "expires_in": 300}))]
pub struct Exchange {
    /// Who shall take it: `bottega`, unless given, which is this API.
    audience: Option<String>,
    /// What it may be used for, within what the API token may; all of that, unless given.
    scopes: Option<Vec<String>>,
    /// For how many seconds, at most 300, which it is unless given.
    expires_in: Option<i64>,
}

/// A short-lived signed token.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJKV1Qi…", "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_type": "Bearer", "expires_in": 300, "audience": "bottega", "scopes": ["invoke:endpoint:fraud"],
}))]
pub struct Exchanged {
    /// To be sent as `Authorization: Bearer TOKEN`.
    access_token: String,
    issued_token_type: &'static str,
    token_type: &'static str,
    /// For how many seconds it is valid.
    expires_in: i64,
    audience: String,
    /// What it may be used for; null: all that its holder may do.
    #[schema(required)]
    scopes: Option<Vec<String>>,
}

/// Exchange the API token that this request carries for a signed one that lives for minutes: others
/// check it by `/.well-known/jwks.json` without asking. It ends early with the API token.
#[utoipa::path(
    tag = "access",
    operation_id = "exchange_token",
    extensions(("x-bottega-action" = json!("self"))),
    responses((status = 200, description = "The signed token", body = Exchanged), openapi::Writes),
)]
#[post("/tokens/exchange")]
pub async fn exchange(
    request: HttpRequest,
    caller: Caller,
    jwts: Data<Jwts>,
    database: Data<Database>,
    trail: Data<Trail>,
    _query: NoQuery,
    Json(wanted): Json<Exchange>,
) -> Result<HttpResponse, ApiError> {
    if carries_signed(&request) {
        let message = "a signed token is not exchanged for another one";
        return Err(Problem::new(ErrorCode::Forbidden, message)
            .hint("send the API token that it was exchanged for")
            .into());
    }
    let (Some(token), Some(subject)) = (caller.token, caller.subject) else {
        let message = "only an API token is exchanged: this request carries none";
        return Err(Problem::new(ErrorCode::Forbidden, message)
            .hint("make one:  bottega tokens create")
            .into());
    };
    let wanted = Wanted {
        actor: caller.actor.clone(),
        subject,
        exchanged: For::Token(token),
        audience: audience(wanted.audience)?,
        scopes: scopes(wanted.scopes, caller.scopes.as_deref())?,
        seconds: seconds(wanted.expires_in)?,
    };
    let (access_token, claims) = jwts.sign(&wanted, database.now())?;
    let detail = json!({
        "token": token, "audience": claims.aud, "scopes": claims.scopes, "id": claims.jti,
        "expires_in": wanted.seconds,
    });
    trail.record(caller.event(None, Resource::Platform, "token.exchanged", detail));
    let answer = Exchanged {
        access_token,
        issued_token_type: "urn:ietf:params:oauth:token-type:jwt",
        token_type: "Bearer",
        expires_in: claims.exp - claims.iat,
        audience: claims.aud,
        scopes: claims.scopes,
    };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}

fn carries_signed(request: &HttpRequest) -> bool {
    let header = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    // As the guard reads it; a password that looks so is no API token either.
    header.is_some_and(|value| {
        let secret = value.splitn(2, |&byte| byte == b' ').nth(1).unwrap_or_default();
        Jwts::is_one(secret.trim_ascii())
    })
}

fn audience(given: Option<String>) -> Result<String, Problem> {
    let audience = given.unwrap_or_else(|| AUDIENCE.to_owned());
    let length = audience.chars().count();
    if !(1..=AUDIENCE_LENGTH).contains(&length) || audience.chars().any(char::is_control) {
        let message =
            format!("{length} characters: expected 1 to {AUDIENCE_LENGTH} that can be seen");
        return Err(Problem::invalid("audience", message));
    }
    Ok(audience)
}

/// What is asked for, which may not be wider than what the API token has.
fn scopes(
    asked: Option<Vec<String>>,
    own: Option<&[Scope]>,
) -> Result<Option<Vec<Scope>>, Problem> {
    let Some(asked) = asked else { return Ok(own.map(<[Scope]>::to_vec)) };
    if asked.is_empty() || asked.len() > MOST_SCOPES {
        let message = format!("{} scopes: expected 1 to {MOST_SCOPES}", asked.len());
        return Err(Problem::invalid("scopes", message));
    }
    let read = asked.iter().map(|scope| {
        let scope: Scope = scope.parse().map_err(|problem: Problem| problem.at("scopes"))?;
        if own.is_some_and(|own| !own.iter().any(|wider| scope.is_within(wider))) {
            let message = format!("`{scope}` is wider than what the API token may be used for");
            return Err(Problem::new(ErrorCode::Forbidden, message).at("scopes"));
        }
        Ok(scope)
    });
    read.collect::<Result<Vec<_>, _>>().map(Some)
}

fn seconds(given: Option<i64>) -> Result<i64, Problem> {
    let most = LIFETIME.num_seconds();
    match given {
        None => Ok(most),
        Some(seconds) if (1..=most).contains(&seconds) => Ok(seconds),
        Some(seconds) => {
            let message = format!("{seconds}: expected 1 to {most} seconds");
            Err(Problem::invalid("expires_in", message))
        }
    }
}

/// A JSON Web Key Set.
#[derive(ToSchema)]
#[schema(as = JsonWebKeys, example = json!({"keys": [{
    "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}]}))]
#[expect(dead_code, reason = "it is written out in memory; this describes it")]
pub struct JsonWebKeys {
    keys: Vec<serde_json::Value>,
}

/// The public keys of signed tokens (RFC 7517), without a token. They change once a day.
#[utoipa::path(
    tag = "access",
    operation_id = "signing_keys",
    extensions(("x-bottega-action" = json!("none because public keys are for everybody, also without a token"))),
    security(()),
    responses((status = 200, description = "All keys", body = JsonWebKeys)),
)]
#[get("/.well-known/jwks.json")]
pub async fn keys(jwts: Data<Jwts>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/jwk-set+json")
        .insert_header((
            header::CACHE_CONTROL,
            format!("max-age={}", TimeDelta::minutes(5).num_seconds()),
        ))
        .body(jwts.published())
}
