//! `/sessions`

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header::{SET_COOKIE, USER_AGENT},
    post,
    web::Data,
};
use chrono::{DateTime, Utc};
use domain::{Problem, SessionId};
use rest::{ApiError, Json, NoQuery, PageBody, PageQuery, Path, Query, openapi};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::guard::{COOKIE, cookie};
use crate::{Authenticator, Caller, Origin, oidc::Oidc};

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    // `current` before any id.
    config.service(start).service(current).service(end_current).service(list).service(end);
}

/// Who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user": "ana", "password": "correct horse battery"}))]
pub struct Login {
    user: String,
    #[schema(value_type = String)]
    password: SecretString,
}

/// A session that has begun.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "actor": "user:ana", "csrf_token": "9f86d081884c7d65…",
    "expires_at": "2026-01-09T03:04:05Z", "must_change_password": false,
}))]
pub struct Started {
    id: String,
    actor: String,
    /// Must come back as `x-csrf-token` with each request in this session that is no GET.
    csrf_token: String,
    /// When it ends whatever happens; after 12 hours without a request it ends as well.
    expires_at: DateTime<Utc>,
    /// Whether the password must be changed before anything else.
    must_change_password: bool,
}

/// Log in: begins a session, whose cookie the answer sets.
#[utoipa::path(
    tag = "sessions",
    extensions(("x-bottega-action" = json!("none because whoever logs in has proved nothing yet"))),
    responses(
        (status = 201, description = "The session; `set-cookie` carries what the browser keeps", body = Started),
        openapi::LogsIn,
    ),
    security(()),
)]
#[post("/sessions")]
pub async fn start(
    request: HttpRequest,
    origin: Origin,
    authenticator: Data<Authenticator>,
    Json(Login { user, password }): Json<Login>,
) -> Result<HttpResponse, ApiError> {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let started = authenticator.start_session(&user, &password, origin.address, agent).await?;
    let value = started.cookie.expose_secret();
    Ok(HttpResponse::Created()
        .insert_header((SET_COOKIE, set_cookie(value, origin, LASTS)))
        .json(Started::from(&started)))
}

impl From<&crate::Started> for Started {
    fn from(started: &crate::Started) -> Self {
        Self {
            id: started.id.to_string(),
            actor: started.actor.to_string(),
            csrf_token: started.csrf_token.clone(),
            expires_at: started.expires_at,
            must_change_password: started.must_change_password,
        }
    }
}

/// How many seconds a browser keeps the cookie.
pub(super) const LASTS: u32 = 604_800;

/// No script reads it, and no other site sends it.
pub(super) fn set_cookie(value: &str, origin: Origin, seconds: u32) -> String {
    let secure = if origin.https { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The session that a request is made in.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "actor": "user:ana", "csrf_token": "9f86d081884c7d65…",
}))]
pub struct Current {
    id: String,
    actor: String,
    /// Must come back as `x-csrf-token` with each request in this session that is no GET.
    csrf_token: String,
}

fn no_session() -> Problem {
    Problem::not_found("session", "current").hint("this request came with a token or a password")
}

/// Show the session that this request is made in, with its CSRF token.
#[utoipa::path(
    tag = "sessions",
    extensions(("x-bottega-action" = json!("self"))),
    responses((status = 200, description = "The session", body = Current), openapi::Reads),
)]
#[get("/sessions/current")]
pub async fn current(
    caller: Caller,
    request: HttpRequest,
    authenticator: Data<Authenticator>,
    _: NoQuery,
) -> Result<Json<Current>, ApiError> {
    let id = caller.session.ok_or_else(no_session)?;
    let cookie = cookie(request.headers(), COOKIE).ok_or_else(no_session)?;
    let csrf_token = authenticator.csrf_token(cookie);
    Ok(Json(Current { id: id.to_string(), actor: caller.actor.to_string(), csrf_token }))
}

/// A session that is over here, and goes on where it began.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "logout_url": "https://id.example/session/end?client_id=bottega&post_logout_redirect_uri=https%3A%2F%2Fbottega.example%2F",
}))]
pub struct Left {
    /// Where the browser goes to log out at the identity provider, which sends it back to `/`.
    logout_url: String,
}

/// Log out: ends the session that this request is made in. Where it began at an identity provider that
/// people can log out at, the answer says where the browser goes for that.
#[utoipa::path(
    tag = "sessions",
    extensions(("x-bottega-action" = json!("self"))),
    responses(
        (status = 200, description = "It is over here, and not yet at the identity provider", body = Left),
        (status = 204, description = "It is over"),
        openapi::Writes,
    ),
)]
#[delete("/sessions/current")]
pub async fn end_current(
    caller: Caller,
    origin: Origin,
    authenticator: Data<Authenticator>,
    oidc: Data<Oidc>,
) -> Result<HttpResponse, ApiError> {
    let id = caller.session.ok_or_else(no_session)?;
    let by_provider = authenticator.end_session(&caller.own()?, id).await?;
    let logout_url = if by_provider { oidc.logout_url().await } else { None };
    let gone = (SET_COOKIE, set_cookie("", origin, 0));
    Ok(match logout_url {
        Some(logout_url) => HttpResponse::Ok().insert_header(gone).json(Left { logout_url }),
        None => HttpResponse::NoContent().insert_header(gone).finish(),
    })
}

/// A browser that is logged in.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1", "created_at": "2026-01-02T03:04:05Z",
    "last_seen_at": "2026-01-02T04:04:00Z", "expires_at": "2026-01-09T03:04:05Z", "address": "10.0.0.7",
    "user_agent": "Mozilla/5.0", "current": true,
}))]
pub struct Session {
    id: String,
    created_at: DateTime<Utc>,
    /// To the minute.
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// Where it began.
    #[schema(required)]
    address: Option<String>,
    /// In which program.
    #[schema(required)]
    user_agent: Option<String>,
    /// Whether this request is made in it.
    current: bool,
}

/// List one's own sessions, newest first.
#[utoipa::path(
    tag = "sessions",
    extensions(("x-bottega-action" = json!("self"))),
    params(PageQuery),
    responses((status = 200, description = "A page of sessions", body = PageBody<Session>), openapi::Reads),
)]
#[get("/sessions")]
pub async fn list(
    caller: Caller,
    authenticator: Data<Authenticator>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageBody<Session>>, ApiError> {
    let (cursor, limit) = page.bounds()?;
    let found = authenticator.list_sessions(&caller.own()?, cursor.as_ref(), limit).await?;
    let page = found.map(|session| Session {
        current: caller.session == Some(session.id),
        id: session.id.to_string(),
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        address: session.address,
        user_agent: session.user_agent,
    });
    Ok(Json(page.into()))
}

/// A session.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Path)]
pub struct SessionPath {
    /// Its id.
    #[param(value_type = String, example = "0199f0a2-5f0c-7d2f-9d2f-4ad1a3a0b7c1")]
    session: SessionId,
}

/// End one of one's own sessions.
#[utoipa::path(
    tag = "sessions",
    extensions(("x-bottega-action" = json!("self"))),
    params(SessionPath),
    responses((status = 204, description = "It is over"), openapi::Writes),
)]
#[delete("/sessions/{session}")]
pub async fn end(
    caller: Caller,
    authenticator: Data<Authenticator>,
    Path(SessionPath { session }): Path<SessionPath>,
) -> Result<HttpResponse, ApiError> {
    authenticator.end_session(&caller.own()?, session).await?;
    Ok(HttpResponse::NoContent().finish())
}
