//! `/auth/oidc/cli`

use std::time::Duration;

use actix_web::{HttpResponse, post, web::Data};
use domain::{Problem, parse_duration};
use rest::{ApiError, Json, openapi};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{Origin, http::tokens::MadeToken, oidc::Oidc};

/// What a command got by way of its user's browser, and what it knows itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CommandCode, example = json!({
    "code": "5f0c7d2f9d2f…", "verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "name": "bottega login on laptop", "expires_in": "90d",
}))]
pub struct Code {
    #[schema(value_type = String)]
    code: SecretString,
    /// Its SHA-256 was the `cli_challenge`.
    #[schema(value_type = String)]
    verifier: SecretString,
    /// What to call the token.
    name: String,
    /// For how long, as `30d`.
    expires_in: String,
}

/// Make an API token for whoever logged in for a command: a code is good once, for a minute.
#[utoipa::path(
    tag = "sessions",
    operation_id = "redeem_oidc_code",
    extensions(("x-bottega-action" = json!("none because whoever logs in has proved nothing yet"))),
    responses((status = 201, description = "The token", body = MadeToken), openapi::LogsIn),
    security(()),
)]
#[post("/auth/oidc/cli")]
pub async fn redeem(
    origin: Origin,
    oidc: Data<Oidc>,
    Json(Code { code, verifier, name, expires_in }): Json<Code>,
) -> Result<HttpResponse, ApiError> {
    let lasts: Duration =
        parse_duration(&expires_in).map_err(|wrong| Problem::invalid("expires_in", wrong))?;
    let (made, secret) =
        oidc.token_for_code(&code, &verifier, (name, lasts), origin.address).await?;
    Ok(HttpResponse::Created().json(MadeToken::of(made, &secret)))
}
