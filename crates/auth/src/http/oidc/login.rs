//! `/auth/oidc/login`, `/auth/oidc/callback`

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE, USER_AGENT},
    web::Data,
};
use domain::Problem;
use rest::{ApiError, Query, openapi};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use store::oidc::logins::Then;
use utoipa::{IntoParams, ToSchema};

use super::page;
use crate::{
    Origin,
    http::{
        guard::cookie,
        sessions::{LASTS, Started, set_cookie},
    },
    oidc::{Arrived, Oidc, Returned, command::waiting, return_path},
};

/// What a browser holds while its user is at the provider.
const COOKIE: &str = "bottega_login";
/// The only path that it is sent to.
const COOKIE_PATH: &str = "/api/v1/auth/oidc";

/// Where to go once logged in.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LoginQuery {
    /// A path of this server; `/` unless given.
    #[param(example = "/models/fraud")]
    to: Option<String>,
    /// The port at which a command waits on this machine, in place of a session.
    cli_port: Option<u16>,
    /// The SHA-256 of what the command will show, in Base64 for URLs.
    cli_challenge: Option<String>,
}

impl LoginQuery {
    fn then(self) -> Result<Then, Problem> {
        let Self { to, cli_port, cli_challenge } = self;
        match (to, cli_port, cli_challenge) {
            (to, None, None) => {
                Ok(Then::Path(return_path(to.as_deref().unwrap_or("/"))?.to_owned()))
            }
            (None, Some(port), Some(challenge)) => Ok(Then::Command(waiting(port, challenge)?)),
            _ => {
                let message = "expected `to`, or `cli_port` and `cli_challenge`";
                Err(Problem::invalid("cli_port", message))
            }
        }
    }
}

/// Log in at the identity provider: sends the browser there. It comes back to the callback.
#[utoipa::path(
    tag = "sessions",
    operation_id = "begin_oidc_login",
    extensions(("x-bottega-action" = json!("none because whoever logs in has proved nothing yet"))),
    params(LoginQuery),
    responses(
        (status = 303, description = "To the provider; `set-cookie` binds the log-in to this browser"),
        openapi::LogsIn,
    ),
    security(()),
)]
#[get("/auth/oidc/login")]
pub async fn login(
    request: HttpRequest,
    origin: Origin,
    oidc: Data<Oidc>,
    Query(query): Query<LoginQuery>,
) -> Result<HttpResponse, ApiError> {
    let begun = match query.then() {
        Ok(then) => oidc.begin(&then).await.map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    match begun {
        Ok(begun) => Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, begun.url))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((SET_COOKIE, login_cookie(begun.cookie.expose_secret(), origin, 600)))
            .finish()),
        Err(problem) => refused(&request, problem),
    }
}

/// A session that has begun, and where its user wanted to go.
#[derive(Serialize, ToSchema)]
#[schema(as = OidcArrived)]
pub struct ArrivedBody {
    #[serde(flatten)]
    session: Started,
    /// A path of this server.
    #[schema(examples("/"))]
    to: String,
}

/// What the identity provider answers (RFC 6749, RFC 9207). It may send more, which is not looked at,
/// as the standard asks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// What is exchanged for the token.
    code: Option<String>,
    /// What was sent along.
    state: Option<String>,
    /// Who the provider is.
    iss: Option<String>,
    /// Why it refused.
    error: Option<String>,
}

/// Come back from the identity provider: begins a session, whose cookie the answer sets. Browsers get
/// a page that goes on to where they wanted, other clients JSON.
#[utoipa::path(
    tag = "sessions",
    operation_id = "finish_oidc_login",
    extensions(("x-bottega-action" = json!("none because whoever logs in has proved nothing yet"))),
    params(CallbackQuery),
    responses(
        (status = 200, description = "The session; `set-cookie` carries what the browser keeps", body = ArrivedBody),
        openapi::LogsIn,
    ),
    security(()),
)]
#[get("/auth/oidc/callback")]
pub async fn callback(
    request: HttpRequest,
    origin: Origin,
    oidc: Data<Oidc>,
    Query(query): Query<CallbackQuery>,
) -> Result<HttpResponse, ApiError> {
    let CallbackQuery { code, state, iss, error } = query;
    let returned = Returned { code, state, iss, error };
    let held = cookie(request.headers(), COOKIE).map(|held| SecretString::from(held.to_owned()));
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let arrived = oidc.finish(held.as_ref(), &returned, origin.address, agent).await;
    let mut answer = HttpResponse::Ok();
    answer.append_header((SET_COOKIE, login_cookie("", origin, 0)));
    let (started, to) = match arrived {
        Ok(Arrived::Session(started, to)) => (started, to),
        Ok(Arrived::Command(url)) => return Ok(page::onward(answer, &url)),
        Err(error) => return refused(&request, error.into()),
    };
    answer.append_header((SET_COOKIE, set_cookie(started.cookie.expose_secret(), origin, LASTS)));
    if page::is_wanted(&request) {
        return Ok(page::onward(answer, &to));
    }
    let arrived = ArrivedBody { session: Started::from(&*started), to };
    Ok(answer.insert_header((CACHE_CONTROL, "no-store")).json(arrived))
}

/// As a page for people, and in our own words for programs.
fn refused(request: &HttpRequest, problem: Problem) -> Result<HttpResponse, ApiError> {
    if page::is_wanted(request) {
        return Ok(page::refusal(HttpResponse::build(rest::status(problem.code)), &problem));
    }
    Err(problem.into())
}

/// Lax: it must come along when the provider sends the browser back.
fn login_cookie(value: &str, origin: Origin, seconds: u32) -> String {
    let secure = if origin.https { "; Secure" } else { "" };
    format!(
        "{COOKIE}={value}; Path={COOKIE_PATH}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"
    )
}
